"""Thresholds with a guarantee: each finding misses at most a stated share of its positives, with a stated confidence.

ABSENT up to ``lo``: of the finding's positives at most a stated share falls there. The number of n positives
that fall at or below a threshold with true share r is binomial(n, r), so an exact test can reject "r is more
than allowed"; thresholds are tested from the lowest, the safest, up, until one fails. PRESENT from ``hi`` up: of the
images there at least a stated share are positive, tested likewise from the highest score down to 0.5, below which
PRESENT would be less likely than not.

Tests in an order that does not depend on the labels, each at the full level, up to the first failure, keep the
confidence for the threshold that is chosen, whichever it is. The order is that of the scores. For ``lo`` that is all
that is needed: the share missed can only grow with the threshold, so that the tests come to one order statistic of the
positives, and any threshold below it keeps the confidence. For ``hi`` a higher score must not mean a rarer finding.
A calibration that was fitted to the same patients keeps the order of the scores, and so the guarantee of ``lo``; where
isotonic regression makes the highest scores equal, that of ``hi`` holds only nearly.

Draws must be independent: one image a patient, see :mod:`training.gate.draws`.

References
----------
Clopper and Pearson 1934 (exact binomial test). Wilks 1941 (order statistics as bounds). Angelopoulos et al. 2021 (learn
then test, fixed sequence). Fisher 1935 (exact test).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.stats import binom, hypergeom

from candor.decide.gate import Thresholds
from training.calibration.scaling import Bools, Floats
from training.gate.draws import Draws, column
from training.gate.promise import Promise

EVEN: Final = 0.5
"""ABSENT is said below it and PRESENT from it up: neither contradicts its own probability."""


def lower_threshold(probabilities: Floats, labels: Bools, promise: Promise) -> float | None:
    """Find the largest probability up to which ABSENT keeps the promise; None where none does.

    Parameters
    ----------
    probabilities, labels
        ``(images,)``, one image a patient.

    Returns
    -------
    One of ``probabilities``, under 0.5.
    """
    positives = np.sort(probabilities[labels])
    allowed = misses_allowed(len(positives), promise)
    if allowed is None:
        return None
    ceiling = min(EVEN, positives[allowed])  # the first miss too many; every smaller threshold passes
    below = probabilities[probabilities < ceiling]
    return float(below.max()) if len(below) else None


def misses_allowed(positives: int, promise: Promise) -> int | None:
    """Count the misses up to which the exact test rejects a share above ``max_missed``; None: not even none."""
    passed = np.flatnonzero(binom.cdf(np.arange(positives), positives, promise.max_missed) <= 1 - promise.confidence)
    return int(passed[-1]) if len(passed) else None


def upper_threshold(probabilities: Floats, labels: Bools, promise: Promise) -> float | None:
    """Find the smallest probability from which PRESENT keeps the promise; None where none does.

    Parameters
    ----------
    probabilities, labels
        ``(images,)``, one image a patient.

    Returns
    -------
    One of ``probabilities``, at least 0.5.
    """
    scores = np.unique(probabilities[probabilities >= EVEN])[::-1]
    above = np.asarray([np.count_nonzero(probabilities >= score) for score in scores], np.int64)
    hits = np.asarray([np.count_nonzero(labels & (probabilities >= score)) for score in scores], np.int64)
    tested = above >= promise.present_needed  # fewer could not pass, whatever their labels
    passed = binom.sf(hits[tested] - 1, above[tested], promise.min_precision) <= 1 - promise.confidence
    run = int(np.argmin(np.append(passed, False)))  # how many pass before the first that fails
    return float(scores[tested][run - 1]) if run else None


def guaranteed(probabilities: Floats, labels: Floats, drawn: Draws, promise: Promise) -> list[Thresholds]:
    """Fit every finding's thresholds to its draws.

    Parameters
    ----------
    probabilities, labels
        ``(images, findings)``.
    """
    return [
        Thresholds(
            supported_lower(*column(probabilities, labels, drawn.showing, k), promise),
            upper_threshold(*column(probabilities, labels, drawn.whatever, k), promise),
        )
        for k in range(labels.shape[1])
    ]


def called(probabilities: Floats, pair: Thresholds) -> tuple[Bools, Bools]:
    """Tell which probabilities are called absent, and which present: arrays of their shape."""
    absent = np.zeros_like(probabilities, np.bool_) if pair.lo is None else probabilities <= pair.lo
    present = np.zeros_like(probabilities, np.bool_) if pair.hi is None else probabilities >= pair.hi
    return np.asarray(absent, np.bool_), np.asarray(present, np.bool_)


def fit_thresholds(probabilities: Floats, labels: Bools, promise: Promise) -> Thresholds:
    """Fit one finding's thresholds to ``(images,)``, one image a patient whatever it shows."""
    return Thresholds(supported_lower(probabilities, labels, promise), upper_threshold(probabilities, labels, promise))


def supported_lower(probabilities: Floats, labels: Bools, promise: Promise) -> float | None:
    """Find the lower threshold, see :func:`lower_threshold`; None too where it tells nothing.

    A threshold that keeps the promise by answering seldom, and not by telling anything, is dropped.
    """
    lo = lower_threshold(probabilities, labels, promise)
    return lo if lo is not None and rarer_than_chance(probabilities <= lo, labels, promise) else None


def rarer_than_chance(absent: Bools, labels: Bools, promise: Promise) -> bool:
    """Tell whether positives are rarer among the images called absent than among as many drawn at random.

    Fisher's exact test, one-sided, at the level of the promise: a network that cannot tell a finding would otherwise
    call a few images absent, break no promise, and say nothing.
    """
    missed = np.count_nonzero(absent & labels)
    by_chance = hypergeom.cdf(missed, len(labels), np.count_nonzero(labels), np.count_nonzero(absent))
    return bool(by_chance <= 1 - promise.confidence)
