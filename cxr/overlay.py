"""A radiograph with the evidence for one finding drawn over it, for people.

The picture keeps its size or shrinks, never grows; words and the colour scale stand in bands above and below it and
never cover anatomy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cxr import RESEARCH_USE
from cxr.radiograph import Radiograph
from cxr.result import Heatmap

Rgb = NDArray[np.uint8]

_OPACITY: Final = 0.6
"""Of the colour at the peak; the picture stays visible beneath."""

_GROUND: Final = (16, 18, 22)
_TITLE_INK: Final = (255, 255, 255)
_INK: Final = (196, 200, 208)
_WARNING_INK: Final = (255, 196, 84)
_BAR_GREY: Final = 110
_SCALE_NAME: Final = "Evidence"
_MINIMUM_WIDTH: Final = 26
"""Of the bands, in text sizes: the colour scale and its numbers need that much."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of text: its words, its size in pixels and its colour."""

    words: str
    size: int
    ink: tuple[int, int, int]

    @property
    def height(self) -> int:
        return round(1.35 * self.size)

    @property
    def width(self) -> int:
        return int(np.ceil(_font(self.size).getlength(self.words)))


def render(
    radiograph: Radiograph,
    heatmap: Heatmap,
    *,
    title: str,
    lines: Sequence[str] = (),
    footer: str = RESEARCH_USE,
    max_side: int = 1024,
) -> Rgb:
    """Draw the evidence for a finding over its radiograph.

    The heatmap is enlarged bicubically and laid over the grey picture in the colours of viridis, whose lightness
    rises steadily, with and without colour vision; the opacity rises with the evidence, from nothing. A contour
    runs where the evidence falls to half of its maximum.

    Parameters
    ----------
    radiograph
        The picture.
    heatmap
        The evidence, in units of the logit, over the whole picture.
    title
        Finding, decision and probability; stands above the picture.
    lines
        What else to say above the picture.
    footer
        Stands at the bottom.
    max_side
        The picture's longer side at most, in pixels, without the bands.

    Returns
    -------
    ``(rows, columns, 3)`` uint8 RGB: the picture, no wider than it was unless the words need more, between its
    bands.
    """
    grey = _shrunk(radiograph, max_side)
    picture = _blended(grey, heatmap)
    size = int(np.clip(max(grey.shape) / 50, 13, 20))
    above = [_Line(title, round(1.25 * size), _TITLE_INK), *(_Line(words, size, _INK) for words in lines)]
    below = _Line(footer, size, _WARNING_INK)
    pad = size
    width = max(grey.shape[1], _MINIMUM_WIDTH * size, *(line.width + 2 * pad for line in (*above, below)))
    bands = [_text_band(above, width, pad), _centred(picture, width)]
    bands += [_scale_band(heatmap.peak, width, size), _text_band([below], width, pad)]
    return np.concatenate(bands)


@lru_cache(maxsize=1)  # the overlays of an image come one after another
def _shrunk(radiograph: Radiograph, max_side: int) -> NDArray[np.uint8]:
    """Scale the picture to 8 bits with its longer side at most ``max_side``, each pixel the mean of what it covers."""
    rows, columns = radiograph.pixels.shape
    scale = min(1.0, max_side / max(rows, columns))
    shrunk: MatLike = radiograph.pixels
    if scale < 0.5 and rows % 2 == columns % 2 == 0:
        # Means of exactly 2 x 2 pixels are so much faster that both steps take half of the time of one.
        shrunk = cv2.resize(shrunk, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
    if scale < 1.0:
        side = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        shrunk = cv2.resize(shrunk, side, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.convertScaleAbs(shrunk, alpha=255.0), np.uint8)


def _blended(grey: NDArray[np.uint8], heatmap: Heatmap) -> Rgb:
    """Make the grey picture RGB, and lay the evidence over it where there is any."""
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    if heatmap.peak > 0:
        picture = _coloured(picture, heatmap)
    return np.asarray(picture, np.uint8)


def _coloured(picture: MatLike, heatmap: Heatmap) -> MatLike:
    """Lay the colours over the picture and draw the contour at half of the peak."""
    level = _levels(heatmap, picture.shape)
    colours, weights = _palette()
    opacity = cv2.LUT(level, weights)
    picture = cv2.blendLinear(picture, cv2.applyColorMap(level, colours), 1.0 - opacity, opacity)
    contours, _ = cv2.findContours((level >= 128).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    thickness = 2 if max(picture.shape) > 500 else 1
    cv2.drawContours(picture, contours, -1, (0, 0, 0), 2 * thickness, cv2.LINE_AA)
    cv2.drawContours(picture, contours, -1, (255, 255, 255), thickness, cv2.LINE_AA)
    return picture


def _levels(heatmap: Heatmap, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Enlarge the heatmap to the picture's size, 255 at its peak."""
    relative = heatmap.grid * np.float32(255.0 / heatmap.peak)
    # The cubic spline overshoots below 0 and above the peak; the conversion to 8 bits saturates.
    smooth = cv2.resize(relative, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 0, 255).astype(np.uint8)


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


def _text_band(lines: Sequence[_Line], width: int, pad: int) -> Rgb:
    band = Image.new("RGB", (width, sum(line.height for line in lines) + pad), _GROUND)
    draw = ImageDraw.Draw(band)
    top = pad // 2
    for line in lines:
        draw.text((pad, top), line.words, line.ink, _font(line.size))
        top += line.height
    return np.asarray(band)


def _centred(picture: Rgb, width: int) -> Rgb:
    """Put the picture between two margins."""
    missing = width - picture.shape[1]
    left = missing // 2
    bordered = cv2.copyMakeBorder(picture, 0, 0, left, missing - left, cv2.BORDER_CONSTANT, value=_GROUND)
    return np.asarray(bordered, np.uint8)


def _scale_band(peak: float, width: int, size: int) -> Rgb:
    """Draw the colour scale with its ends and the contour's value, in units of the logit."""
    band = Image.new("RGB", (width, round(3.2 * size)), _GROUND)
    draw = ImageDraw.Draw(band)
    font = _font(size)
    if peak <= 0:
        draw.text((size, size), "No evidence for the finding anywhere in the image", _INK, font)
        return np.asarray(band)
    top, below = size // 2, round(1.7 * size)
    left = 2 * size + _Line(_SCALE_NAME, size, _INK).width
    length = min(width - left - size, 24 * size)
    middle, right = left + length // 2, left + length
    draw.text((size, top), _SCALE_NAME, _INK, font)
    band.paste(Image.fromarray(_colour_bar(length, size)), (left, top))
    draw.line([(middle, top), (middle, top + size - 1)], _TITLE_INK, 2)
    draw.text((left, below), "0", _INK, font)
    draw.text((middle, below), f"{_number(peak / 2)} (contour)", _INK, font, anchor="ma")
    draw.text((right, below), f"{_number(peak)} logit", _INK, font, anchor="ra")
    return np.asarray(band)


def _number(value: float) -> str:
    """Write a number with two digits, zeros too."""
    return f"{value:#.2g}".rstrip(".")


def _colour_bar(length: int, height: int) -> Rgb:
    """Draw the colours from no evidence to the peak, over the mid grey of a lung, as they look in the picture."""
    colours, weights = _palette()
    level = np.linspace(0, 255, length).round().astype(np.uint8)
    opacity = weights[level, None]
    row = opacity * colours[level, 0] + (1 - opacity) * _BAR_GREY
    return np.repeat(row.round().astype(np.uint8)[None], height, axis=0)
