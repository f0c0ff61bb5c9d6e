"""The spread of a heatmap: whether its evidence is in one place, at the border, outside the lungs.

The heatmap of a right answer often has one hot region, and that of a wrong answer is often diffuse. The spread is
measured on the positive part of the class activation, Grad-CAM, scaled so that its cells sum to 1. So it does not
depend on how much evidence there is; :func:`signed_totals` measures that.

References
----------
Selvaraju et al. 2017 (Grad-CAM). Shannon 1948 (entropy). Gini 1912.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SPREAD: Final = ("entropy", "top_share", "gini", "peak", "border", "outside", "outside_known")
"""The measures of :func:`spread`, in this order; all in [0, 1].

``entropy`` is that of the cells' shares, divided by that of an even map. ``top_share`` is the share of the hottest
tenth of the cells, at least one. ``gini`` is the Gini coefficient of the shares. ``peak`` is the share of the hottest
cell, and ``border`` that of the outermost ring of cells. ``outside`` is the share outside the lung field, 0 where no
field is known; ``outside_known`` is 1 where it is known, else 0.
"""

_TOP: Final = 0.1


def shares(maps: NDArray[np.floating]) -> Floats:
    """Return the positive part of maps, scaled so that the cells of each sum to 1.

    Parameters
    ----------
    maps
        Class activation ``(..., height, width)``, signed.

    Returns
    -------
    The same shape, at least 0. A map without positive evidence becomes even.
    """
    heat = np.maximum(np.asarray(maps, np.float64), 0.0)
    total = heat.sum(axis=(-2, -1), keepdims=True)
    even = 1.0 / (heat.shape[-2] * heat.shape[-1])
    return np.asarray(np.divide(heat, total, out=np.full_like(heat, even), where=total > 0), np.float64)


def spread(maps: NDArray[np.floating], lung_fields: Sequence[Mask | None] | None = None) -> Floats:
    """Return the measures of :data:`SPREAD` for heatmaps.

    Parameters
    ----------
    maps
        Class activation ``(images, findings, height, width)``, signed.
    lung_fields
        The lung field of each image, ``(rows, columns)`` over the whole picture at any resolution; None where it is
        not known.

    Returns
    -------
    ``(images, findings, len(SPREAD))``, in [0, 1].

    Raises
    ------
    ValueError
        The number of lung fields is not that of the images.
    """
    share = shares(maps)
    flat = share.reshape(*share.shape[:2], share.shape[2] * share.shape[3])
    outside, known = _outside(share, lung_fields)
    measured = (_entropy(flat), _top_share(flat), _gini(flat), flat.max(axis=-1), _border(share), outside, known)
    # rounding errors may exceed [0, 1] by some 1e-16
    return np.asarray(np.clip(np.stack(measured, axis=-1), 0.0, 1.0), np.float64)


def signed_totals(maps: NDArray[np.floating]) -> Floats:
    """Return the mean of the positive and of the negative evidence over the cells, in units of the logit.

    Returns
    -------
    ``(..., 2)``, both at least 0: for class activation, positive minus negative plus the bias is the logit.
    """
    exact = np.asarray(maps, np.float64)
    return np.stack([np.maximum(sign * exact, 0.0).mean(axis=(-2, -1)) for sign in (1, -1)], axis=-1)


def on_grid(mask: Mask, height: int, width: int) -> Floats:
    """Return the share of each cell of a grid that a mask covers: ``(height, width)`` in [0, 1].

    Parameters
    ----------
    mask
        ``(rows, columns)`` over the whole picture, at any resolution.
    height, width
        Cells of the grid over the same picture.
    """
    down, across = _overlaps(height, mask.shape[0]), _overlaps(width, mask.shape[1])
    return np.asarray(down @ mask.astype(np.float64) @ across.T, np.float64)


def _overlaps(cells: int, pixels: int) -> Floats:
    """Return the share of each cell that each pixel covers along one axis: ``(cells, pixels)``, rows sum to 1."""
    cell, pixel = np.arange(cells)[:, np.newaxis] / cells, np.arange(pixels) / pixels
    common = np.minimum(cell + 1 / cells, pixel + 1 / pixels) - np.maximum(cell, pixel)
    return np.asarray(np.maximum(common, 0.0) * cells, np.float64)


def _entropy(flat: Floats) -> Floats:
    logs = np.log(flat, out=np.zeros_like(flat), where=flat > 0)
    return np.asarray(-(flat * logs).sum(axis=-1) / math.log(max(flat.shape[-1], 2)), np.float64)


def _top_share(flat: Floats) -> Floats:
    top = math.ceil(_TOP * flat.shape[-1])
    return np.asarray(np.sort(flat, axis=-1)[..., -top:].sum(axis=-1), np.float64)


def _gini(flat: Floats) -> Floats:
    cells = flat.shape[-1]
    weights = 2 * np.arange(1, cells + 1) - cells - 1
    return np.asarray((np.sort(flat, axis=-1) * weights).sum(axis=-1) / cells, np.float64)


def _border(share: Floats) -> Floats:
    return np.asarray(1.0 - share[..., 1:-1, 1:-1].sum(axis=(-2, -1)), np.float64)


def _outside(share: Floats, lung_fields: Sequence[Mask | None] | None) -> tuple[Floats, Floats]:
    outside, known = np.zeros(share.shape[:2]), np.zeros(share.shape[:2])
    for k, (image, field) in enumerate(zip(share, lung_fields or [None] * len(share), strict=True)):
        if field is not None:
            outside[k] = (image * (1.0 - on_grid(field, *share.shape[-2:]))).sum(axis=(-2, -1))
            known[k] = 1.0
    return outside, known
