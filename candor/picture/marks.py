"""Find and blank what was added to a radiograph: letters and markers near its edges, and borders around it.

They are looked for at the network's resolution, because the network cannot read what is not visible there. They are
not looked for inside the lungs, where small bright things are nodules and lines.

References
----------
Zech et al. 2018, DeGrave et al. 2021: networks read laterality markers and borders, and recognise hospitals by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.picture.pixels import bright_strokes, content

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Lengths are shares of the picture's side, contrasts are of greys in [0, 1].
_STROKE: Final = 0.05  # a stroke is thinner
_GAP: Final = 0.022  # between the letters of one mark
_FAINT: Final = 0.15  # contrast of all of a mark
_CLEAR: Final = 0.25  # contrast of its brightest pixel
_SMALLEST: Final = 0.012
_LARGEST: Final = 0.2
_AT_SIDES: Final = 0.25  # how far from the left or the right edge its centre may lie
_AT_ENDS: Final = 0.2  # the same from above or below
_SLENDEREST: Final = 6.0  # length over breadth of a mark at most; wires and the skin's edge have more
_EDGE_LINE: Final = 2.5  # the same where it touches the picture's edge
_EMPTIEST: Final = 0.25  # share of its bounding box that a mark fills at least; a slanting line fills less
_CORNER: Final = 0.2  # side of a corner
_MOST_IN_LUNG: Final = 0.1  # share of a mark's pixels that may lie in the lungs
_RIM: Final = 0.014  # margin around a mark, since its edges are blurred
_BORDER: Final = 0.01  # the narrowest border
_REACH: Final = 0.03  # standard deviation of the weights around a mark
_FLOOR: Final = 1e-6  # weight of the median around it, for the middle of a mark that is wider than _REACH

_ROWS: Final = ("upper", "", "lower")
_COLUMNS: Final = ("left", "", "right")


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """The marks of one picture.

    Parameters
    ----------
    mask
        ``(side, side)`` bool: the pixels of marks.
    places
        The places in words, each once, from top to bottom and left to right; empty where there are none.
    """

    mask: Mask
    places: tuple[str, ...]


def candidates(pixels: Floats) -> NDArray[np.int32]:
    """Return what may be marks: small, bright, compact things near the edges.

    Parameters
    ----------
    pixels
        ``(side, side)`` float32 in [0, 1], 0 is black.

    Returns
    -------
    ``(side, side)``: the number of the candidate, from 1, and 0 elsewhere.
    """
    side = len(pixels)
    contrast = bright_strokes(pixels, _odd(_STROKE * side))
    bright = _without_lines((contrast > _FAINT).astype(np.uint8), _odd(_LARGEST * side))
    joined = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, _disc(_odd(_GAP * side)))
    _, found, facts, centres = cv2.connectedComponentsWithStats(joined, connectivity=8)
    pieces = np.asarray(found, np.int32)
    mark_like = _mark_like(np.asarray(facts, np.int32), np.asarray(centres, np.float64), side)
    clear = np.zeros(len(facts), np.bool_)
    clear[pieces[contrast >= _CLEAR]] = True
    mark_like &= clear
    return np.asarray(np.where(mark_like, np.cumsum(mark_like), 0)[pieces], np.int32)


def _without_lines(bright: NDArray[np.uint8], length: int) -> NDArray[np.uint8]:
    """Return ``bright`` without vertical and horizontal lines of at least ``length``, as of a cassette's rim."""
    shapes = (np.ones((length, 1), np.uint8), np.ones((1, length), np.uint8))
    upright, level = (cv2.morphologyEx(bright, cv2.MORPH_OPEN, shape) > 0 for shape in shapes)
    return np.asarray(np.where(upright | level, 0, bright), np.uint8)


def _mark_like(facts: NDArray[np.int32], centres: NDArray[np.float64], side: int) -> Mask:
    """Return which components have a mark's size, shape and place; ``facts`` and ``centres`` are OpenCV's."""
    left, top, width, height, area = facts.T
    longest, shortest = np.maximum(width, height), np.minimum(width, height)
    from_edge = np.minimum(centres, side - 1 - centres)
    near = (from_edge[:, 0] <= _AT_SIDES * side) | (from_edge[:, 1] <= _AT_ENDS * side)
    touches = (left == 0) | (top == 0) | (left + width == side) | (top + height == side)
    slender = longest / shortest > np.where(touches, _EDGE_LINE, _SLENDEREST)
    sized = (longest >= _SMALLEST * side) & (longest <= _LARGEST * side)
    compact = area >= _EMPTIEST * width * height
    mark_like = near & sized & compact & ~slender
    mark_like[0] = False  # the background
    return np.asarray(mark_like, np.bool_)


