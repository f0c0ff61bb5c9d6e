"""The outline of the evidence for a finding, as polygons in the picture's coordinates.

The overlay's contour, the outline of the presentation state and the region of the report are the same line.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.study.result import Decision, FindingResult, Heatmap

Points = NDArray[np.float32]

LEVEL: Final = 0.5
"""The evidence on the outline, as a share of the heatmap's peak."""

_RASTER: Final = (128, 1024)
_PIXELS_PER_CELL: Final = 8
"""Least and most pixels of the raster's sides, and pixels for each cell of the heatmap."""

_TOLERANCE: Final = 0.05
"""How far a simplified line may run from the true one, in pixels of the raster: 0.04 % of the picture's side."""

_MAXIMUM_CORNERS: Final = 200
"""The most corners of one polygon; a line with more is simplified further."""


def is_localised(result: FindingResult) -> bool:
    """Return whether a finding is present and has evidence that can be outlined."""
    return result.decision is Decision.PRESENT and result.heatmap.peak > 0


def outlines(heatmap: Heatmap, shape: tuple[int, int], level: float = LEVEL) -> tuple[Points, ...]:
    """Return the outlines of the regions where the evidence is at least a share of its peak.

    The heatmap is enlarged bicubically over the whole picture, as the overlay shows it. A hole in a region is not
    cut out; a region that the picture's border cuts follows the border.

    Parameters
    ----------
    heatmap
        The evidence, over the whole picture.
    shape
        Rows and columns of the picture.
    level
        The share of the peak, in (0, 1].

    Returns
    -------
    One polygon for each region, ``(corners, 2)`` of (column, row), closed (the last corner is the first), with at
    least three different corners and at most 201. The one that holds the peak comes first, then the larger ones.
    Empty where there is no evidence. The top left corner of the top left pixel is (0, 0), its centre is (0.5, 0.5),
    and the bottom right corner of the picture is (columns, rows), as a report's spatial coordinates have it and as
    a presentation state's PIXEL units do.

    References
    ----------
    DICOM PS3.3 C.18.6.1.1 (Graphic Data of SCOORD), table C.10-5 (Graphic Annotation Units).
    """
    if heatmap.peak <= 0:
        return ()
    smooth = enlarged(heatmap)
    threshold = min(level, float(smooth.max()))
    found, _ = cv2.findContours((smooth >= threshold).view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    polygons = [_polygon(np.asarray(contour, np.int32)[:, 0], smooth, threshold) for contour in found]
    row, column = np.unravel_index(int(heatmap.grid.argmax()), heatmap.grid.shape)
    peak = _scaled(np.array([[column + 0.5, row + 0.5]]), heatmap.grid.shape, smooth.shape)[0].tolist()
    polygons.sort(key=cv2.contourArea, reverse=True)
    polygons.sort(key=lambda polygon: cv2.pointPolygonTest(polygon, peak, measureDist=False) < 0)
    return tuple(_scaled(_closed(polygon), smooth.shape, shape) for polygon in polygons)


def enlarged(heatmap: Heatmap) -> NDArray[np.float32]:
    """Return a heatmap that has evidence, enlarged bicubically to a raster on which it is smooth.

    Returns
    -------
    ``(rows, columns)`` float32 over the whole picture, each from 128 to 1024; 1 is the peak. The spline overshoots a
    little, below 0 and above 1.
    """
    rows, columns = (int(np.clip(_PIXELS_PER_CELL * cells, *_RASTER)) for cells in heatmap.grid.shape)
    relative = heatmap.grid / np.float32(heatmap.peak)
    return np.asarray(cv2.resize(relative, (columns, rows), interpolation=cv2.INTER_CUBIC), np.float32)


def _polygon(pixels: NDArray[np.int32], smooth: NDArray[np.float32], threshold: float) -> Points:
    """Return a region's polygon, from its outermost pixels; a region that is too thin gets their bounding box."""
    line = _on_the_line(pixels, smooth, threshold)
    tolerance = _TOLERANCE
    corners = _simplified(line, tolerance)
    while len(corners) > _MAXIMUM_CORNERS:
        tolerance *= 2
        corners = _simplified(line, tolerance)
    if len(np.unique(corners, axis=0)) >= 3 and cv2.contourArea(corners) > 0:
        return corners
    (left, top), (right, bottom) = pixels.min(axis=0), pixels.max(axis=0) + 1
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def _on_the_line(pixels: NDArray[np.int32], smooth: NDArray[np.float32], threshold: float) -> Points:
    """Return the outermost pixels moved to where the evidence equals the threshold, by one step of Newton's method.

    Pixels at the picture's border are moved to the border.
    """
    column, row = pixels.T
    bottom, right = smooth.shape[0] - 1, smooth.shape[1] - 1
    across = smooth[row, np.minimum(column + 1, right)] - smooth[row, np.maximum(column - 1, 0)]
    down = smooth[np.minimum(row + 1, bottom), column] - smooth[np.maximum(row - 1, 0), column]
    gradient = np.column_stack((across, down)) / 2
    steepness = np.square(gradient).sum(axis=1)
    step = (smooth[row, column] - threshold) / np.maximum(steepness, np.float32(1e-12))
    moved = pixels + 0.5 - np.clip(step[:, None] * gradient, -1, 1)
    moved[pixels == 0] = 0
    last = np.array([right, bottom])
    return np.where(pixels == last, last + 1, moved).clip(0, last + 1).astype(np.float32)


def _simplified(line: Points, tolerance: float) -> Points:
    """Return the line with fewer corners (Douglas and Peucker), moved by no more than the tolerance in pixels."""
    return np.asarray(cv2.approxPolyDP(line, tolerance, closed=True), np.float32)[:, 0]


def _closed(corners: Points) -> Points:
    return np.concatenate((corners, corners[:1]))


def _scaled(points: NDArray[np.floating], shape: tuple[int, ...], target: tuple[int, ...]) -> Points:
    """Return points of (column, row) on one raster as points on another, of other rows and columns."""
    factor = np.array([target[1] / shape[1], target[0] / shape[0]])
    return np.asarray(points * factor, np.float32)
