"""The team: a reader answers what the gate defers, compared with the model alone and the reader alone.

Everything is an expected count, so nothing depends on a draw. A reader is the probability of a "yes" to each question,
0 or 1 for a real reader. Answers that tie at the border of the deferred share are deferred in part. A gate that defers
at random lies on the line between model and reader; only what is above that line is the gate's merit.

References
----------
Madras et al. 2018. Raghu et al. 2018. Bernhardt et al. 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from training.statistics.decisions import Counts
from training.statistics.metrics import Floats
from training.statistics.risk import Bools

WORKLOADS: Final = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Shares of the questions that the reader is asked."""


def simulated_reader(labels: Floats, sensitivity: float, specificity: float) -> Floats:
    """Return P("yes") of a reader whose errors depend only on the truth: ``(images, findings)``.

    Parameters
    ----------
    labels
        ``(images, findings)``; NaN gives NaN.
    sensitivity, specificity
        In [0, 1].

    Raises
    ------
    ValueError
        Sensitivity or specificity is not in [0, 1].
    """
    for share in (sensitivity, specificity):
        if not 0 <= share <= 1:
            raise ValueError(f"sensitivity and specificity lie in [0, 1], not at {share}")
    return np.where(np.isnan(labels), np.nan, np.where(labels > 0, sensitivity, 1 - specificity))


def deferred_share(uncertainty: Floats, asked: Bools, workload: float, *, together: bool = False) -> Floats:
    """Return how much of each question is deferred: 1 or 0, or a part where questions tie at the border.

    Parameters
    ----------
    uncertainty
        ``(images, findings)``, on any scale; the greatest are deferred first.
    asked
        ``(images, findings)``: questions that are not asked are not deferred.
    workload
        Share of the questions to defer, in [0, 1].
    together
        Whether it is a share of all questions; else it is one of each finding's.

    Returns
    -------
    ``(images, findings)`` in [0, 1].
    """
    if together:
        flat = _deferred(uncertainty.reshape(-1), asked.reshape(-1), workload)
        return flat.reshape(uncertainty.shape)
    columns = range(uncertainty.shape[1])
    return np.stack([_deferred(uncertainty[:, k], asked[:, k], workload) for k in columns], axis=1)


def _deferred(uncertainty: Floats, asked: Bools, workload: float) -> Floats:
    values, group, sizes = np.unique(uncertainty[asked], return_inverse=True, return_counts=True)
    deferred = np.zeros(len(uncertainty))
    if not len(values):
        return deferred
    more_uncertain = sizes.sum() - np.cumsum(sizes)
    part = np.clip((workload * sizes.sum() - more_uncertain) / sizes, 0, 1)
    deferred[asked] = part[group]
    return deferred


@dataclass(frozen=True, slots=True, eq=False)
class Answered(Counts):
    """Expected counts of right and wrong answers, each ``(resamples, columns)``; the last is over all findings."""

    @property
    def balanced_accuracy(self) -> Floats:
        """Mean of sensitivity and specificity: 0.5 for always answering "absent"."""
        return (self.sensitivity + self.specificity) / 2

    @property
    def accuracy(self) -> Floats:
        """Share of right answers."""
        return (self.true_positive + self.true_negative) / self.size

    @property
    def always_absent(self) -> Floats:
        """Accuracy of always answering "absent"."""
        return (self.false_positive + self.true_negative) / self.size

    @property
    def size(self) -> Floats:
        """Number of questions asked; NaN where it is 0."""
        total = self.true_positive + self.false_positive + self.false_negative + self.true_negative
        return np.where(total > 0, total, np.nan)


def answered(labels: Floats, yes: Floats, weights: Floats | None = None) -> Answered:
    """Count the answers of a reader who says "yes" with a probability.

    Parameters
    ----------
    labels
        ``(images, findings)``: 1, 0, or NaN where the question does not count.
    yes
        ``(images, findings)``: P("yes"), in [0, 1]; NaN is not counted.
    weights
        ``(resamples, images)``; None is one resample.
    """
    rows = np.ones((1, len(labels))) if weights is None else weights
    asked = ~np.isnan(labels) & ~np.isnan(yes)
    there, given = labels > 0, np.nan_to_num(yes)
    kinds = (there * given, ~there * given, there * (1 - given), ~there * (1 - given))
    by_finding = [rows @ (kind * asked) for kind in kinds]
    return Answered(*(np.concatenate([c, c.sum(axis=1, keepdims=True)], axis=1) for c in by_finding))


@dataclass(frozen=True, slots=True, eq=False)
class Team:
    """The team at one workload, and random deferral on the same questions.

    Parameters
    ----------
    deferred
        Share of the questions that the reader is asked.
    images_spared
        Share of the images of which no question is deferred, so that the reader need not look at them.
    random
        The answers if the same share were deferred at random.
    """

    workload: float
    deferred: float
    images_spared: float
    team: Answered
    random: Answered


@dataclass(frozen=True, slots=True, eq=False)
class Teams:
    """Model alone, reader alone, and the team at each workload."""

    model: Answered
    reader: Answered
    teams: tuple[Team, ...]


def teams(
    labels: Floats,
    called: Bools,
    uncertainty: Floats,
    reader: Floats,
    weights: Floats | None = None,
    *,
    workloads: Sequence[float] = WORKLOADS,
    together: bool = False,
) -> Teams:
    """Return the answers of model, reader and team, where the reader answers what the gate defers.

    Parameters
    ----------
    labels
        ``(images, findings)``; NaN where unknown.
    called, uncertainty
        ``(images, findings)``: the model's answers, and how unsure each is.
    reader
        ``(images, findings)``: P("yes"), 0 or 1 for a real reader; NaN where not read. Such questions are left out for
        the model too, so that all are measured on the same questions.
    weights
        ``(resamples, images)``; None is one resample. Who is deferred is decided once, on the images as they are.
    workloads
        Shares of the questions that are deferred, each in [0, 1].
    together
        As for :func:`deferred_share`.
    """
    asked = ~np.isnan(labels) & ~np.isnan(reader)
    truth, read = np.where(asked, labels, np.nan), np.nan_to_num(reader)
    model = called.astype(np.float64)
    found = []
    for workload in workloads:
        deferred = deferred_share(uncertainty, asked, workload, together=together)
        found.append(
            Team(
                workload,
                float(deferred[asked].mean()) if asked.any() else float("nan"),
                _spared(deferred, asked),
                answered(truth, deferred * read + (1 - deferred) * model, weights),
                answered(truth, workload * read + (1 - workload) * model, weights),
            )
        )
    return Teams(answered(truth, model, weights), answered(truth, read, weights), tuple(found))


def _spared(deferred: Floats, asked: Bools) -> float:
    """Return the share of the images with a question that have no question deferred, not even in part."""
    counted = asked.any(axis=1)
    return float((deferred[counted] == 0).all(axis=1).mean()) if counted.any() else float("nan")
