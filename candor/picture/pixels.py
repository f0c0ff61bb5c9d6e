"""Measures of a radiograph's pixels: how much is constant, clipped, text or border.

Each measure is a share of the picture, in [0, 1], taken at one scale, so that it does not depend on the detector's
resolution. Hardly any ordinary adult radiograph reaches the limits; ``docs/explanation/image-quality.md`` has the
figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.study.radiograph import Radiograph

LONGEST: Final = 384
"""Pixels of the longer side at which pictures are measured; smaller ones are measured as they are."""

_SAME: Final = 0.02  # greys at this distance count as equal
_EXTREME: Final = 1.5 / 255  # distance from black and white that counts as clipped
_CENTRE: Final = 0.2  # share of each side that is not the centre
_STROKE: Final = 7  # pixels: a letter's stroke is thinner, a rib wider
_STROKE_CONTRAST: Final = 0.3  # a letter stands out by more, a vessel by less
_BORDER_RANGE: Final = 0.06  # range of the middle nine tenths of the greys in a line of a border
_EDGE: Final = 0.05  # share of the darkest and of the brightest pixels of a line that are left out

Pixels = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PixelMeasures:
    """The measures of one picture, each in [0, 1].

    Parameters
    ----------
    constant
        Share of the pixels that have one grey.
    clipped
        Share of the picture's centre that is fully black or fully white.
    strokes
        Share of the pixels on thin bright strokes, as of letters.
    borders
        Share of the picture outside the lines at its edges that show one grey.
    used
        Share of the greys that lies between the 1st and the 99th percentile of the picture inside its borders.
    """

    constant: float
    clipped: float
    strokes: float
    borders: float
    used: float = 1.0


EMPTY: Final = PixelMeasures(constant=1.0, clipped=0.0, strokes=0.0, borders=1.0, used=0.0)
"""The measures of a picture without pixels."""


def measure_pixels(image: Radiograph) -> PixelMeasures:
    """Return the measures of one radiograph, of any size.

    Parameters
    ----------
    image
        ``pixels``: ``(rows, columns)`` float32 in [0, 1], 0 is black.
    """
    if image.pixels.size == 0:
        return EMPTY
    pixels = thumbnail(image.pixels, LONGEST)
    return PixelMeasures(
        constant=_share_of_commonest(pixels),
        clipped=_share_clipped(pixels),
        strokes=_share_of_strokes(pixels),
        borders=_share_of_borders(pixels),
        used=_share_of_greys(pixels),
    )


def thumbnail(pixels: Pixels, longest: int) -> Pixels:
    """Return a picture reduced until its longer side is at most ``longest`` pixels; it is never enlarged.

    A large picture is sampled at twice that size first, because an average over all pixels of a detector would take
    longer than all checks together.

    Parameters
    ----------
    pixels
        ``(rows, columns)`` float32.
    longest
        Most pixels of the longer side.
    """
    if max(pixels.shape) <= longest:
        return pixels
    scale = longest / max(pixels.shape)
    rows, columns = (max(1, round(side * scale)) for side in pixels.shape)
    if scale <= 0.5 and min(pixels.shape) > 1:
        pixels = np.asarray(cv2.resize(pixels, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _share_of_commonest(pixels: Pixels) -> float:
    bins = round(1 / _SAME) + 1  # the last is for white
    counts = cv2.calcHist([(pixels / _SAME).astype(np.uint8)], [0], None, [bins], [0, bins]).ravel()
    return (
        float((counts[:-1] + counts[1:]).max()) / pixels.size
    )  # two bins, so that an edge between bins does not split a grey


def _share_clipped(pixels: Pixels) -> float:
    rows, columns = (round(side * _CENTRE) for side in pixels.shape)
    centre = pixels[rows : pixels.shape[0] - rows, columns : pixels.shape[1] - columns]
    return float(np.mean((centre <= _EXTREME) | (centre >= 1 - _EXTREME)))


def _share_of_strokes(pixels: Pixels) -> float:
    return float(np.mean(bright_strokes(pixels, _STROKE) > _STROKE_CONTRAST))


def bright_strokes(pixels: Pixels, width: int) -> Pixels:
    """Return how much each pixel on a thin stroke is brighter than its surroundings; 0 elsewhere.

    Parameters
    ----------
    pixels
        ``(rows, columns)`` float32 in [0, 1].
    width
        Strokes are thinner than this, in pixels; odd.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    return np.asarray(cv2.morphologyEx(pixels, cv2.MORPH_TOPHAT, kernel), np.float32)


def _share_of_borders(pixels: Pixels) -> float:
    rows, columns = (content(pixels, axis) for axis in (1, 0))
    return float(1 - (rows.stop - rows.start) * (columns.stop - columns.start) / pixels.size)


def _share_of_greys(pixels: Pixels) -> float:
    inside = pixels[content(pixels, 1), content(pixels, 0)]
    low, high = np.percentile(inside if inside.size else pixels, (1, 99))
    return float(high - low)


def content(pixels: Pixels, axis: int) -> slice:
    """Return the lines from the first to the last with more than one grey; an empty slice where there is none.

    Lines are examined from the edges inwards, because most pictures have no border.

    Parameters
    ----------
    pixels
        ``(rows, columns)`` float32 in [0, 1].
    axis
        1 for rows, 0 for columns: the axis that runs along a line.
    """
    lines = pixels if axis == 1 else pixels.T
    numbers = range(len(lines))
    first = next((k for k in numbers if _varied(lines[k])), None)
    if first is None:
        return slice(0, 0)
    return slice(first, 1 + next(k for k in reversed(numbers) if _varied(lines[k])))


def _varied(line: Pixels) -> bool:
    ordered, last = np.sort(line), len(line) - 1
    return bool(ordered[round((1 - _EDGE) * last)] - ordered[round(_EDGE * last)] > _BORDER_RANGE)
