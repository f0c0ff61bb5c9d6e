"""Costs of errors and of deferring, which a site may set in place of a bundle's thresholds.

The answer "absent" at a probability p costs p * missed on average, the answer "present" (1 - p) * false_alarm. The
cheaper of the two is given, unless it costs more than deferring. With equal costs of the two errors this is the rule of
Levin, Ruh and Yin: defer when P(wrong) exceeds c, the cost of deferring in errors, c in (0, 0.5).

References
----------
Chow 1970. Elkan 2001 (cost-sensitive decisions). Madras et al. 2018. Levin, Ruh and Yin 2020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Final

from candor.study.errors import DataError, SettingsError
from candor.study.findings import Finding, finding_named

OTHERS: Final = "default"
"""The key for all findings that are not named."""


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of one finding's answers, all in one unit.

    Parameters
    ----------
    missed
        Cost of the answer "absent" where the finding is present.
    false_alarm
        Cost of the answer "present" where it is absent.
    deferral
        Cost of leaving the answer to a radiologist.

    Raises
    ------
    SettingsError
        A cost is not a finite number above 0.
    """

    missed: float
    false_alarm: float
    deferral: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise SettingsError(f"{name} is {value!r}; it must be a finite number above 0")

    @property
    def even(self) -> float:
        """The probability at which both errors cost the same on average; "present" is cheaper above it."""
        return self.false_alarm / (self.false_alarm + self.missed)

    def wrong_allowed(self, *, present: bool) -> float:
        """Return P(wrong) up to which an answer costs no more than deferring."""
        return min(1.0, self.deferral / (self.false_alarm if present else self.missed))

    def __str__(self) -> str:
        return f"missed {self.missed:g}, false alarm {self.false_alarm:g}, deferral {self.deferral:g}"


def equal_costs(cost: float) -> Costs:
    """Return the costs where both errors cost 1, and deferring costs ``cost``."""
    return Costs(1.0, 1.0, cost)


def costs_of(table: object) -> dict[Finding | None, Costs]:
    """Return the costs in a table of ``app.yaml``, by finding; the key None holds for all findings that are not named.

    Raises
    ------
    SettingsError
        It is not a table, names an unknown finding or cost, or lacks a cost.
    """
    if not isinstance(table, Mapping) or not table:
        raise SettingsError(f"costs is {table!r}; it must be null, or costs for findings by name, or for {OTHERS!r}")
    return {_finding(name): _costs(str(name), entry) for name, entry in table.items()}


def _finding(name: object) -> Finding | None:
    if name == OTHERS:
        return None
    try:
        return finding_named(str(name))
    except DataError as error:
        raise SettingsError(str(error)) from error


def _costs(name: str, entry: object) -> Costs:
    wanted = [field.name for field in fields(Costs)]
    if not isinstance(entry, Mapping) or sorted(entry) != sorted(wanted):
        raise SettingsError(f"costs of {name} are {entry!r}; give {', '.join(wanted)}")
    try:
        return Costs(**entry)
    except SettingsError as error:
        raise SettingsError(f"costs of {name}: {error}") from error
