"""Pictures to fit the familiarity check with: chests as other equipment shows them, and what is no frontal chest.

Both are made of the training images, because no other hospital's picture and no real lateral view may be needed for the
fit. So what separates them is what they show, not the hospital.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.study.radiograph import Radiograph
from training.checks.orientation.examples import defective, from_the_side
from training.checks.orientation.phantoms import phantom
from training.data.augmentation import Augmentation, augment
from training.data.pictures import as_radiograph, read_picture

Pixels = NDArray[np.float32]

SIDE: Final = 256
"""Rows and columns of the pictures made."""

EQUIPMENT: Final = Augmentation(
    rotation=5, zoom=0.15, shift=0.05, contrast=0.2, brightness=0.1, gamma=0.5, blur=0.004, noise=0.02, mask=0.1
)
"""How a picture from other equipment may differ, beside :func:`processed`."""

_FINEST, _COARSEST = 0.01, 0.12  # standard deviations of the unsharp mask, as a share of the side
_STRONGEST: Final = 2.5
_KINDS: Final = 4


def processed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return a picture with an unsharp mask of random width and strength, and another range of greys.

    Manufacturers' processing differs most in how much it flattens the coarse contrast and lifts the fine one.

    Parameters
    ----------
    pixels
        ``(side, side)`` float32 in [0, 1].
    rng
        Source of the randomness.
    """
    width = len(pixels) * np.exp(rng.uniform(np.log(_FINEST), np.log(_COARSEST)))
    lifted = pixels + rng.uniform(0, _STRONGEST) * (pixels - cv2.GaussianBlur(pixels, (0, 0), float(width)))
    low, high = np.percentile(lifted, [0.5, 99.5])
    spread = np.clip((lifted - low) / max(high - low, 1e-3), 0, 1)
    return np.asarray(np.clip(spread * rng.uniform(0.6, 1) + rng.uniform(0, 0.3), 0, 1), np.float32)


def from_other_equipment(pixels: Pixels, rng: np.random.Generator) -> Radiograph:
    """Return a picture as another hospital's equipment might show it.

    Parameters
    ----------
    pixels
        ``(side, side)`` float32 in [0, 1].
    rng
        Source of the randomness.
    """
    return augment(Radiograph(processed(pixels, rng)), EQUIPMENT, rng)


def squeezed(path: Path) -> Pixels:
    """Return a picture at the side :data:`SIDE`, float32 in [0, 1].

    Raises
    ------
    DataError
        It cannot be decoded.
    """
    pixels = as_radiograph(read_picture(path)).pixels
    return np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)


def no_frontal_chests(paths: Sequence[Path], rng: np.random.Generator) -> Iterator[Radiograph]:
    """Yield a picture for each that is given: from the side, without a chest, inverted, or turned; by turns.

    Every other one of each kind is changed as by other equipment.

    Parameters
    ----------
    paths
        Pictures of upright frontal chests.
    rng
        Source of the randomness.
    """
    for number, path in enumerate(paths):
        picture = squeezed(path)
        match number % _KINDS:
            case 0:
                made = from_the_side(picture, squeezed(paths[int(rng.integers(len(paths)))]), rng)
            case 1:
                made = phantom(picture, rng)
            case 2:
                made = defective(picture, inverted=True)
            case _:
                made = defective(picture, turned=int(rng.integers(1, 4)))
        yield from_other_equipment(made, rng) if number // _KINDS % 2 else Radiograph(made)
