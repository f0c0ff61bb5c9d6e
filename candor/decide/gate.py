"""The gate decides for each finding: present, absent, or deferred to a radiologist.

Every finding has its own two thresholds: PRESENT from ``hi`` up, ABSENT up to ``lo``, DEFERRED between. Costs
(:mod:`candor.decide.costs`) are turned into such thresholds.

A promise that holds for all patients together may be broken in a part of them. So each group of patients and views may
have thresholds of its own, and an image is answered where the thresholds of the finding and of all its groups agree.

References
----------
Chow 1970. Madras et al. 2018. Levin, Ruh and Yin 2020.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Final

import numpy as np
from pydantic import Field

from candor.decide.calibration import log_odds, sigmoid
from candor.decide.costs import Costs
from candor.decide.groups import UNKNOWN, Groups
from candor.study.findings import Finding
from candor.study.reasons import Reason
from candor.study.result import Decision

EVEN: Final = 0.5
"""The probability from which "present" is the better answer, where both errors cost the same."""

_JUST_BELOW_EVEN: Final = math.nextafter(EVEN, 0)

_ROUNDING: Final = 1e-9
"""A moved threshold keeps the image that it was set at: this much, in log-odds, is more than any rounding."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """One finding's thresholds on the calibrated probability; None where none is supported.

    Parameters
    ----------
    lo, hi
        ``lo`` below ``hi``, both in [0, 1].
    groups
        Thresholds of single groups by attribute and name, which may have groups of their own: women under 40. An
        attribute that is missing was not looked at in the fit.
    """

    lo: Annotated[float, Field(ge=0, le=1)] | None
    hi: Annotated[float, Field(ge=0, le=1)] | None
    groups: Mapping[str, Mapping[str, Thresholds]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for threshold in (self.lo, self.hi):
            if threshold is not None and not 0 <= threshold <= 1:
                raise ValueError(f"a threshold lies in [0, 1], not at {threshold}")
        if self.lo is not None and self.hi is not None and self.lo >= self.hi:
            raise ValueError(f"lo {self.lo} must be below hi {self.hi}")

    def within(self, groups: Groups) -> Thresholds:
        """Return the thresholds that hold in all of an image's groups; where one is not known, in every one."""
        pairs = [Thresholds(self.lo, self.hi)]
        for attribute, by_name in self.groups.items():
            own = by_name.get(groups.get(attribute, ""))
            pairs += [pair.within(groups) for pair in (by_name.values() if own is None else [own])]
        return Thresholds(_lowest([pair.lo for pair in pairs]), _highest([pair.hi for pair in pairs]))

    def decide(self, probability: float, groups: Groups = UNKNOWN) -> tuple[Decision, Reason | None]:
        """Return the decision for one calibrated probability, and the reason where it is deferred.

        Parameters
        ----------
        probability
            In [0, 1].
        groups
            The groups of the image.
        """
        if self.groups:
            decision, reason = Thresholds(self.lo, self.hi).decide(probability)
            held = self.within(groups).decide(probability)[0]
            return (decision, reason) if held is decision else (Decision.DEFERRED, Reason.GROUP)
        if self.hi is not None and probability >= self.hi:
            return Decision.PRESENT, None
        if self.lo is not None and probability <= self.lo:
            return Decision.ABSENT, None
        if self.lo is None and self.hi is None:
            return Decision.DEFERRED, Reason.UNSUPPORTED
        return Decision.DEFERRED, Reason.BETWEEN_THRESHOLDS

    def moved(self, shift: float) -> Thresholds:
        """Return the thresholds at another prevalence, where every probability has moved by the same shift.

        The same images are called absent and present as before. Only an answer that its new probability contradicts,
        ABSENT from 0.5 up or PRESENT below, is deferred. So the share of positives that is called absent never grows.

        Parameters
        ----------
        shift
            By how much all log-odds have moved.
        """
        lo = hi = None
        if self.lo is not None:
            lo = min(_moved(self.lo, shift + _ROUNDING), max(self.lo, _JUST_BELOW_EVEN))
        if self.hi is not None:
            hi = max(_moved(self.hi, shift - _ROUNDING), min(self.hi, EVEN))
        if lo is not None and hi is not None and lo >= hi:
            lo = math.nextafter(hi, -1)
        groups = {
            attribute: {name: own.moved(shift) for name, own in by_name.items()}
            for attribute, by_name in self.groups.items()
        }
        return Thresholds(lo, hi, groups)


def _moved(probability: float, shift: float) -> float:
    if probability in (0.0, 1.0):
        return probability
    return float(sigmoid(np.asarray(log_odds(probability) + shift)))


def _lowest(thresholds: Sequence[float | None]) -> float | None:
    known = [threshold for threshold in thresholds if threshold is not None]
    return min(known) if len(known) == len(thresholds) else None


def _highest(thresholds: Sequence[float | None]) -> float | None:
    known = [threshold for threshold in thresholds if threshold is not None]
    return max(known) if len(known) == len(thresholds) else None


