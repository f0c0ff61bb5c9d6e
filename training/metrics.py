"""Areas under the ROC curve with bootstrap intervals by patient, and the calibration error.

Resampling patients only changes the weights of the images, so each finding is sorted once and every resample is
one weighted pass over the sorted order.

References
----------
Fawcett 2006 (ROC). Guo et al. 2017 (expected calibration error).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the ends of its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def weighted_auc(labels: NDArray[np.bool_], scores: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve for many weightings of the same images; ties count half.

    Parameters
    ----------
    labels, scores
        ``(images,)``.
    weights
        ``(resamples, images)``, at least 0.

    Returns
    -------
    ``(resamples,)``; NaN where a weighting leaves no positive or no negative.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])  # one group for each distinct score
    positive = np.add.reduceat(weights[:, order] * labels[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * ~labels[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    totals = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((positive * below).sum(axis=1) / totals, np.float64)


def aucs(labels: NDArray[np.bool_], scores: Floats, weights: Floats | None = None) -> Floats:
    """:func:`weighted_auc` for every finding: ``(resamples, findings)`` from ``(images, findings)`` arrays."""
    rows = np.ones((1, len(labels))) if weights is None else weights
    return np.stack([weighted_auc(labels[:, k], scores[:, k], rows) for k in range(labels.shape[1])], axis=1)


def mean_defined(values: Floats) -> Floats:
    """Mean over the findings, ``(resamples, findings)`` to ``(resamples,)``, of the values that are defined.

    NaN where none is.
    """
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1), np.float64)


def patient_weights(patients: NDArray[np.str_], resamples: int, seed: int) -> Floats:
    """How often each image is drawn when patients are drawn with replacement: ``(resamples, images)``."""
    names, owner = np.unique(patients, return_inverse=True)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return np.asarray(draws[:, owner], np.float64)


def interval(value: float, resampled: Floats) -> Interval:
    """Take the percentile interval of a bootstrap; resamples that leave it undefined are left out."""
    if np.all(np.isnan(resampled)):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.nanquantile(resampled, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def expected_calibration_error(labels: NDArray[np.bool_], probabilities: Floats, bins: int = 15) -> float:
    """Mean gap between probability and frequency over bins of equal width, weighted by their counts."""
    index = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    gap = np.bincount(index, weights=probabilities - labels, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))
