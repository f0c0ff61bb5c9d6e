"""Thresholds with a guarantee: each finding misses at most a stated share of its positives, with a stated confidence.

ABSENT is said up to ``lo``, where at most a stated share of the finding's positives falls. If the true share is r, the
number of n positives at or below a threshold is binomial(n, r), so an exact test can reject "r is more than allowed".
Thresholds are tested from the lowest, which is the safest, upwards until one fails. PRESENT is said from ``hi``, where
at least a stated share of the images is positive. That is tested in the same way from the highest score down to 0.5,
below which PRESENT would be less likely than not.

The tests are in the order of the scores, which does not depend on the labels. Each is at the full level, and the first
failure ends them. So the confidence holds for the threshold that is chosen. For ``lo`` nothing else is needed: the
share missed can only grow with the threshold, so the tests lead to one order statistic of the positives, and any
threshold below it keeps the confidence. For ``hi`` a higher score must not mean a rarer finding. A calibration that was
fitted to the same patients keeps the order of the scores, and so the guarantee of ``lo``. If isotonic regression makes
the highest scores equal, the guarantee of ``hi`` holds only approximately.

Draws must be independent: one image of each patient, see :mod:`training.gate.one_image_per_patient`.

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
from training.gate.guarantee import Promise
from training.gate.one_image_per_patient import Draws, column

EVEN: Final = 0.5
"""ABSENT is said below this probability and PRESENT from it, so that no answer contradicts its probability."""


def lower_threshold(probabilities: Floats, labels: Bools, promise: Promise) -> float | None:
    """Return the largest probability up to which ABSENT keeps the promise, or None if there is none.

    Parameters
    ----------
    probabilities, labels
        ``(images,)``, one image of each patient.
    promise
        The guarantee.

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
    """Return the most misses with which the exact test still rejects a share above ``max_missed``.

    Parameters
    ----------
    positives
        How many there are.
    promise
        The guarantee.

    Returns
    -------
    None if the test cannot reject it even without a miss.
    """
    passed = np.flatnonzero(binom.cdf(np.arange(positives), positives, promise.max_missed) <= 1 - promise.confidence)
    return int(passed[-1]) if len(passed) else None


def upper_threshold(probabilities: Floats, labels: Bools, promise: Promise) -> float | None:
    """Return the smallest probability from which PRESENT keeps the promise, or None if there is none.

    Parameters
    ----------
    probabilities, labels
        ``(images,)``, one image of each patient.
    promise
        The guarantee.

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
    """Fit every finding's thresholds to the images drawn for it.

    Parameters
    ----------
    probabilities, labels
        ``(images, findings)``.
    drawn
        Which images count.
    promise
        The guarantee.
    """
    return [
        Thresholds(
            supported_lower(*column(probabilities, labels, drawn.showing, k), promise),
            upper_threshold(*column(probabilities, labels, drawn.whatever, k), promise),
        )
        for k in range(labels.shape[1])
    ]


def called(probabilities: Floats, pair: Thresholds) -> tuple[Bools, Bools]:
    """Return which probabilities are called absent, and which present.

    Parameters
    ----------
    probabilities
        Of any shape.
    pair
        The thresholds.

    Returns
    -------
    Two arrays of the same shape.
    """
    absent = np.zeros_like(probabilities, np.bool_) if pair.lo is None else probabilities <= pair.lo
    present = np.zeros_like(probabilities, np.bool_) if pair.hi is None else probabilities >= pair.hi
    return np.asarray(absent, np.bool_), np.asarray(present, np.bool_)


def fit_thresholds(probabilities: Floats, labels: Bools, promise: Promise) -> Thresholds:
    """Fit one finding's thresholds.

    Parameters
    ----------
    probabilities, labels
        ``(images,)``, one image of each patient, whatever it shows.
    promise
        The guarantee.
    """
    return Thresholds(supported_lower(probabilities, labels, promise), upper_threshold(probabilities, labels, promise))


def supported_lower(probabilities: Floats, labels: Bools, promise: Promise) -> float | None:
    """Return the lower threshold, see :func:`lower_threshold`; None also if it is no better than chance.

    Such a threshold keeps the promise only because it rarely answers.

    Parameters
    ----------
    probabilities, labels
        ``(images,)``, one image of each patient.
    promise
        The guarantee.
    """
    lo = lower_threshold(probabilities, labels, promise)
    return lo if lo is not None and rarer_than_chance(probabilities <= lo, labels, promise) else None


def rarer_than_chance(absent: Bools, labels: Bools, promise: Promise) -> bool:
    """Return whether positives are rarer among the images called absent than among as many drawn at random.

    This is Fisher's exact test, one-sided, at the level of the promise. Without it, a network that cannot recognise a
    finding would call a few images absent and break no promise.

    Parameters
    ----------
    absent, labels
        ``(images,)``.
    promise
        The guarantee, for its confidence.
    """
    missed = np.count_nonzero(absent & labels)
    by_chance = hypergeom.cdf(missed, len(labels), np.count_nonzero(labels), np.count_nonzero(absent))
    return bool(by_chance <= 1 - promise.confidence)
