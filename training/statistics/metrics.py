"""Areas under the ROC and the precision-recall curve, calibration error and Brier score, with bootstrap intervals.

Resampling patients only changes the weights of the images. So each finding is sorted once, and every resample is one
weighted pass over the sorted images. A mean over images is one matrix product for all resamples. A label that is NaN
is unknown: it counts neither as positive nor as negative.

References
----------
Fawcett 2006 (ROC). Davis and Goadrich 2006 (precision-recall). Efron 1979 (bootstrap), here of patients.
Guo et al. 2017 (expected calibration error). Broecker and Smith 2007 (its floor: consistency resampling). Brier 1950.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.statistics.bootstrap_kernels import precision_areas, roc_areas

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_] | NDArray[np.float32] | Floats
"""``(images, findings)``: true or over 0 where the finding is present, NaN where it is unknown."""

BINS: Final = 15
"""Number of bins of equal width for the calibration error."""

FLOOR_DRAWS: Final = 200
"""How often labels are drawn for the calibration error of probabilities that are exactly right."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the ends of its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @property
    def json(self) -> dict[str, float] | None:
        """The interval for JSON, which has no NaN: null where the estimate or an end is undefined."""
        if np.isnan([self.value, self.low, self.high]).any():
            return None
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Images sorted by each finding's score, highest first, once for all weightings.

    Parameters
    ----------
    order
        ``(findings, images)`` int32: the image at each rank.
    positive, negative
        ``(findings, images)``: ``positive`` is 1 where that image has the finding, ``negative`` where it does not;
        both are 0 where the label is unknown.
    ends
        ``(findings, images)``: whether the next image's score differs, so that a group of equal scores ends here.
    """

    order: NDArray[np.int32]
    positive: Floats
    negative: Floats
    ends: NDArray[np.bool_]


def rank(labels: Labels, scores: Floats) -> Ranking:
    """Sort the images by each finding's score, highest first.

    Parameters
    ----------
    labels, scores
        ``(images, findings)``.
    """
    order = np.argsort(-scores.T, axis=1)
    ordered = np.take_along_axis(scores.T, order, axis=1)
    ends = np.concatenate([np.diff(ordered, axis=1) != 0, np.ones((len(order), 1), np.bool_)], axis=1)
    truth = np.take_along_axis(np.asarray(labels, np.float64).T, order, axis=1)
    return Ranking(order.astype(np.int32), (truth > 0).astype(np.float64), (truth <= 0).astype(np.float64), ends)


def aucs(labels: Labels, scores: Floats, weights: Floats | None = None) -> Floats:
    """Return the area under the ROC curve of every finding, for many weightings of the same images; ties count half.

    Parameters
    ----------
    labels, scores
        ``(images, findings)``.
    weights
        ``(resamples, images)``, at least 0; None is one resample, the images as they are.

    Returns
    -------
    ``(resamples, findings)``; NaN where a weighting leaves no positive or no negative.
    """
    r = rank(labels, scores)
    return roc_areas(_rows(labels, weights), r.order, r.positive, r.negative, r.ends)


def average_precisions(labels: Labels, scores: Floats, weights: Floats | None = None) -> Floats:
    """Return each finding's average precision: the sum of (recall - recall before) x precision over distinct scores.

    Parameters
    ----------
    labels, scores, weights
        As for :func:`aucs`.

    Returns
    -------
    ``(resamples, findings)``; NaN where a weighting leaves no positive.
    """
    r = rank(labels, scores)
    return precision_areas(_rows(labels, weights), r.order, r.positive, r.negative, r.ends)


def _rows(labels: Labels, weights: Floats | None) -> Floats:
    return np.ones((1, len(labels))) if weights is None else np.ascontiguousarray(weights, np.float64)


def mean_defined(values: Floats) -> Floats:
    """Return the mean over the findings, leaving out NaN: ``(resamples, findings)`` to ``(resamples,)``.

    NaN where all findings are NaN.
    """
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1), np.float64)


def patient_weights(patients: NDArray[np.str_], resamples: int, seed: int) -> Floats:
    """Draw patients with replacement, and return how often each image is drawn: ``(resamples, images)``.

    Parameters
    ----------
    patients
        ``(images,)``: the patient of each image; all images of a patient are drawn together.
    resamples
        Number of bootstrap resamples.
    seed
        Seed of the draw; the same seed and patients give the same weights.
    """
    names, owner = np.unique(patients, return_inverse=True)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return np.asarray(draws[:, owner], np.float64)


def interval(value: float, resampled: Floats) -> Interval:
    """Return a value with its 95% bootstrap interval, by percentiles.

    Parameters
    ----------
    value
        The estimate from the images as they are.
    resampled
        ``(resamples,)``: the estimate of each resample; NaN is left out.
    """
    if np.all(np.isnan(resampled)):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.nanquantile(resampled, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def bins_of(probabilities: Floats, bins: int = BINS) -> NDArray[np.int64]:
    """Return the index of the bin that each probability falls into; the bins have equal width over [0, 1].

    Parameters
    ----------
    probabilities
        Any shape, in [0, 1]; 1 falls into the last bin.
    bins
        Number of bins.
    """
    return np.minimum((probabilities * bins).astype(np.int64), bins - 1)


def calibration_errors(
    labels: Labels, probabilities: Floats, weights: Floats | None = None, bins: int = BINS
) -> Floats:
    """Return the expected calibration error: the gap of probability and frequency, averaged over bins by their counts.

    Parameters
    ----------
    labels, probabilities
        ``(images, findings)``.
    weights
        As for :func:`aucs`.
    bins
        Number of bins.

    Returns
    -------
    ``(resamples, findings)``; NaN where a weighting leaves no image with a known label.
    """
    rows, truth = _rows(labels, weights), np.asarray(labels, np.float64)
    known, index = ~np.isnan(truth), bins_of(probabilities, bins)
    gaps = np.where(known, probabilities - (truth > 0), 0.0)
    totals = [
        np.abs(rows @ (gaps[:, [k]] * (index[:, [k]] == np.arange(bins)))).sum(axis=1) for k in range(truth.shape[1])
    ]
    return _divided(np.stack(totals, axis=1), rows @ known)


def calibration_floors(labels: Labels, probabilities: Floats, draws: int = FLOOR_DRAWS, seed: int = 0) -> Floats:
    """Return the mean calibration error that exactly right probabilities have in a sample of this size.

    The labels are drawn from the probabilities themselves.

    Parameters
    ----------
    labels, probabilities
        ``(images, findings)``; of the labels only those that are not known (NaN) count.
    draws
        How often labels are drawn.
    seed
        Seed of the draws.

    Returns
    -------
    ``(findings,)``; NaN without a known label.
    """
    rng, unknown = np.random.default_rng(seed), np.isnan(np.asarray(labels, np.float64))
    drawn = (np.where(unknown, np.nan, rng.random(probabilities.shape) < probabilities) for _ in range(draws))
    return np.asarray(np.mean([calibration_errors(each, probabilities)[0] for each in drawn], axis=0), np.float64)


def brier_scores(labels: Labels, probabilities: Floats, weights: Floats | None = None) -> Floats:
    """Return the Brier score: the mean squared distance of the probability from the label, 0 or 1.

    Parameters
    ----------
    labels, probabilities
        ``(images, findings)``.
    weights
        As for :func:`aucs`.

    Returns
    -------
    ``(resamples, findings)``; NaN where a weighting leaves no image with a known label.
    """
    rows, truth = _rows(labels, weights), np.asarray(labels, np.float64)
    known = ~np.isnan(truth)
    squares = np.where(known, (probabilities - (truth > 0)) ** 2, 0.0)
    return _divided(rows @ squares, rows @ known)


def _divided(sums: Floats, counts: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / counts, np.float64)
