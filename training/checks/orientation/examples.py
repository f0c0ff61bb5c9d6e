"""Make examples from pictures: put a defect in on purpose, and change them at random as in daily practice.

No real lateral view may be learned from, so lateral views are made of two frontal views: a lung of each, superimposed
as a lateral projection would, with a heart in front, a diaphragm below and a soft outline in the air. Pictures without
a chest are made too: noise, slopes, shuffled pieces, limbs, discs. How well that works on real ones is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.picture.orientation import SIDE, stretched
from candor.study.radiograph import Radiograph
from training.checks.orientation.phantoms import phantom
from training.data.augmentation import Augmentation, augment

Pixels = NDArray[np.float32]
Field = NDArray[np.float32] | NDArray[np.float64]

FRONTAL, FROM_THE_SIDE, NO_CHEST = 0, 1, 2

DAILY_LIFE: Final = Augmentation(
    rotation=10, zoom=0.15, shift=0.05, contrast=0.35, brightness=0.1, gamma=0.6, blur=0.006, noise=0.02
)
_KEPT: Final = 0.85  # smallest share of each side that a random crop keeps

POSES: Final = 2
"""Examples of one scene, which differ only in their defects: making a scene costs more than learning from it."""

SHARES: Final = (0.76, 0.15, 0.09)
"""Shares of frontal views, of lateral views, and of pictures without a chest."""

_UPRIGHT: Final = 0.55  # of the frontal views
_INVERTED: Final = 0.35
BLANKED_SHARE: Final = 0.2


class Example(NamedTuple):
    """One input of the orientation check, and the four answers that it should give."""

    pixels: Pixels
    inverted: int
    turned: int
    mirrored: int
    projection: int


def examples(pictures: Sequence[Pixels], count: int, rng: np.random.Generator) -> list[Example]:
    """Make examples of random pictures, :data:`POSES` of each scene.

    Parameters
    ----------
    pictures
        ``(side, side)`` float32 in [0, 1], frontal chests as they should be.
    count
        How many; a multiple of ``POSES``.
    rng
        Source of the randomness.

    Returns
    -------
    ``pixels``: ``(1, SIDE, SIDE)`` float32, as :func:`candor.picture.orientation.to_orientation_input` makes it.
    """
    scenes = [_scene(pictures, rng) for _ in range(count // POSES)]
    return [_posed(pixels, projection, rng) for pixels, projection in scenes for _ in range(POSES)]


def _scene(pictures: Sequence[Pixels], rng: np.random.Generator) -> tuple[Pixels, int]:
    """Choose a picture and its projection, and change it as in daily practice; upright, with the right polarity."""
    picture, other = (pictures[k] for k in rng.integers(len(pictures), size=2))
    projection = int(rng.choice(3, p=SHARES))
    if projection == FROM_THE_SIDE:
        picture = from_the_side(picture, other, rng)
    elif projection == NO_CHEST:
        picture = phantom(picture, rng)
    return blanked(augment(Radiograph(_cut(picture, rng)), DAILY_LIFE, rng).pixels, rng), projection


def _posed(pixels: Pixels, projection: int, rng: np.random.Generator) -> Example:
    turned = int(rng.integers(1, 4)) if projection == FRONTAL and rng.random() >= _UPRIGHT else 0
    mirrored = int(rng.random() < 0.5)
    inverted = int(rng.random() < _INVERTED)
    pixels = blanked(defective(pixels, bool(inverted), turned, bool(mirrored)), rng)
    return Example(stretched(pixels)[np.newaxis], inverted, turned, mirrored, projection)


def defective(pixels: Pixels, inverted: bool = False, turned: int = 0, mirrored: bool = False) -> Pixels:
    """Put defects into a picture: mirror it, then turn it, then exchange black and white.

    Parameters
    ----------
    pixels
        ``(rows, columns)`` float32 in [0, 1].
    inverted
        Whether to exchange black and white.
    turned
        Quarter turns, counter-clockwise.
    mirrored
        Whether to exchange left and right.
    """
    pixels = np.rot90(pixels[:, ::-1] if mirrored else pixels, turned)
    return np.ascontiguousarray(1 - pixels if inverted else pixels)


def blanked(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Blank some edges of some pictures, mostly in black, as collimators do.

    Parameters
    ----------
    pixels
        ``(SIDE, SIDE)`` float32 in [0, 1]; it is left as it is.
    rng
        Source of the randomness.
    """
    if rng.random() >= BLANKED_SHARE:
        return pixels
    pixels, grey = pixels.copy(), rng.choice([0.0, 0.0, 1.0])
    for edge in rng.permutation(4)[: rng.integers(1, 5)]:
        np.rot90(pixels, edge)[: rng.integers(1, SIDE // 8)] = grey
    return pixels


def _cut(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Cut out a random part, of random proportions, and squeeze it to the orientation check's input."""
    spans = []
    for length in picture.shape:
        kept = round(length * rng.uniform(_KEPT, 1))
        first = int(rng.integers(length - kept + 1))
        spans.append(slice(first, first + kept))
    part = np.ascontiguousarray(picture[tuple(spans)])
    return np.asarray(cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)


def from_the_side(one: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Make a picture like a lateral view from two frontal ones.

    Parameters
    ----------
    one, other
        ``(side, side)`` float32 in [0, 1].
    rng
        Source of the randomness.

    Returns
    -------
    The same shape and range; the spine is on a random side of the picture.
    """
    side = len(one)
    width = int(side * rng.uniform(0.5, 1))
    lungs = [cv2.resize(_half(picture, rng), (width, side)) for picture in (one, other[:, ::-1])]
    weight = rng.uniform(0.3, 0.7)
    body = weight * lungs[0] + (1 - weight) * lungs[1]
    if rng.random() < 0.5:
        body = (body + np.maximum(*lungs)) / 2
    down, front = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, width), indexing="ij")
    body = _with_organs(body, down, front, rng)
    if rng.random() < 0.8:
        body = body * _outline(front, rng)
    picture = np.full((side, side), rng.choice([0, 0, 0, rng.uniform(0, 0.2)]))
    first = int(rng.integers(side - width + 1))
    picture[:, first : first + width] = body
    return np.asarray(np.clip(picture[:, :: rng.choice([1, -1])], 0, 1), np.float32)


def _half(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Cut out the right half of the display, from about the spine to about the chest wall."""
    spine, wall = rng.uniform(0.44, 0.54), rng.uniform(0.9, 1)
    return np.ascontiguousarray(picture[:, int(len(picture) * spine) : int(len(picture) * wall)])


def _with_organs(body: Field, down: Field, front: Field, rng: np.random.Generator) -> Field:
    """Brighten where heart, diaphragm and shoulders lie; ``down`` and ``front`` are coordinates in [0, 1]."""
    heart = ((down - rng.uniform(0.5, 0.75)) / rng.uniform(0.12, 0.25)) ** 2
    heart = np.exp(-heart - ((front - rng.uniform(0.55, 0.9)) / rng.uniform(0.15, 0.3)) ** 2)
    dome = rng.uniform(0.65, 0.9) + rng.uniform(-0.25, 0.25) * (front - 0.5)
    dome = dome + rng.uniform(0, 0.3) * (front - rng.uniform(0.3, 0.7)) ** 2
    below = _step((down - dome) * rng.uniform(25, 80))
    shoulders = _step((rng.uniform(0.05, 0.3) + 0.1 * (front - 0.5) - down) * 30)
    for organ, most in ((heart, 0.45), (below, 0.8), (shoulders, 0.7)):
        body = body + rng.uniform(0, most) * organ * (1 - body)
    return body


def _outline(front: Field, rng: np.random.Generator) -> Field:
    """1 inside a body with soft, curved edges at its back and its front, 0 in the air."""
    rows = len(front)
    bends = [np.interp(np.linspace(0, 4, rows), range(5), rng.standard_normal(5)) for _ in range(2)]
    back, breast = (cv2.GaussianBlur(np.abs(bend)[:, np.newaxis], (1, 0), 0, sigmaY=rows / 16) for bend in bends)
    return _step((front - 0.04 - 0.05 * back) * 60) * _step((0.96 - 0.08 * breast - front) * 60)


def _step(x: Field) -> Field:
    return np.asarray(1 / (1 + np.exp(-x)), np.float64)
