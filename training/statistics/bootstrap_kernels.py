"""The compiled inner loops of the bootstrap: one weighted pass over each finding's sorted images.

The arrays are those of a :class:`training.statistics.metrics.Ranking`. Each function also runs uncompiled, as its
``py_func``.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@njit()
def roc_areas(
    weights: Floats, order: NDArray[np.int32], positive: Floats, negative: Floats, ends: NDArray[np.bool_]
) -> Floats:
    """Return the area under the ROC curve of each finding under each weighting; ties count half.

    Parameters
    ----------
    weights
        ``(resamples, images)``, at least 0.
    order, positive, negative, ends
        ``(findings, images)``, the fields of a ``Ranking``.

    Returns
    -------
    ``(resamples, findings)``; NaN where a weighting leaves no positive or no negative.
    """
    areas = np.full((len(weights), len(order)), np.nan)
    for resample in range(len(weights)):
        weight = weights[resample]
        for finding in range(len(order)):
            # each group of equal scores adds its negatives times the positives above it and half of its own
            above, below, area, tied_positive, tied_negative = 0.0, 0.0, 0.0, 0.0, 0.0
            for place in range(order.shape[1]):
                w = weight[order[finding, place]]
                tied_positive += w * positive[finding, place]
                tied_negative += w * negative[finding, place]
                if ends[finding, place]:
                    area += tied_negative * (above + 0.5 * tied_positive)
                    above += tied_positive
                    below += tied_negative
                    tied_positive, tied_negative = 0.0, 0.0
            if above > 0 and below > 0:
                areas[resample, finding] = area / (above * below)
    return areas


@njit()
def precision_areas(
    weights: Floats, order: NDArray[np.int32], positive: Floats, negative: Floats, ends: NDArray[np.bool_]
) -> Floats:
    """Return the average precision of each finding under each weighting.

    Parameters
    ----------
    weights
        ``(resamples, images)``, at least 0.
    order, positive, negative, ends
        ``(findings, images)``, the fields of a ``Ranking``.

    Returns
    -------
    ``(resamples, findings)``; NaN where a weighting leaves no positive.
    """
    areas = np.full((len(weights), len(order)), np.nan)
    for resample in range(len(weights)):
        weight = weights[resample]
        for finding in range(len(order)):
            # each group of equal scores adds its positives times the precision at its threshold
            found, called, area, tied_positive = 0.0, 0.0, 0.0, 0.0
            for place in range(order.shape[1]):
                w = weight[order[finding, place]]
                tied_positive += w * positive[finding, place]
                called += w * (positive[finding, place] + negative[finding, place])
                if ends[finding, place]:
                    found += tied_positive
                    if tied_positive > 0:
                        area += tied_positive * found / called
                    tied_positive = 0.0
            if found > 0:
                areas[resample, finding] = area / found
    return areas
