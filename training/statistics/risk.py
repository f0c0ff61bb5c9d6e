"""Risk against coverage: how many answers are wrong once the least sure ones are deferred.

Answers are kept from the surest down. Among the k surest of n answers there are E(k) errors. The selective risk is
E(k) / k, and AURC is its mean over k = 1 ... n; it gives the first few answers great weight. The generalized risk,
E(k) / n, is how often an answer is kept and wrong. AUGRC is its area over the coverage k / n, by trapezoids; it equals
``(1 - AUC) a (1 - a) + (1 - a)^2 / 2`` for an accuracy a and the AUC of the sureness for right against wrong answers.
E-AURC is AURC less that of the best order, in which all errors come last. Ties count with their expected value over
all orders.

References
----------
El-Yaniv and Wiener 2010 (risk and coverage). Geifman and El-Yaniv 2017. Geifman et al. 2019 (E-AURC).
Traub et al. 2024 (AUGRC).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.statistics.decisions import Counts
from training.statistics.metrics import Floats
from training.statistics.risk_kernels import Draws, kept_counts, risk_areas

Bools = NDArray[np.bool_]

_TRUE_POSITIVE, _FALSE_POSITIVE, _FALSE_NEGATIVE, _TRUE_NEGATIVE, _UNKNOWN = 0, 1, 2, 3, -1

COVERAGES: Final = (0.5, 0.7, 0.8, 0.9, 1.0)
"""Coverages at which figures are reported: shares of the answers that are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """Answers sorted by uncertainty, the surest first, once for all weightings.

    Parameters
    ----------
    owner
        ``(columns, answers)`` int32: index of the image that the answer belongs to; its weight counts.
    kind
        ``(columns, answers)`` int8: 0 true positive, 1 false positive, 2 false negative, 3 true negative, -1 where
        the truth is unknown.
    ends
        ``(columns, answers)``: whether the next answer's uncertainty differs, so that a group of ties ends here.
    """

    owner: NDArray[np.int32]
    kind: NDArray[np.int8]
    ends: Bools


def by_finding(labels: Floats, called: Bools, uncertainty: Floats) -> Ordered:
    """Sort the answers of each finding by uncertainty, the surest first: a column for each finding.

    Parameters
    ----------
    labels
        ``(images, findings)``: 1 present, 0 absent, NaN unknown.
    called
        ``(images, findings)``: whether the answer is "present".
    uncertainty
        ``(images, findings)``, on any scale; answers with a greater one are deferred earlier.

    Raises
    ------
    ValueError
        An uncertainty is NaN, or the shapes differ.
    """
    _check(labels, called, uncertainty)
    order = np.argsort(uncertainty.T, axis=1, kind="stable")
    return _ordered(order, _kinds(labels, called).T, uncertainty.T, order)


def pooled(labels: Floats, called: Bools, uncertainty: Floats) -> Ordered:
    """Sort the answers to all findings together by uncertainty, the surest first: one column.

    Parameters
    ----------
    labels, called, uncertainty
        As for :func:`by_finding`.

    Raises
    ------
    ValueError
        An uncertainty is NaN, or the shapes differ.
    """
    _check(labels, called, uncertainty)
    order = np.argsort(uncertainty.ravel(), kind="stable")[np.newaxis]
    kinds, sure = _kinds(labels, called).reshape(1, -1), uncertainty.reshape(1, -1)
    return _ordered(order, kinds, sure, order // labels.shape[1])


def _ordered(
    order: NDArray[np.int64], kinds: NDArray[np.int8], uncertainty: Floats, owner: NDArray[np.int64]
) -> Ordered:
    sure = np.take_along_axis(uncertainty, order, axis=1)
    ends = np.concatenate([np.diff(sure, axis=1) != 0, np.ones((len(sure), 1), np.bool_)], axis=1)
    return Ordered(owner.astype(np.int32), np.take_along_axis(kinds, order, axis=1), ends)


def _check(labels: Floats, called: Bools, uncertainty: Floats) -> None:
    if not labels.shape == called.shape == uncertainty.shape:
        raise ValueError(
            f"labels {labels.shape}, answers {called.shape} and uncertainties {uncertainty.shape} must be alike"
        )
    if np.isnan(uncertainty).any():
        raise ValueError("an uncertainty is NaN; give every answer a place in the order")


def _kinds(labels: Floats, called: Bools) -> NDArray[np.int8]:
    positive = np.where(called, _TRUE_POSITIVE, _FALSE_NEGATIVE)
    negative = np.where(called, _FALSE_POSITIVE, _TRUE_NEGATIVE)
    known = np.where(labels > 0, positive, negative)
    return np.where(np.isnan(labels), _UNKNOWN, known).astype(np.int8)


@dataclass(frozen=True, slots=True, eq=False)
class Areas:
    """Areas under the risk-coverage curves, each ``(resamples, columns)``; smaller is better.

    NaN where a weighting leaves no answer with a known label.
    """

    aurc: Floats
    excess_aurc: Floats
    augrc: Floats


def areas(ordered: Ordered, weights: Floats | None = None) -> Areas:
    """Return AURC, E-AURC and AUGRC, for many weightings of the same images.

    Parameters
    ----------
    ordered
        The answers, from :func:`by_finding` or :func:`pooled`.
    weights
        ``(resamples, images)``: how often each image was drawn; None is one resample, the images as they are.
    """
    rows = _whole_weights(ordered, weights)
    most = int(_known_counts(ordered, rows).max(initial=0))
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, most + 1))])
    found = risk_areas(rows, ordered.owner, ordered.kind, ordered.ends, harmonic)
    return Areas(*(np.asarray(found[..., k], np.float64) for k in range(3)))