def in_corners(pieces: NDArray[np.int32]) -> bool:
    """Return whether all candidates are in the picture's corners, where there is no lung."""
    side = len(pieces)
    middle = slice(round(_CORNER * side), round((1 - _CORNER) * side))
    return not (pieces[middle].any() or pieces[:, middle].any())


def outside(pieces: NDArray[np.int32], lung: Mask | None) -> Marks:
    """Return the candidates that are not in the lungs.

    Parameters
    ----------
    pieces
        From :func:`candidates`.
    lung
        The lung field over the whole picture, at any resolution; see :mod:`candor.picture.lungs`. None keeps all.
    """
    side = len(pieces)
    rows, columns = np.nonzero(pieces)
    piece = pieces[rows, columns]
    areas = np.bincount(piece)
    within = np.zeros_like(areas)
    if lung is not None:
        here = cv2.resize(lung.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST) > 0
        within = np.bincount(piece[here[rows, columns]], minlength=len(areas))
    is_mark = (areas > 0) & (within <= _MOST_IN_LUNG * areas)  # 0 is the background
    centres = (np.bincount(piece, where)[is_mark] / areas[is_mark] / side for where in (rows, columns))
    places = dict.fromkeys(map(_place, *centres))
    kept = np.zeros_like(pieces, np.uint8)
    kept[rows, columns] = is_mark[piece]
    return Marks(cv2.dilate(kept, _disc(max(3, _odd(2 * _RIM * side)))) > 0, tuple(places))


def _place(row: float, column: float) -> str:
    """Return the name of a place, by thirds of the picture as it is displayed."""
    vertical, horizontal = _ROWS[min(2, int(3 * row))], _COLUMNS[min(2, int(3 * column))]
    if vertical and horizontal:
        return f"in the {vertical} {horizontal} corner"
    return f"at the {vertical or horizontal} edge"


def without(pixels: Floats, marks: Mask) -> Floats:
    """Return the pixels with marks filled by the weighted mean of their surroundings.

    Nearer pixels weigh more, so that the patch has no edge that could be taken for a mark.

    Parameters
    ----------
    pixels
        ``(side, side)`` float32 in [0, 1].
    marks
        ``(side, side)`` bool: what is filled.

    References
    ----------
    Knutsson and Westin 1993 (normalised convolution).
    """
    sigma = _REACH * len(pixels)
    rows, columns = _around(marks, round(4 * sigma))
    here, known = pixels[rows, columns], (~marks[rows, columns]).astype(np.float32)
    usual = np.median(here[known > 0] if known.any() else here)
    weight = cv2.GaussianBlur(known, (0, 0), sigma) + _FLOOR
    mean = (cv2.GaussianBlur(here * known, (0, 0), sigma) + _FLOOR * usual) / weight
    filled = pixels.copy()
    filled[rows, columns] = np.where(known > 0, here, mean)
    return filled


def _around(mask: Mask, margin: int) -> tuple[slice, slice]:
    """Return the rows and columns of a mask that is not empty, with a margin in pixels."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return (
        slice(max(0, top - margin), top + height + margin),
        slice(max(0, left - margin), left + width + margin),
    )


def inner(pixels: Floats) -> tuple[slice, slice] | None:
    """Return the rows and columns within the borders; None where there is no border, or nothing else."""
    found = content(pixels, 1), content(pixels, 0)
    widest = max(max(part.start, side - part.stop) for part, side in zip(found, pixels.shape, strict=True))
    empty = any(part.stop <= part.start for part in found)
    return None if empty or widest < _BORDER * len(pixels) else found


def without_borders(pixels: Floats, within: tuple[slice, slice]) -> Floats:
    """Return the pixels with each border filled by the line next to it.

    Parameters
    ----------
    pixels
        ``(rows, columns)`` float32.
    within
        The rows and columns within the borders, from :func:`inner`.
    """
    rows, columns = within
    height, width = pixels.shape
    around = (rows.start, height - rows.stop, columns.start, width - columns.stop)
    return np.asarray(cv2.copyMakeBorder(pixels[within], *around, cv2.BORDER_REPLICATE), np.float32)


def _disc(width: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)), np.uint8)


def _odd(length: float) -> int:
    return 2 * round((length - 1) / 2) + 1
