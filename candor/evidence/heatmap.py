"""Heatmaps from the class activation, which ``model.networks.class_activation`` makes for all findings at once.

References
----------
Selvaraju et al. 2017 (Grad-CAM). For a linear head after global average pooling, Grad-CAM is
ReLU(sum_c w_c A_c) / (height x width): the positive part of the class activation, up to a constant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from candor.study.result import Heatmap

Floats = NDArray[np.float32]


def heatmap(activation: Floats, columns_to_left: bool | None) -> Heatmap:
    """Return one finding's heatmap.

    Parameters
    ----------
    activation
        ``(height, width)`` float32, signed, in units of the logit.
    columns_to_left
        Whether the columns run towards the patient's left; None where it is not known.
    """
    grid = np.maximum(activation, np.float32(0))
    return Heatmap(grid, region_name(grid, columns_to_left))


def region_name(grid: Floats, columns_to_left: bool | None) -> str:
    """Return the name of the hottest cell's region: zone and side; "none" where there is no positive evidence.

    Parameters
    ----------
    grid
        ``(height, width)`` float32, at least 0.
    columns_to_left
        Whether the columns run towards the patient's left; None where it is not known, and the side is the image's.
    """
    if grid.max() <= 0:
        return "none"
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    zone = ("upper", "middle", "lower")[min(int(3 * (row + 0.5) / grid.shape[0]), 2)]
    across = (column + 0.5) / grid.shape[1] - 0.5
    if abs(across) < 0.5 / grid.shape[1]:
        return f"{zone} zone, midline"
    return f"{_side(across > 0, columns_to_left)} {zone} zone"


def _side(right_half: bool, columns_to_left: bool | None) -> str:
    if columns_to_left is None:
        return "image-right" if right_half else "image-left"
    return "left" if right_half == columns_to_left else "right"
