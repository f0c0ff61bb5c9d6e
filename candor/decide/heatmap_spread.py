"""How spread out a heatmap is: whether its evidence lies in one place, at the border, outside the lungs.

A network that found something points somewhere; one that guesses often points everywhere. Only the positive part of
the class activation, Grad-CAM, is looked at here, and scaled so that its cells sum to 1: the spread tells nothing of
how much evidence there is. That is what :func:`signed_totals` tells, and the logit follows from those.

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
"""What :func:`spread` measures, in this order; all in [0, 1].

``entropy`` of the cells' shares, over that of an even map. ``top_share`` is the share of the hottest tenth of the
cells, at least one. ``gini`` is the Gini coefficient of the shares. ``peak`` is the share of the hottest cell, and
``border`` that of the outermost ring of cells. ``outside`` is the share outside the lung field, 0 where no field is
known, which ``outside_known`` tells apart: 1 or 0.
"""

_TOP: Final = 0.1


def shares(maps: NDArray[np.floating]) -> Floats:
    """Scale the positive part of maps so that the cells of each sum to 1.

    Parameters
    ----------
    maps
        Class activation ``(..., height, width)``, signed.

    Returns
    -------
    The same shape, at least 0. A map without any positive evidence points nowhere in particular: it comes out even.
    """
    heat = np.maximum(np.asarray(maps, np.float64), 0.0)
    total = heat.sum(axis=(-2, -1), keepdims=True)
    even = 1.0 / (heat.shape[-2] * heat.shape[-1])
    return np.asarray(np.divide(heat, total, out=np.full_like(heat, even), where=total > 0), np.float64)


def spread(maps: NDArray[np.floating], lung_fields: Sequence[Mask | None] | None = None) -> Floats:
    """Measure the spread of heatmaps.

    Parameters
    ----------
    maps
        Class activation ``(images, findings, height, width)``, signed.
    lung_fields
        For each image where the lungs are, ``(rows, columns)`` over the whole picture at any resolution; None where
        that is not known.

    Returns
    -------
    ``(images, findings, len(SPREAD))``, in [0, 1].

    Raises
    ------
    ValueError
        There is not one lung field, or None, for each image.
    """
    share = shares(maps)
    flat = share.reshape(*share.shape[:2], share.shape[2] * share.shape[3])
    outside, known = _outside(share, lung_fields)
    measured = (_entropy(flat), _top_share(flat), _gini(flat), flat.max(axis=-1), _border(share), outside, known)
    # rounding may leave [0, 1] by some 1e-16
    return np.asarray(np.clip(np.stack(measured, axis=-1), 0.0, 1.0), np.float64)


def signed_totals(maps: NDArray[np.floating]) -> Floats:
    """Average the positive and the negative evidence of maps over the cells, in units of the logit.

    Returns
    -------
    ``(..., 2)``, both at least 0: for class activation, positive minus negative plus the bias is the logit.
    """
    exact = np.asarray(maps, np.float64)
    return np.stack([np.maximum(sign * exact, 0.0).mean(axis=(-2, -1)) for sign in (1, -1)], axis=-1)


def on_grid(mask: Mask, height: int, width: int) -> Floats:
    """Say what share of each cell of a grid over the picture a mask covers: ``(height, width)`` in [0, 1]."""
    down, across = _overlaps(height, mask.shape[0]), _overlaps(width, mask.shape[1])
    return np.asarray(down @ mask.astype(np.float64) @ across.T, np.float64)


def _overlaps(cells: int, pixels: int) -> Floats:
    """How much of each cell each pixel makes up, along one axis: ``(cells, pixels)``, rows sum to 1."""
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
