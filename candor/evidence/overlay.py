"""Draw the evidence for one finding over its radiograph, for people.

The picture is never enlarged. Text and the colour scale are in bands above and below it, where they cover no anatomy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Final, Self, cast

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from candor.evidence.outline import LEVEL, Points, enlarged, outlines
from candor.study.radiograph import Radiograph
from candor.study.result import Heatmap

Rgb = NDArray[np.uint8]
Grey = NDArray[np.uint8]

_OPACITY: Final = 0.6
"""Opacity of the colour at the peak; the picture stays visible beneath."""

_GROUND: Final = (16, 18, 22)
_TITLE_INK: Final = (255, 255, 255)
_INK: Final = (196, 200, 208)
_WARNING_INK: Final = (255, 196, 84)
_BAR_GREY: Final = 110
_FRACTION_BITS: Final = 4
_MINIMUM_WIDTH: Final = 26
"""Least width of the bands, in text sizes: the colour scale and its numbers need it."""


@dataclass(frozen=True, slots=True)
class ScaleWords:
    """The words of the colour scale.

    Parameters
    ----------
    evidence
        What the colours show.
    contour
        The word after the contour's value.
    nothing
        The text instead of the scale where there is no evidence.
    """

    evidence: str
    contour: str
    nothing: str


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """A radiograph scaled for drawing; all overlays of an image share one.

    Parameters
    ----------
    grey
        ``(rows, columns)`` uint8, 0 is black. It must not be changed.
    """

    grey: Grey

    @classmethod
    def of(cls, radiograph: Radiograph, max_side: int = 1024) -> Self:
        """Return a radiograph in 8 bits, reduced by averaging.

        Parameters
        ----------
        radiograph
            The radiograph.
        max_side
            Most pixels of the longer side; the picture is never enlarged.
        """
        rows, columns = radiograph.pixels.shape
        scale = min(1.0, max_side / max(rows, columns))
        shrunk: MatLike = radiograph.pixels
        if scale < 0.5 and rows % 2 == columns % 2 == 0:
            # The mean of 2 x 2 pixels is so fast that both steps together take half of the time of a single one.
            shrunk = cv2.resize(shrunk, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
        if scale < 1.0:
            side = (max(1, round(columns * scale)), max(1, round(rows * scale)))
            shrunk = cv2.resize(shrunk, side, interpolation=cv2.INTER_AREA)
        return cls(np.asarray(cv2.convertScaleAbs(shrunk, alpha=255.0), np.uint8))


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of text: the words, their size in pixels and their colour."""

    words: str
    size: int
    ink: tuple[int, int, int]

    @property
    def height(self) -> int:
        return round(1.35 * self.size)

    @property
    def width(self) -> int:
        return int(_written(self).shape[1])


