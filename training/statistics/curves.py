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
"""Where the macro averages are read."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Points from the highest threshold to the lowest, ``(points,)`` each, in [0, 1].

    Of a ROC curve ``x`` is 1 - specificity and ``y`` sensitivity; of a precision-recall curve recall and precision.
    """

    x: Floats
    y: Floats


def roc(labels: Labels, scores: Floats) -> Curve:
    """ROC curve of ``(images,)`` labels and scores, one point for each distinct score, from (0, 0) to (1, 1).

    Both classes must be there.
    """
    found, alarms = _cumulative(labels, scores)
    return Curve(np.r_[0.0, alarms / alarms[-1]], np.r_[0.0, found / found[-1]])


def precision_recall(labels: Labels, scores: Floats) -> Curve:
    """Precision-recall curve of ``(images,)`` labels and scores, one point for each distinct score.

    It begins at recall 0 with precision 1 by convention; a positive must be there.
    """
    found, alarms = _cumulative(labels, scores)
    return Curve(np.r_[0.0, found / found[-1]], np.r_[1.0, found / (found + alarms)])


def _cumulative(labels: Labels, scores: Floats) -> tuple[Floats, Floats]:
    """Positives and negatives with at least each distinct score, highest first; unknown labels are left out."""
    known = ~np.isnan(labels)
    r = rank(labels[known][:, np.newaxis], scores[known][:, np.newaxis])
    return np.cumsum(r.positive[0])[r.ends[0]], np.cumsum(r.negative[0])[r.ends[0]]


def with_both(labels: Labels) -> list[int]:
    """Columns of ``(images, findings)`` labels that have a positive and a negative."""
    truth = np.asarray(labels, np.float64)
    return [k for k in range(truth.shape[1]) if (truth[:, k] > 0).any() and (truth[:, k] <= 0).any()]


def micro_roc(labels: Labels, probabilities: Floats) -> Curve:
    """ROC curve of all answers to all findings together: the probabilities must be on one scale."""
    return roc(labels.ravel(), probabilities.ravel())


def micro_precision_recall(labels: Labels, probabilities: Floats) -> Curve:
    """Precision-recall curve of all answers to all findings together."""
    return precision_recall(labels.ravel(), probabilities.ravel())


def macro_roc(labels: Labels, scores: Floats) -> Curve:
    """Mean over the findings of the sensitivity that is reached with no more than each 1 - specificity.

    A finding without both classes is left out; one must have both.
    """
    curves = [roc(labels[:, k], scores[:, k]) for k in with_both(labels)]
    return Curve(GRID, np.mean([c.y[np.searchsorted(c.x, GRID, side="right") - 1] for c in curves], axis=0))


def macro_precision_recall(labels: Labels, scores: Floats) -> Curve:
    """Mean over the findings of the precision where each recall is first reached.

    Its area is the mean of their average precisions. A finding without both classes is left out; one must have both.
    """
    curves = [precision_recall(labels[:, k], scores[:, k]) for k in with_both(labels)]
    return Curve(GRID, np.mean([c.y[np.searchsorted(c.x, GRID, side="left")] for c in curves], axis=0))


def cooccurrence(labels: Labels) -> NDArray[np.int64]:
    """How many images have both findings: ``(findings, findings)``, the findings' own counts on the diagonal."""
    there = (np.asarray(labels, np.float64) > 0).astype(np.int64)
    return np.asarray(there.T @ there, np.int64)