def _whole_weights(ordered: Ordered, weights: Floats | None) -> Draws:
    """Return the weights as whole numbers; None becomes one row of ones.

    Raises
    ------
    ValueError
        A weight is not a whole number of at least 0.
    """
    if weights is None:
        return np.ones((1, int(ordered.owner.max(initial=-1)) + 1), np.int32)
    drawn = weights.astype(np.int32)
    if (drawn < 0).any() or not np.array_equal(drawn, weights):
        raise ValueError("a weight is how often an image was drawn; give whole numbers of at least 0")
    return drawn


def _known_counts(ordered: Ordered, rows: Draws) -> NDArray[np.int64]:
    """Count the answers with a known label under each weighting: ``(resamples, columns)``."""
    counted = [
        np.bincount(o[k >= 0], minlength=rows.shape[1]) for o, k in zip(ordered.owner, ordered.kind, strict=True)
    ]
    return np.asarray(np.rint(rows.astype(np.float64) @ np.stack(counted, axis=1)), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Kept(Counts):
    """Expected counts of the answers that are kept, each ``(resamples, columns, coverages)``."""

    @property
    def size(self) -> Floats:
        """Number of answers that are kept."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def accuracy(self) -> Floats:
        """Share of the kept answers that are right."""
        return ratio(self.true_positive + self.true_negative, self.size)

    @property
    def always_absent(self) -> Floats:
        """Accuracy of answering "absent" to everything that is kept, the baseline for ``accuracy``."""
        return ratio(self.false_positive + self.true_negative, self.size)

    @property
    def npv(self) -> Floats:
        """Share of the kept "absent" answers that are right; its baseline is ``always_absent``, 1 - prevalence."""
        return ratio(self.true_negative, self.true_negative + self.false_negative)

    @property
    def ppv(self) -> Floats:
        """Share of the kept "present" answers that are right."""
        return ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def missed(self) -> Floats:
        """Number of positives that are kept with the answer "absent"."""
        return self.false_negative


def kept(ordered: Ordered, coverages: Floats, weights: Floats | None = None) -> Kept:
    """Count the kept answers at each coverage.

    Parameters
    ----------
    ordered
        The answers, from :func:`by_finding` or :func:`pooled`.
    coverages
        ``(coverages,)`` in [0, 1], rising: the share of the known answers that is kept.
    weights
        As for :func:`areas`.
    """
    if (np.diff(coverages) < 0).any():
        raise ValueError(f"the coverages {coverages} must rise")
    rows = _whole_weights(ordered, weights)
    totals = _known_counts(ordered, rows)
    counts = kept_counts(rows, ordered.owner, ordered.kind, ordered.ends, totals, coverages)
    return Kept(*(np.asarray(counts[..., k], np.float64) for k in (0, 1, 2, 3)))


def ratio(part: Floats, whole: Floats) -> Floats:
    """Divide two arrays; NaN where the whole is 0.

    Parameters
    ----------
    part, whole
        Of shapes that broadcast.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / whole, np.float64)
