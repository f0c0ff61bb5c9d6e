"""Thresholds for a workload: each finding is answered on a stated share of the images, the most certain ones.

This chooses an amount of work and bounds no errors. The most certain images are those with the least
P(wrong) = min(p, 1 - p), so each finding is deferred between two thresholds, as with costs (Chow 1970). Labels are not
used.

References
----------
Geifman and El-Yaniv 2017 (coverage; their bound of the risk is not used here).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from candor.decide.gate import EVEN, Thresholds
from candor.study.errors import SettingsError
from training.calibration.scaling import Floats
from training.gate.guarantee import percent
from training.gate.thresholds import called

NO_PROMISE: Final = "it promises nothing about errors"


@dataclass(frozen=True, slots=True)
class Coverage:
    """The share of the images that is answered.

    Parameters
    ----------
    share
        Share of the images that is answered for each finding, in (0, 1].

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
        """Return the workload in words."""
        return f"each finding is answered on {percent(self.share)} of the images, the surest; {NO_PROMISE}"


def workload_thresholds(probabilities: Floats, coverage: Coverage) -> Thresholds:
    """Return one finding's thresholds, between which the least certain images lie.

    Parameters
    ----------
    probabilities
        ``(images,)``, at least one.
    coverage
        The share to answer.

    Returns
    -------
    Thresholds that answer at least this share of the images, and more only where probabilities are equal.
    """
    wrong = np.minimum(probabilities, 1 - probabilities)
    limit = float(np.quantile(wrong, coverage.share, method="inverted_cdf"))
    return Thresholds(min(limit, math.nextafter(EVEN, 0)), 1 - limit)


def workload_facts(probabilities: Floats, labels: Floats, pair: Thresholds) -> dict[str, object]:
    """Count the answers of a workload's thresholds on the images of the fit, and their errors where a label is known.

    Parameters
    ----------
    probabilities, labels
        ``(images,)``; a label that is not known is NaN.
    pair
        The thresholds.
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
