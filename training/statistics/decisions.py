"""Yes-or-no answers at a threshold for each finding: sensitivity, specificity and F1, for all resamples at once.

References
----------
Youden 1950 (the threshold). Sokolova and Lapalme 2009 (micro, macro, weighted and samples averages).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.statistics.metrics import Floats, Labels, mean_defined, rank


def youden_thresholds(labels: Labels, scores: Floats) -> Floats:
    """Return the threshold of each finding that maximises sensitivity + specificity.

    Parameters
    ----------
    labels, scores
        ``(images, findings)``, of patients on whom nothing is measured afterwards.

    Returns
    -------
    ``(findings,)``: the answer is "yes" from this score up. It is one of the finding's scores, the highest where
    several are equally good; NaN where a finding has no positive or no negative.
    """
    r = rank(labels, scores)
    positives, negatives = (part.sum(axis=1, keepdims=True) for part in (r.positive, r.negative))
    # sensitivity + specificity - 1, times both counts: whole numbers, so that equally good thresholds compare equal
    gain = np.cumsum(r.positive, axis=1) * negatives - np.cumsum(r.negative, axis=1) * positives
    gain = np.where(r.ends, gain, -np.inf)
    place = np.argmax(gain, axis=1)
    chosen = scores[r.order[np.arange(len(place)), place], np.arange(len(place))]
    return np.where((positives * negatives)[:, 0] > 0, chosen, np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Weighted counts of right and wrong answers, each ``(resamples, findings)``."""

    true_positive: Floats
    false_positive: Floats
    false_negative: Floats
    true_negative: Floats

    @property
    def sensitivity(self) -> Floats:
        """Share of the positives that is answered "yes"; NaN without a positive."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> Floats:
        """Share of the negatives that is answered "no"; NaN without a negative."""
        return _ratio(self.true_negative, self.true_negative + self.false_positive)

    @property
    def f1(self) -> Floats:
        """2 TP / (2 TP + FP + FN); NaN where no answer is "yes" and no image has the finding."""
        return _f1(self.true_positive, self.false_positive, self.false_negative)

    @property
    def micro_f1(self) -> Floats:
        """F1 over all findings together: ``(resamples,)``."""
        return _f1(*(c.sum(axis=1) for c in (self.true_positive, self.false_positive, self.false_negative)))

    @property
    def macro_f1(self) -> Floats:
        """Mean over the findings of their defined F1: ``(resamples,)``."""
        return mean_defined(self.f1)

    @property
    def weighted_f1(self) -> Floats:
        """Mean of the findings' F1, weighted by their positives: ``(resamples,)``."""
        positives = self.true_positive + self.false_negative
        return _ratio((np.nan_to_num(self.f1) * positives).sum(axis=1), positives.sum(axis=1))


def count(labels: Labels, called: NDArray[np.bool_], weights: Floats | None = None) -> Counts:
    """Count right and wrong answers.

    Parameters
    ----------
    labels
        ``(images, findings)``; an answer counts only where its label is not NaN.
    called
        ``(images, findings)``: whether the answer is "yes".
    weights
        ``(resamples, images)``; None is one resample, the images as they are.
    """
    truth = np.asarray(labels, np.float64)
    there, absent = truth > 0, truth <= 0
    rows = np.ones((1, len(truth))) if weights is None else weights
    kinds = (there & called, absent & called, there & ~called, absent & ~called)
    return Counts(*(np.asarray(rows @ kind, np.float64) for kind in kinds))


def samples_f1(labels: Labels, called: NDArray[np.bool_], weights: Floats | None = None) -> Floats:
    """Return the mean over the images of each image's F1 over its findings: ``(resamples,)``.

    An image without a finding and without a "yes" has no F1 and is left out.

    Parameters
    ----------
    labels, called, weights
        As for :func:`count`.
    """
    truth = np.asarray(labels, np.float64)
    there, absent = truth > 0, truth <= 0
    sums = ((there & called).sum(axis=1), (absent & called).sum(axis=1), (there & ~called).sum(axis=1))
    image = _f1(*(np.asarray(part, np.float64) for part in sums))
    rows = np.ones((1, len(truth))) if weights is None else weights
    return _ratio(rows @ np.nan_to_num(image), rows @ ~np.isnan(image))


def _f1(true_positive: Floats, false_positive: Floats, false_negative: Floats) -> Floats:
    return _ratio(2 * true_positive, 2 * true_positive + false_positive + false_negative)


def _ratio(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / whole, np.float64)
