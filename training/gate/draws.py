"""Exact binomial tests over all ways to draw one image of each patient, without drawing any.

Images of one patient are alike, so an exact test counts one image of each patient. Which one must not be left to
chance. A test that rejects with a chance of at most b where the null hypothesis holds may instead be averaged: over all
draws, 1/b times the share that rejects has a mean of at most 1 there, so by Markov's inequality it reaches 1 / level
with a chance of at most the level. Where all draws agree, this is the exact test itself.

References
----------
Clopper and Pearson 1934 (exact binomial test). Vovk and Wang 2021 (an average of e-values is an e-value). Hoeffding
1956 (number of successes in independent trials).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from scipy.special import bdtr, bdtrc

from training.statistics.metrics import Floats

_ROUNDING: Final = 1e-9


@lru_cache(maxsize=4096)
def misses_allowed(positives: int, max_missed: float, level: float) -> int | None:
    """Return the most misses with which the exact test still rejects a share above ``max_missed``.

    Parameters
    ----------
    positives
        How many patients have the finding.
    max_missed
        The largest share that may be missed, in (0, 1).
    level
        Of the test, in (0, 1).

    Returns
    -------
    None if the test cannot reject it even without a miss.
    """
    passed = np.flatnonzero(bdtr(np.arange(positives), positives, max_missed) <= level)
    return int(passed[-1]) if len(passed) else None


def few_are_missed(missed: Floats, max_missed: float, confidence: float) -> bool:
    """Return whether the patients show that at most a share of the positives is missed.

    Parameters
    ----------
    missed
        ``(patients,)``: for each patient who has the finding, the share of the images showing it that is missed.
    max_missed, confidence
        The promise, in (0, 1).
    """
    allowed = misses_allowed(len(missed), max_missed, 1 - confidence)
    if allowed is None:
        return False
    chance = float(bdtr(allowed, len(missed), max_missed))
    return at_most(allowed, missed) >= chance / (1 - confidence) - _ROUNDING


def at_most(most: int, chances: Floats) -> float:
    """Return the probability of at most so many successes in independent trials, each with its own chance.

    Parameters
    ----------
    most
        The number of successes.
    chances
        ``(trials,)`` in [0, 1].
    """
    left = most - int((chances >= 1).sum())
    if left < 0:
        return 0.0
    counts = np.zeros(left + 1)
    counts[0] = 1.0
    for chance in chances[(chances > 0) & (chances < 1)]:
        counts[1:] = counts[1:] * (1 - chance) + counts[:-1] * chance
        counts[0] *= 1 - chance
    return float(counts.sum())


def most_are_right(called: Floats, right: Floats, min_precision: float, confidence: float) -> bool:
    """Return whether the patients show that at least a share of the images called present is positive.

    Parameters
    ----------
    called, right
        ``(patients,)``: the share of each patient's images that is called present, and that is so and is positive.
    min_precision, confidence
        The promise, in (0, 1).
    """
    some = called > 0
    called, wrong = called[some], (called - right)[some]
    evidence = _evidence(1 << len(called).bit_length(), min_precision, 1 - confidence)[: len(called) + 1]
    certain = (called >= 1) & ((wrong <= 0) | (wrong >= 1))
    errors = int(wrong[certain].sum())
    if errors >= evidence.shape[1]:
        return False
    chances = np.zeros_like(evidence)  # of a draw, by how many images are called present, and how many of those wrongly
    chances[int(certain.sum()), errors] = 1.0
    for share, error in zip(called[~certain].tolist(), wrong[~certain].tolist(), strict=True):
        before = chances.copy()
        chances *= 1 - share
        chances[1:] += (share - error) * before[:-1]
        chances[1:, 1:] += error * before[:-1, :-1]
    return float((chances * evidence).sum()) >= 1 / (1 - confidence) - _ROUNDING


@lru_cache(maxsize=64)
def _evidence(most: int, min_precision: float, level: float) -> Floats:
    """Return the e-value of a draw by the numbers called present and wrong, ``(most + 1, wrong)``; 0 beyond.

    It is 1 for a number of images with which the test cannot pass; there nothing is learnt.
    """
    called, wrong = np.arange(most + 1)[:, np.newaxis], np.arange(most + 1)
    chance = np.where(wrong < called, bdtrc(called - wrong - 1.0, called, min_precision), 1.0)  # of no more wrong ones
    passes = chance <= level
    able = passes[:, :1]
    least = np.where(passes, chance, 0).max(axis=1, keepdims=True)
    values = np.where(able, passes / np.where(able, least, 1), wrong <= called)
    return np.ascontiguousarray(values[:, : int(np.flatnonzero(values.any(axis=0))[-1]) + 1])
