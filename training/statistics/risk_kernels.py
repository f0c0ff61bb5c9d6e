"""The compiled inner loops of selective prediction: one weighted pass over the answers, the surest first.

The arrays are those of a :class:`training.statistics.risk.Ordered`. Answers with equal uncertainty are a group. Within
it the errors rise in a straight line, which is their expected value over all orders of the group, so no figure depends
on how ties happen to be sorted. Each function also runs uncompiled, as its ``py_func``.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Draws = NDArray[np.int32]


@njit(error_model="numpy")
def risk_areas(
    weights: Draws, owner: NDArray[np.int32], kind: NDArray[np.int8], ends: NDArray[np.bool_], harmonic: Floats
) -> Floats:
    """Return AURC, E-AURC and AUGRC of each column under each weighting.

    Parameters
    ----------
    weights
        ``(resamples, images)``: how often each image was drawn.
    owner, kind, ends
        ``(columns, answers)``, the fields of an ``Ordered``.
    harmonic
        ``(n + 1,)`` for n answers at most: ``harmonic[n]`` is 1 + 1/2 + ... + 1/n. With it the sum over a group's
        places k of (a + b k) / k needs no loop.

    Returns
    -------
    ``(resamples, columns, 3)``; NaN where a weighting leaves no answer with a known label.
    """
    areas = np.full((len(weights), len(owner), 3), np.nan)
    for resample in range(len(weights)):
        weight = weights[resample]
        for column in range(len(owner)):
            seen, errors, size, wrong = 0, 0, 0, 0
            selective, generalized = 0.0, 0.0
            for place in range(owner.shape[1]):
                what = kind[column, place]
                if what >= 0:
                    w = weight[owner[column, place]]
                    size += w
                    if what == 1 or what == 2:
                        wrong += w
                if ends[column, place] and size > 0:
                    start = errors - wrong / size * seen if wrong > 0 else float(errors)  # most have none: no division
                    selective += start * (harmonic[seen + size] - harmonic[seen])
                    selective += wrong
                    generalized += size * (errors + 0.5 * wrong)
                    seen += size
                    errors += wrong
                    size, wrong = 0, 0
            if seen > 0:
                right = seen - errors
                least = errors - right * (harmonic[seen] - harmonic[right])
                areas[resample, column, 0] = selective / seen
                areas[resample, column, 1] = (selective - least) / seen
                areas[resample, column, 2] = generalized / seen / seen
    return areas


@njit(error_model="numpy")
def kept_counts(
    weights: Draws,
    owner: NDArray[np.int32],
    kind: NDArray[np.int8],
    ends: NDArray[np.bool_],
    totals: NDArray[np.int64],
    coverages: Floats,
) -> Floats:
    """Count the kinds of answers among the kept ones at each coverage.

    The group at the border counts with the share of it that is kept.

    Parameters
    ----------
    weights
        ``(resamples, images)``: how often each image was drawn.
    owner, kind, ends
        ``(columns, answers)``, the fields of an ``Ordered``.
    totals
        ``(resamples, columns)``: the answers with a known label.
    coverages
        ``(coverages,)`` in [0, 1], rising: shares of ``totals``.

    Returns
    -------
    ``(resamples, columns, coverages, 4)``: true positives, false positives, false negatives, true negatives.
    """
    counts = np.zeros((len(weights), len(owner), len(coverages), 4))
    before, group = np.zeros(4, np.int64), np.zeros(4, np.int64)
    for resample in range(len(weights)):
        weight = weights[resample]
        for column in range(len(owner)):
            before[:] = 0
            group[:] = 0
            reached, size, following = 0, 0, 0
            wanted = coverages[0] * totals[resample, column]
            for place in range(owner.shape[1]):
                what = kind[column, place]
                if what >= 0:
                    w = weight[owner[column, place]]
                    group[what] += w
                    size += w
                if ends[column, place] and size > 0:
                    while following < len(coverages) and wanted <= reached + size + 1e-9:
                        share = min(1.0, (wanted - reached) / size)
                        for k in range(4):
                            counts[resample, column, following, k] = before[k] + share * group[k]
                        following += 1
                        if following < len(coverages):
                            wanted = coverages[following] * totals[resample, column]
                    for k in range(4):
                        before[k] += group[k]
                        group[k] = 0
                    reached += size
                    size = 0
    return counts
