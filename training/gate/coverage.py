"""Thresholds for a workload: each finding is answered on a stated share of the images, the surest ones.

That is a choice about work, not about errors: of those answers as many may be wrong as the network makes wrong, and
nothing here bounds how many that is. The surest are those with the least P(wrong) = min(p, 1 - p), which for each
finding comes to deferring between two thresholds, as costs would (Chow 1970). Labels are not used.

References
----------
Geifman and El-Yaniv 2017 (coverage; their bound of the risk is not used here).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from candor.decide.gate import Thresholds
from candor.study.errors import SettingsError
from training.calibration.scaling import Floats
from training.gate.promise import percent
from training.gate.thresholds import EVEN, called

NO_PROMISE: Final = "it promises nothing about errors"


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much is answered.

    Parameters
    ----------
    share
        Of the images, for each finding, in (0, 1].

    Raises
    ------
    SettingsError
        The share is not in (0, 1].
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise SettingsError(f"coverage is {self.share}; it must lie above 0 and be at most 1")

    @property
    def text(self) -> str:
        """The workload in plain words."""
        return f"each finding is answered on {percent(self.share)} of the images, the surest; {NO_PROMISE}"


def workload_thresholds(probabilities: Floats, coverage: Coverage) -> Thresholds:
    """Find one finding's thresholds between which the least sure images lie.

    Parameters
    ----------
    probabilities
        ``(images,)``, at least one.

    Returns
    -------
    At least the share of these images is answered, and no more than equal probabilities make necessary.
    """
    wrong = np.minimum(probabilities, 1 - probabilities)
    limit = float(np.quantile(wrong, coverage.share, method="inverted_cdf"))
    return Thresholds(min(limit, math.nextafter(EVEN, 0)), 1 - limit)


def workload_facts(probabilities: Floats, labels: Floats, pair: Thresholds) -> dict[str, object]:
    """Count what a workload's thresholds answer on the images of its fit, and of those with a label what is wrong.

    Parameters
    ----------
    probabilities, labels
        ``(images,)``; a label that is NaN is not known.
    """
    absent, present = called(probabilities, pair)
    positive, known = labels > 0, ~np.isnan(labels)
    return {
        "images": len(probabilities),
        "answered": int((absent | present).sum()),
        "labelled": int(known.sum()),
        "positives": int(positive.sum()),
        "absent": int((absent & known).sum()),
        "missed": int((absent & positive).sum()),
        "present": int((present & known).sum()),
        "present_and_positive": int((present & positive).sum()),
        "lo_unsupported": None,
        "hi_unsupported": None,
    }
