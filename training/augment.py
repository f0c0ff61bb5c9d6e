"""Random changes that a radiograph may undergo without changing what it shows.

No mirroring: the heart has a side, and so have the findings.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cxr.radiograph import Radiograph


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far each change may go, to either side.

    Parameters
    ----------
    rotation
        Degrees.
    zoom, shift
        Share of the picture's side.
    contrast, brightness
        Factor on, and shift of, pixels in [0, 1].
    gamma
        Exponent's logarithm.
    """

    rotation: float = 8.0
    zoom: float = 0.12
    shift: float = 0.06
    contrast: float = 0.2
    brightness: float = 0.08
    gamma: float = 0.25


def augment(image: Radiograph, how: Augmentation, rng: np.random.Generator) -> Radiograph:
    """Rotate, zoom and shift; then change gamma, contrast and brightness. The shape stays."""
    rows, columns = image.rows, image.columns
    matrix = cv2.getRotationMatrix2D(
        (columns / 2, rows / 2), rng.uniform(-how.rotation, how.rotation), 1 + rng.uniform(-how.zoom, how.zoom)
    )
    matrix[:, 2] += rng.uniform(-how.shift, how.shift, 2) * np.asarray([columns, rows])
    pixels = cv2.warpAffine(image.pixels, matrix, (columns, rows), flags=cv2.INTER_LINEAR)
    pixels = np.power(pixels, np.float32(np.exp(rng.uniform(-how.gamma, how.gamma))))
    pixels = (pixels - 0.5) * (1 + rng.uniform(-how.contrast, how.contrast)) + 0.5
    pixels = pixels + np.float32(rng.uniform(-how.brightness, how.brightness))
    return Radiograph(np.clip(pixels, 0, 1).astype(np.float32), image.spacing, image.columns_to_left)
