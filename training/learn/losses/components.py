"""The salient regions of maps: thresholds, connected components, and the scatter of the values inside them.

References
----------
Otsu 1979. Bolelli et al. 2019 (the labelling of OpenCV).
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


class Scatter(NamedTuple):
    """Squared differences inside the components of many maps.

    ``total`` is their sum over the ordered pairs of pixels, ``pairs`` how many pairs those are, ``salient`` how many
    pixels; ``gradient`` is that of the total, in the shape of the maps.
    """

    total: float
    pairs: float
    salient: float
    gradient: Floats


def otsu_thresholds(maps: Floats) -> Floats:
    """Split each map's values into two classes of the greatest variance between them.

    For sorted values and a split into n0 below and n1 above with means m0 and m1, ``n0 n1 (m0 - m1)^2`` is greatest:
    exact, without the bins of a histogram.

    Parameters
    ----------
    maps
        ``(m, height, width)``.

    Returns
    -------
    ``(m,)``: halfway between the neighbours of the split, so that "above" is ``>``; for a constant map its value.
    """
    values = np.sort(maps.reshape(len(maps), -1).astype(np.float64), axis=1)
    size = values.shape[1]
    if size == 1:
        return values[:, 0]
    below = np.arange(1, size)
    sums = values.cumsum(axis=1)
    difference = sums[:, :-1] / below - (sums[:, -1:] - sums[:, :-1]) / (size - below)
    between = below * (size - below) * difference**2
    between[values[:, 1:] == values[:, :-1]] = -1
    split = between.argmax(axis=1)
    each = np.arange(len(values))
    return np.asarray((values[each, split] + values[each, split + 1]) / 2)


def scatter(maps: Floats, thresholds: Floats, rows: Floats, columns: Floats) -> Scatter:
    """Enlarge maps, and sum the squared differences of all ordered pairs of pixels in the same component.

    A map X becomes ``Y = R X C^T``; its 8-connected components are of ``Y > t``. Over them, held constant,
    ``L = sum_C sum_{i, j in C} (y_i - y_j)^2 = 2 sum_C |C| sum_i (y_i - mean_C)^2`` and
    ``dL/dy_i = 4 (|C| y_i - S_C) = 4 |C| (y_i - mean_C)`` for the sum S_C, 0 in the background;
    ``dL/dX = R^T dL/dY C``.

    Parameters
    ----------
    maps
        ``(m, height, width)``, float32 or float64.
    thresholds
        t, ``(m,)``.
    rows, columns
        R and C, ``(tall, height)`` and ``(wide, width)``, of the same type.
    """
    sums, gradient = np.zeros(3), np.empty_like(maps)
    # Map by map, so that an enlarged one stays in the processor's cache: several times faster than all at once.
    for number, (of, threshold) in enumerate(zip(rows @ maps, thresholds, strict=True)):
        of_one, slope = _scatter_of_one(of @ columns.T, threshold)
        sums += of_one
        gradient[number] = 4 * (rows.T @ slope @ columns)
    return Scatter(float(sums[0]), float(sums[1]), float(sums[2]), gradient)


def _scatter_of_one(values: Floats, threshold: float) -> tuple[tuple[float, float, float], Floats]:
    """Return the total, the pairs and the pixels of one map, and a quarter of the total's gradient."""
    salient = (values > threshold).view(np.uint8)
    label = cv2.connectedComponents(salient, connectivity=8, ltype=cv2.CV_32S)[1].ravel().astype(np.intp)
    flat = values.ravel()
    count = np.bincount(label)
    mean = np.bincount(label, flat) / count.clip(min=1)
    count[0] = 0  # the background
    offset = flat - mean.astype(flat.dtype).take(label)
    slope = offset * count.astype(flat.dtype).take(label)
    found = 2 * float(np.vdot(offset, slope)), float(count @ count), float(count.sum())
    return found, slope.reshape(values.shape)
