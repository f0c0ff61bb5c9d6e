"""What errors and deferring cost: a site's own costs in place of a bundle's thresholds.

Saying "absent" at a probability p costs p * missed on average, saying "present" (1 - p) * false_alarm. The cheaper of
the two is the answer, unless it costs more than deferring. With equal costs of the two errors this is the rule of
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
"""Stands in the place of a finding, for all that are not named."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What one finding's answers cost, in any one unit.

    Parameters
    ----------
    missed
        Of saying "absent" where the finding is present.
    false_alarm
        Of saying "present" where it is not.
    deferral
        Of leaving the answer to a radiologist.

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
        """The probability at which both errors cost the same on average: "present" from there up."""
        return self.false_alarm / (self.false_alarm + self.missed)

    def wrong_allowed(self, *, present: bool) -> float:
        """P(wrong) up to which an answer costs no more than deferring."""
        return min(1.0, self.deferral / (self.false_alarm if present else self.missed))

    def __str__(self) -> str:
        return f"missed {self.missed:g}, false alarm {self.false_alarm:g}, deferral {self.deferral:g}"


def equal_costs(cost: float) -> Costs:
    """Costs of deferring in units of an error, either kind's."""
    return Costs(1.0, 1.0, cost)


def costs_of(table: object) -> dict[Finding | None, Costs]:
    """Read a table of costs as ``app.yaml`` has it; the key None holds for all findings that are not named.

    Raises
    ------
    SettingsError
        It is no table, names an unknown finding or cost, or lacks one.
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
