"""Settings of the familiarity check's fit; imports no numpy, since the command line needs them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from candor.study.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Choice:
    """Settings of the check's fit.

    Parameters
    ----------
    kept
        Number of variances that are kept individually, at least 1.
    alarms
        Share of the unseen adults that may exceed the first limit of the distance, or the limit of a score, in (0, 1).
    margin
        How far "no chest" lies beyond the farthest unseen adult, as other equipment might show them, as a share of that
        distance, at least 0.

    Raises
    ------
    SettingsError
        A value is out of its range.
    """

    kept: int = 64
    alarms: float = 0.01
    margin: float = 0.25

    def __post_init__(self) -> None:
        if self.kept < 1 or not 0 < self.alarms < 1 or not 0 <= self.margin < math.inf:
            raise SettingsError(
                f"kept {self.kept}, alarms {self.alarms} and margin {self.margin} are not at least 1, between 0 and 1, "
                "and at least 0"
            )
