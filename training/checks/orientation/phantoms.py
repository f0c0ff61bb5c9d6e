"""Synthetic pictures without a chest, from which frontal views are to be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
Grey = NDArray[np.float32] | NDArray[np.float64]
Phantom = Callable[[Pixels, np.random.Generator], Grey]


def phantom(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Make a picture of a random kind, ``(side, side)`` float32 in [0, 1].

    Parameters
    ----------
    picture
        A real picture, of that shape and range; some kinds are made of its parts.
    rng
        Source of the randomness.
    """
    made = PHANTOMS[rng.integers(len(PHANTOMS))](picture, rng)
    return np.clip(made, 0, 1).astype(np.float32)


def _noise(picture: Pixels, rng: np.random.Generator) -> Grey:
    grain = rng.standard_normal(picture.shape)
    return _spread(np.asarray(cv2.GaussianBlur(grain, (0, 0), rng.choice([0.3, 1, 2, 5, 12])), np.float64))


def _slope(picture: Pixels, rng: np.random.Generator) -> Grey:
    y, x = np.mgrid[-1 : 1 : picture.shape[0] * 1j, -1 : 1 : picture.shape[1] * 1j]
    return _spread(np.tensordot(rng.standard_normal(5), np.stack([x, y, x * y, x**2, y**2]), axes=1))


def _shuffled(picture: Pixels, rng: np.random.Generator) -> Grey:
    pieces = int(rng.choice([2, 4, 8]))
    size = picture.shape[0] // pieces
    tiles = picture.reshape(pieces, size, pieces, size).swapaxes(1, 2).reshape(-1, size, size)
    mixed = tiles[rng.permutation(len(tiles))].reshape(pieces, pieces, size, size)
    return mixed.swapaxes(1, 2).reshape(picture.shape)


def _detail(picture: Pixels, rng: np.random.Generator) -> Grey:
    size = int(len(picture) * rng.uniform(0.15, 0.4))
    row, column = rng.integers(len(picture) - size, size=2)
    part = np.ascontiguousarray(picture[row : row + size, column : column + size])
    return np.asarray(cv2.resize(part, picture.shape), np.float32)


def _limbs(picture: Pixels, rng: np.random.Generator) -> Grey:
    """Draw bones in soft tissue on black, sometimes between white collimators."""
    canvas = np.zeros(picture.shape, np.uint8)
    for _ in range(rng.integers(1, 4)):
        x, y, to_x, to_y = (int(v) for v in rng.integers(len(canvas), size=4))
        width = int(rng.integers(8, 40))
        cv2.line(canvas, (x, y), (to_x, to_y), int(rng.integers(75, 150)), width)
        cv2.line(canvas, (x, y), (to_x, to_y), int(rng.integers(150, 256)), max(2, width // 3))
    if rng.random() < 0.3:
        edge = int(len(canvas) * rng.uniform(0.1, 0.3))
        canvas[:, :edge] = canvas[:, -edge:] = 255
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 2)) / 255, np.float64)


def _discs(picture: Pixels, rng: np.random.Generator) -> Grey:
    canvas = np.full(picture.shape, rng.integers(256), np.uint8)
    for _ in range(rng.integers(3, 14)):
        centre, axes = (tuple(int(v) for v in rng.integers(1, high, size=2)) for high in (len(canvas), 50))
        thickness = -1 if rng.random() < 0.6 else 2
        cv2.ellipse(canvas, centre, axes, rng.uniform(0, 180), 0, 360, int(rng.integers(256)), thickness)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 3)) / 255, np.float64)


def _spread(values: Grey) -> Grey:
    low, high = values.min(), values.max()
    return np.asarray((values - low) / (high - low), np.float64)


PHANTOMS: Final[tuple[Phantom, ...]] = (_noise, _slope, _shuffled, _detail, _limbs, _discs)