@dataclass(frozen=True, slots=True)
class Gate:
    """The thresholds of all findings.

    Parameters
    ----------
    thresholds
        The thresholds of every finding.
    description
        One line: what the thresholds promise.
    costs
        The costs of the findings whose thresholds come from costs.
    wrong_allowed
        The highest P(wrong) by a learned gate at which a finding without costs is answered, in [0, 1].
    fitted_to
        The site or the data set whose patients the thresholds were fitted to; None where it is not known.
    """

    thresholds: Mapping[Finding, Thresholds]
    description: str
    costs: Mapping[Finding, Costs] = field(default_factory=dict)
    wrong_allowed: float = 0.5
    fitted_to: str | None = None

    def decide(
        self, finding: Finding, probability: float, wrong: float | None = None, groups: Groups = UNKNOWN
    ) -> tuple[Decision, Reason | None]:
        """Return the decision for one finding, and the reason where it is deferred.

        Parameters
        ----------
        finding
            The finding.
        probability
            Calibrated P(present).
        wrong
            P(wrong) by the learned gate, in [0, 1]; None where there is none. For a finding with costs it replaces
            the P(wrong) of the probability. For others it can only turn an answer into a deferral, so that the
            promise of the thresholds still holds.
        groups
            The groups of the image; a finding with costs has the same thresholds in all.
        """
        costs = self.costs.get(finding)
        if costs is not None and wrong is not None:
            present = probability >= self.even(finding)
            if wrong > costs.wrong_allowed(present=present):
                return Decision.DEFERRED, Reason.COST
            return (Decision.PRESENT if present else Decision.ABSENT), None
        decision, reason = self.thresholds[finding].decide(probability, groups)
        if costs is not None and decision is Decision.DEFERRED:
            reason = Reason.COST
        if decision is not Decision.DEFERRED and wrong is not None and wrong > self.wrong_allowed:
            return Decision.DEFERRED, Reason.LIKELY_WRONG
        return decision, reason

    def even(self, finding: Finding) -> float:
        """Return the probability from which "present" is the better of the two answers."""
        costs = self.costs.get(finding)
        return EVEN if costs is None else costs.even

    def confidence_wrong(self, finding: Finding, probability: float) -> float:
        """Return P(wrong) of the better of the two answers, from the calibrated probability alone.

        Parameters
        ----------
        finding
            The finding.
        probability
            Calibrated P(present).
        """
        return 1 - probability if probability >= self.even(finding) else probability

    def at_prevalence(self, shifts: Mapping[Finding, float]) -> Gate:
        """Return this gate where a site has its own prevalence; the description says what then holds.

        Parameters
        ----------
        shifts
            By how much the log-odds of each finding have moved; a finding that is missing has not moved.
        """
        moved = [finding for finding in self.thresholds if shifts.get(finding)]
        if not moved:
            return self
        thresholds = {finding: self.thresholds[finding].moved(shifts[finding]) for finding in moved}
        return replace(
            self,
            thresholds={**self.thresholds, **thresholds},
            description=f"{self.description}; thresholds moved with the site's prevalence of {_names(moved)}: a bound "
            "on missed positives holds, one on the share of positives among those called present holds only where the "
            "finding is at least as frequent as in the fit",
        )

    def with_costs(self, table: Mapping[Finding | None, Costs]) -> Gate:
        """Return a gate that decides by costs; findings that are not in the table keep their thresholds.

        Parameters
        ----------
        table
            Costs by finding; the key None holds for all that are not named.
        """
        costs = {finding: table.get(finding, table.get(None)) for finding in self.thresholds}
        set_costs = {finding: of for finding, of in costs.items() if of is not None}
        if not set_costs:
            return self
        kept = [finding for finding in self.thresholds if finding not in set_costs]
        by_costs = {finding: cost_thresholds(of) for finding, of in set_costs.items()}
        return replace(
            self,
            thresholds={**self.thresholds, **by_costs},
            description=_in_words(set_costs) + (f"; {_names(kept)}: {self.description}" if kept else ""),
            costs=set_costs,
        )


def cost_thresholds(costs: Costs) -> Thresholds:
    """Return the thresholds on the calibrated probability that follow from costs.

    Where deferring is too expensive to ever pay, nothing is deferred: ABSENT below the probability at which both
    errors cost the same on average, PRESENT from there up.
    """
    lo = min(costs.deferral / costs.missed, costs.even)
    hi = max(1 - costs.deferral / costs.false_alarm, costs.even)
    return Thresholds(lo if lo < hi else math.nextafter(hi, -1), hi)


def _in_words(costs: Mapping[Finding, Costs]) -> str:
    by_text: dict[str, list[Finding]] = {}
    for finding, of in costs.items():
        by_text.setdefault(str(of), []).append(finding)
    if len(by_text) == 1:
        return f"costs: {next(iter(by_text))}"
    return "costs: " + "; ".join(f"{_names(findings)} {text}" for text, findings in by_text.items())


def _names(findings: Iterable[Finding]) -> str:
    return ", ".join(finding.label for finding in findings)