def render(
    canvas: Canvas, heatmap: Heatmap, *, title: str, lines: Sequence[str] = (), footer: str, scale: ScaleWords
) -> Rgb:
    """Return a picture of the evidence for a finding over its radiograph.

    The heatmap is enlarged bicubically and drawn over the grey picture in the colours of viridis, whose lightness
    rises steadily, also for colour-blind people. The opacity rises with the evidence, from 0. A contour is drawn
    where the evidence is half of its maximum (:func:`candor.evidence.outline.outlines`).

    Parameters
    ----------
    canvas
        The radiograph, scaled.
    heatmap
        The evidence, in units of the logit, over the whole picture.
    title
        The first line above the picture: finding, decision and probability.
    lines
        More lines above the picture.
    footer
        The line at the bottom.
    scale
        The words of the colour scale.

    Returns
    -------
    ``(rows, columns, 3)`` uint8 RGB: the picture between its bands, wider than the canvas only where the text needs
    it.
    """
    picture = _coloured(canvas.grey, heatmap) if heatmap.peak > 0 else cv2.cvtColor(canvas.grey, cv2.COLOR_GRAY2RGB)
    size = int(np.clip(max(canvas.grey.shape) / 50, 13, 20))
    above = [_Line(title, round(1.25 * size), _TITLE_INK), *(_Line(words, size, _INK) for words in lines)]
    below = _Line(footer, size, _WARNING_INK)
    width = max(picture.shape[1], _MINIMUM_WIDTH * size, *(line.width + 2 * size for line in (*above, below)))
    head, scale_height, foot = (sum(line.height for line in above) + size, round(3.2 * size), below.height + size)
    left = (width - picture.shape[1]) // 2
    drawn = np.asarray(
        cv2.copyMakeBorder(
            picture,
            head,
            scale_height + foot,
            left,
            width - picture.shape[1] - left,
            cv2.BORDER_CONSTANT,
            value=_GROUND,
        ),
        np.uint8,
    )
    top = size // 2
    for line in above:
        _write(drawn, line, size, top)
        top += line.height
    end = head + picture.shape[0]
    _draw_scale(drawn[end : end + scale_height], heatmap.peak, size, scale)
    _write(drawn, below, size, end + scale_height + size // 2)
    return drawn


def _coloured(grey: Grey, heatmap: Heatmap) -> MatLike:
    """Return the picture with the colours over it and the contour."""
    smooth = np.clip(enlarged(heatmap) * 255, 0, 255).astype(np.uint8)
    level = cv2.resize(smooth, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    # The colour is looked up by level and grey, the two bytes of one number.
    codes = cv2.merge((grey, level)).view("<u2")[..., 0]
    blended = cv2.LUT(codes, _blends()).view(np.uint8).reshape(*grey.shape, 4)
    picture = cv2.cvtColor(blended, cv2.COLOR_RGBA2RGB)
    contours = [_fixed(polygon) for polygon in outlines(heatmap, (grey.shape[0], grey.shape[1]))]
    thickness = 2 if max(grey.shape) > 500 else 1
    for ink, width in (((0, 0, 0), 2 * thickness), ((255, 255, 255), thickness)):
        cv2.polylines(picture, contours, True, ink, width, cv2.LINE_AA, _FRACTION_BITS)
    return picture


def _fixed(polygon: Points) -> NDArray[np.int32]:
    """Return a polygon in OpenCV's fixed point numbers, with the origin at the centre of the top left pixel."""
    return np.asarray(np.rint((polygon - 0.5) * (1 << _FRACTION_BITS)), np.int32)


@lru_cache(maxsize=1)
def _blends() -> NDArray[np.int32]:
    """Return the colours of 256 levels of evidence over 256 greys, ``(65536,)``: bytes of red, green, blue, 0."""
    colours, weights = _palette()
    grey = np.arange(256, dtype=np.float32)[None, :, None]
    blend = colours * weights[:, None, None] + grey * (1 - weights[:, None, None])
    table = np.zeros((256, 256, 4), np.uint8)
    table[..., :3] = np.rint(blend)
    return np.asarray(table.reshape(-1).view(np.int32), np.int32)


@lru_cache(maxsize=1)
def _palette() -> tuple[Rgb, NDArray[np.float32]]:
    """Colour ``(256, 1, 3)`` and opacity ``(256,)`` of each level of evidence."""
    ramp = np.arange(256, dtype=np.uint8)
    colours = cv2.applyColorMap(ramp[:, None], cv2.COLORMAP_VIRIDIS)[..., ::-1]
    weights = _OPACITY * (ramp / 255.0) ** 0.8
    return np.ascontiguousarray(colours), weights.astype(np.float32)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font: the same glyphs on every machine."""
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size=size))


@lru_cache(maxsize=64)  # many lines are the same on overlay after overlay
def _written(line: _Line) -> Rgb:
    """Write a line of text on the bands' ground."""
    font = _font(line.size)
    band = Image.new("RGB", (max(1, ceil(font.getlength(line.words))), line.height), _GROUND)
    ImageDraw.Draw(band).text((0, 0), line.words, line.ink, font)
    return np.asarray(band)


def _write(drawn: Rgb, line: _Line, left: int, top: int) -> None:
    """Copy a line of text into the picture, with its top left corner at a place that has room for it."""
    words = _written(line)
    drawn[top : top + words.shape[0], left : left + words.shape[1]] = words


def _draw_scale(band: Rgb, peak: float, size: int, scale: ScaleWords) -> None:
    """Draw the colour scale with its ends and the contour's value, in units of the logit."""
    top, below = size // 2, round(1.7 * size)
    if peak <= 0:
        _write(band, _Line(scale.nothing, size, _INK), size, size)
        return
    name = _Line(scale.evidence, size, _INK)
    left = 2 * size + name.width
    length = min(band.shape[1] - left - size, 24 * size)
    middle, right = left + length // 2, left + length
    _write(band, name, size, top)
    band[top : top + size, left:right] = _colour_bar(length, size)
    band[top : top + size, middle - 1 : middle + 1] = _TITLE_INK
    contour = _Line(f"{_number(LEVEL * peak)} ({scale.contour})", size, _INK)
    most = _Line(f"{_number(peak)} logit", size, _INK)
    _write(band, _Line("0", size, _INK), left, below)
    _write(band, contour, middle - contour.width // 2, below)
    _write(band, most, right - most.width, below)


def _number(value: float) -> str:
    """Return a number with two significant digits, including zeros."""
    return f"{value:#.2g}".rstrip(".")


@lru_cache(maxsize=8)
def _colour_bar(length: int, height: int) -> Rgb:
    """Draw the colours from no evidence to the peak, over the mid grey of a lung, as they look in the picture."""
    colours, weights = _palette()
    level = np.linspace(0, 255, length).round().astype(np.uint8)
    opacity = weights[level, None]
    row = opacity * colours[level, 0] + (1 - opacity) * _BAR_GREY
    return np.repeat(row.round().astype(np.uint8)[None], height, axis=0)
