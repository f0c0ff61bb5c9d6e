"""The AUC in which each patient counts once, with its interval.

A patient's images that show the finding share one vote among the positives, and those that do not share one among the
negatives. The interval is normal on the logit of the AUC; a patient who has images of both kinds adds a covariance.

References
----------
DeLong et al. 1988. Obuchowski 1997 (clustered data). Pepe 2003, section 5.2.2 (interval on the logit).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from training.statistics.metrics import Floats, Interval

Owners = NDArray[np.intp]
"""The patient of each image, ``(images,)``, as a number from 0 up; not every number need occur."""


def patient_shares(owner: Owners) -> Floats:
    """Return the weight of each image, ``(images,)``: one divided by the number of its patient's images."""
    return np.asarray(1 / np.bincount(owner)[owner], np.float64)


def patient_means(owner: Owners, *values: Floats | NDArray[np.bool_]) -> list[Floats]:
    """Return each patient's mean of values of the images, ``(patients,)`` each.

    Parameters
    ----------
    owner
        The patients.
    *values
        ``(images,)`` each.
    """
    images = np.bincount(owner)
    has = images > 0
    return [np.bincount(owner, value)[has] / images[has] for value in values]


def patient_count(owner: Owners) -> int:
    """Return the number of patients."""
    return int((np.bincount(owner) > 0).sum())


def patient_auc(scores: Floats, labels: NDArray[np.bool_], owner: Owners, confidence: float = 0.95) -> Interval:
    """Return the AUC with its two-sided interval; NaN without a positive or a negative.

    Parameters
    ----------
    scores, labels
        ``(images,)``; the label says whether the image shows the finding.
    owner
        The patients.
    confidence
        Of the interval, in (0, 1).

    Returns
    -------
    The interval. With fewer than two positive or two negative patients its ends are 0 and 1.
    """
    positive, negative = _Votes(scores[labels], owner[labels]), _Votes(scores[~labels], owner[~labels])
    if not positive.voters or not negative.voters:
        return Interval(math.nan, math.nan, math.nan)
    patients = int(owner.max()) + 1
    won = positive.means(negative.below(positive.scores), patients)
    beaten = negative.means(1 - positive.below(negative.scores), patients)
    auc = float(won.sum() / positive.voters)
    if min(positive.voters, negative.voters) < 2:
        return Interval(auc, 0.0, 1.0)
    first = np.where(positive.means(1.0, patients) > 0, won - auc, 0) / positive.voters
    second = np.where(negative.means(1.0, patients) > 0, beaten - auc, 0) / negative.voters
    variance = (
        (first**2).sum() * positive.voters / (positive.voters - 1)
        + (second**2).sum() * negative.voters / (negative.voters - 1)
        + 2 * (first * second).sum()
    )
    inside = min(max(auc, 1e-9), 1 - 1e-9)
    reach = ndtri((1 + confidence) / 2) * math.sqrt(max(variance, 0)) / (inside * (1 - inside))
    return Interval(auc, float(expit(logit(inside) - reach)), float(expit(logit(inside) + reach)))


class _Votes:
    """The images of one kind, sorted by score, with a vote for each patient."""

    def __init__(self, scores: Floats, owner: Owners) -> None:
        self.scores, self.voters = scores, patient_count(owner)
        self._owner, self._weights = owner, patient_shares(owner)
        order = np.argsort(scores)
        self._sorted, self._sums = scores[order], np.concatenate([[0.0], np.cumsum(self._weights[order])])

    def below(self, scores: Floats) -> Floats:
        """Return the share of the votes below each score; equal scores count half."""
        sides = [self._sums[np.searchsorted(self._sorted, scores, side)] for side in ("left", "right")]
        return np.asarray(sum(sides) / 2 / self.voters, np.float64)

    def means(self, values: Floats | float, patients: int) -> Floats:
        """Return each patient's mean of a value, 0 without an image of this kind: ``(patients,)``."""
        return np.asarray(np.bincount(self._owner, values * self._weights, minlength=patients), np.float64)
