"""The gate: answer present or absent where that is supported, and leave the rest to a radiologist.

Every finding has its own two thresholds. PRESENT from ``hi`` up, ABSENT up to ``lo``, DEFERRED between. Where a
site states the cost of deferring instead, c in (0, 0.5) of the cost of an error, answering is cheaper exactly
when P(wrong) = min(p, 1 - p) is at most c: the same rule with lo = c and hi = 1 - c.

References
----------
Chow 1970. Madras et al. 2018. Levin, Ruh and Yin 2020.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cxr.findings import Finding
from cxr.reasons import Reason
from cxr.result import Decision


@dataclass(frozen=True, slots=True)
class Thresholds:
    """One finding's thresholds on the calibrated probability; None where none is supported.

    ``lo`` below ``hi``, both in [0, 1].
    """

    lo: float | None
    hi: float | None

    def __post_init__(self) -> None:
        for threshold in (self.lo, self.hi):
            if threshold is not None and not 0 <= threshold <= 1:
                raise ValueError(f"a threshold lies in [0, 1], not at {threshold}")
        if self.lo is not None and self.hi is not None and self.lo >= self.hi:
            raise ValueError(f"lo {self.lo} must be below hi {self.hi}")

    def decide(self, probability: float) -> tuple[Decision, Reason | None]:
        """Answer for one calibrated probability; a deferral comes with its reason."""
        if self.hi is not None and probability >= self.hi:
            return Decision.PRESENT, None
        if self.lo is not None and probability <= self.lo:
            return Decision.ABSENT, None
        if self.lo is None and self.hi is None:
            return Decision.DEFERRED, Reason.UNSUPPORTED
        return Decision.DEFERRED, Reason.BETWEEN_THRESHOLDS


@dataclass(frozen=True, slots=True)
class Gate:
    """The thresholds of all findings of a bundle, and one line that says what they promise."""

    thresholds: Mapping[Finding, Thresholds]
    description: str


def cost_thresholds(cost: float) -> Thresholds:
    """Thresholds for a cost of deferring, relative to an error's cost of 1.

    Raises
    ------
    ValueError
        ``cost`` is not in (0, 0.5): at 0 everything is deferred, from 0.5 on nothing.
    """
    if not 0 < cost < 0.5:
        raise ValueError(f"the cost of deferring lies between 0 and 0.5 of the cost of an error, not at {cost}")
    return Thresholds(lo=cost, hi=1 - cost)


def cost_gate(findings: Iterable[Finding], cost: float) -> Gate:
    """Make a gate with one cost of deferring for every finding; see :func:`cost_thresholds`."""
    return Gate(dict.fromkeys(findings, cost_thresholds(cost)), f"deferring costs {cost:g} of an error")
