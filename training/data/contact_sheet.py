"""A contact sheet: pictures as they are, with augmented copies of each, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.model.preprocess import InputSpec, to_network_input
from candor.study.errors import OutputError
from candor.study.radiograph import Radiograph
from training.data.augmentation import Augmentation, augment

GAP = 4
"""Pixels between pictures."""


def contact_sheet(
    images: Sequence[Radiograph], how: Augmentation, *, copies: int = 7, side: int = 160, seed: int = 0
) -> NDArray[np.uint8]:
    """Draw one row for each picture: the original, then augmented copies.

    Parameters
    ----------
    images
        At least one.
    how
        The augmentation.
    copies
        Augmented copies of each picture.
    side
        Size of each picture on the sheet, in pixels.
    seed
        Seed of the augmentation.

    Returns
    -------
    ``(rows, columns)`` uint8: what the network sees, except for the standardisation.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for image in images:
        shown = [image, *(augment(image, how, rng) for _ in range(copies))]
        rows.append(np.concatenate([_tile(picture, side) for picture in shown], axis=1))
    return np.concatenate(rows, axis=0)


def _tile(image: Radiograph, side: int) -> NDArray[np.uint8]:
    pixels = to_network_input(image, InputSpec(side, 0.0, 1.0))[0]
    return np.pad(np.asarray(np.rint(pixels * 255), np.uint8), GAP // 2, constant_values=255)


def write_sheet(path: Path, sheet: NDArray[np.uint8]) -> Path:
    """Write a sheet as PNG, and return its path.

    Parameters
    ----------
    path
        The file; its folder is made if needed.
    sheet
        ``(rows, columns)`` uint8.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", sheet)
    if not done:
        raise OutputError(f"a sheet of {sheet.shape} cannot be encoded as PNG; take fewer pictures")
    path.write_bytes(data.tobytes())
    return path
