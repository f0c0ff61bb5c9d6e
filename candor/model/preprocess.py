"""Preprocessing: from a radiograph to the network's input, the same for training and inference.

The picture is resized to a square by area averaging, as ChestX-ray14's own 1024 x 1024 pictures were, and
standardised with the mean and the standard deviation of the training images. Resizing implementations differ by up to
0.17 of the range, so this one must not change: a bundle that was trained with another cannot be used with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from candor.files.reader import Whole
from candor.study.errors import Refused
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The form of the network's input. The limits are checked when it is read from a file.

    Parameters
    ----------
    side
        Rows and columns, in pixels.
    mean, std
        Mean and standard deviation of pixels in [0, 1] over the training images.
    """

    side: Annotated[Whole, Field(ge=16, le=4096)]
    mean: Annotated[float, Field(ge=0, le=1)]
    std: Annotated[float, Field(ge=1e-3, le=1)]


def to_network_input(image: Radiograph, spec: InputSpec) -> NDArray[np.float32]:
    """Return one radiograph as the network's input.

    Parameters
    ----------
    image
        ``pixels``: ``(rows, columns)`` float32 in [0, 1], 0 is black.
    spec
        From the bundle's ``metadata.json``.

    Returns
    -------
    ``(1, side, side)`` float32, channel first.

    Raises
    ------
    Refused
        ``TOO_SMALL``: either side is under ``spec.side``; enlarging would invent detail.
    """
    if min(image.rows, image.columns) < spec.side:
        raise Refused(
            Reason.TOO_SMALL, f"{image.rows} x {image.columns} pixels, and the network needs {spec.side} a side"
        )
    resized = cv2.resize(image.pixels, (spec.side, spec.side), interpolation=cv2.INTER_AREA)
    return np.asarray((resized - np.float32(spec.mean)) / np.float32(spec.std), np.float32)[np.newaxis]
