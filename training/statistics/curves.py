"""ROC and precision-recall curves of one finding, their micro and macro averages, and co-occurrence.

References
----------
Fawcett 2006 (ROC and its averages). Davis and Goadrich 2006 (precision-recall).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.statistics.metrics import Floats, Labels, rank

GRID: Final = np.linspace(0, 1, 1001)
"""The values of ``x`` at which the macro averages are computed."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Points of a curve from the highest threshold to the lowest, ``(points,)`` each, in [0, 1].

    For a ROC curve ``x`` is 1 - specificity and ``y`` sensitivity. For a precision-recall curve they are recall and
    precision.
    """

    x: Floats
    y: Floats


def roc(labels: Labels, scores: Floats) -> Curve:
    """Return the ROC curve of one finding: one point for each distinct score, from (0, 0) to (1, 1).

    Parameters
    ----------
    labels
        ``(images,)``; NaN is left out. There must be a positive and a negative.
    scores
        ``(images,)``, on any scale; the finding is called from a threshold up.
    """
    found, alarms = _cumulative(labels, scores)
    return Curve(np.r_[0.0, alarms / alarms[-1]], np.r_[0.0, found / found[-1]])


def precision_recall(labels: Labels, scores: Floats) -> Curve:
    """Return the precision-recall curve of one finding: one point for each distinct score.

    It begins at recall 0 with precision 1 by convention.

    Parameters
    ----------
    labels
        ``(images,)``; NaN is left out. There must be a positive.
    scores
        ``(images,)``, on any scale; the finding is called from a threshold up.
    """
    found, alarms = _cumulative(labels, scores)
    return Curve(np.r_[0.0, found / found[-1]], np.r_[1.0, found / (found + alarms)])


def _cumulative(labels: Labels, scores: Floats) -> tuple[Floats, Floats]:
    """Count the positives and the negatives at or above each distinct score, highest first; NaN labels are left out."""
    known = ~np.isnan(labels)
    r = rank(labels[known][:, np.newaxis], scores[known][:, np.newaxis])
    return np.cumsum(r.positive[0])[r.ends[0]], np.cumsum(r.negative[0])[r.ends[0]]


def with_both(labels: Labels) -> list[int]:
    """Return the columns of ``(images, findings)`` labels that have a positive and a negative."""
    truth = np.asarray(labels, np.float64)
    return [k for k in range(truth.shape[1]) if (truth[:, k] > 0).any() and (truth[:, k] <= 0).any()]


def micro_roc(labels: Labels, probabilities: Floats) -> Curve:
    """Return the ROC curve of all answers to all findings together.

    Parameters
    ----------
    labels
        ``(images, findings)``; NaN is left out.
    probabilities
        ``(images, findings)``; all findings must be on one scale.
    """
    return roc(labels.ravel(), probabilities.ravel())


def micro_precision_recall(labels: Labels, probabilities: Floats) -> Curve:
    """Return the precision-recall curve of all answers to all findings together.

    Parameters
    ----------
    labels
        ``(images, findings)``; NaN is left out.
    probabilities
        ``(images, findings)``; all findings must be on one scale.
    """
    return precision_recall(labels.ravel(), probabilities.ravel())


def macro_roc(labels: Labels, scores: Floats) -> Curve:
    """Return the mean ROC curve: the mean over the findings of the sensitivity reached up to each 1 - specificity.

    A finding without both classes is left out; at least one must have both.

    Parameters
    ----------
    labels, scores
        ``(images, findings)``; each finding's scores may have a scale of their own.
    """
    curves = [roc(labels[:, k], scores[:, k]) for k in with_both(labels)]
    return Curve(GRID, np.mean([c.y[np.searchsorted(c.x, GRID, side="right") - 1] for c in curves], axis=0))


def macro_precision_recall(labels: Labels, scores: Floats) -> Curve:
    """Return the mean precision-recall curve: the findings' mean precision where each of them first reaches a recall.

    Its area is the mean of their average precisions. A finding without both classes is left out; at least one must have
    both.

    Parameters
    ----------
    labels, scores
        ``(images, findings)``; each finding's scores may have a scale of their own.
    """
    curves = [precision_recall(labels[:, k], scores[:, k]) for k in with_both(labels)]
    return Curve(GRID, np.mean([c.y[np.searchsorted(c.x, GRID, side="left")] for c in curves], axis=0))


def cooccurrence(labels: Labels) -> NDArray[np.int64]:
    """Count the images that have both findings of each pair: ``(findings, findings)``."""
    there = (np.asarray(labels, np.float64) > 0).astype(np.int64)
    return np.asarray(there.T @ there, np.int64)
