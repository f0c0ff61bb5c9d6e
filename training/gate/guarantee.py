"""What thresholds with a guarantee promise; imported without numpy, for the command line."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from candor.study.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Promise:
    """The guarantee of the thresholds, for each finding by itself.

    Parameters
    ----------
    max_missed
        Largest share of a finding's positives that may be called absent, in (0, 1).
    min_precision
        Least share of positives among the images called present, in (0, 1).
    confidence
        Probability, over the draw of the patients, that a fitted threshold keeps its promise, in (0, 1).
    min_auc
        A finding is answered only where its AUC surely lies above this, in (0, 1).
    group_confidence
        Confidence with which a threshold must keep the promise in each group of patients and views, in (0, 1).

    Raises
    ------
    SettingsError
        A value is not in (0, 1).
    """

    max_missed: float = 0.10
    min_precision: float = 0.50
    confidence: float = 0.90
    min_auc: float = 0.60
    group_confidence: float = 0.85

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 < value < 1:
                raise SettingsError(f"{name} is {value}; it must lie between 0 and 1")

    @property
    def positives_needed(self) -> int:
        """Return the fewest positives that can support ``lo``, if none of them is missed."""
        return math.ceil(math.log(1 - self.confidence) / math.log(1 - self.max_missed))

    @property
    def present_needed(self) -> int:
        """Return the fewest images called present that can support ``hi``, if all of them are positive."""
        return math.ceil(math.log(1 - self.confidence) / math.log(self.min_precision))

    @property
    def text(self) -> str:
        """Return the promise in words."""
        return (
            f"at most {percent(self.max_missed)} of a finding's positives are called absent, and at least "
            f"{percent(self.min_precision)} of those called present are positive, each with "
            f"{percent(self.confidence)} confidence"
        )


def percent(share: float) -> str:
    """Return a share as a percentage with all its digits: 0.055 as 5.5%."""
    return f"{100 * share:g}%"
