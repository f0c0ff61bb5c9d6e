"""Read a picture file as a radiograph, equal to that of the same picture in DICOM."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from candor.model.preprocess import InputSpec, to_network_input
from candor.study.errors import DataError
from candor.study.radiograph import Radiograph


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Decode a PNG or JPEG as grey, whatever its channels: ``(rows, columns)`` uint8.

    Raises
    ------
    DataError
        The file is not a picture.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise DataError(f"{path.name} cannot be decoded as a picture; fetch it again, or take it off the table")
    return np.asarray(picture, np.uint8)


def shrunk(picture: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """Scale a picture down by area; a picture that is small enough is returned as it is.

    Parameters
    ----------
    picture
        ``(rows, columns)`` uint8.
    longest
        Largest length of the longer side, in pixels.
    """
    scale = longest / max(picture.shape)
    if scale >= 1:
        return picture
    rows, columns = (max(1, round(side * scale)) for side in picture.shape)
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def network_input(image: Radiograph, spec: InputSpec) -> NDArray[np.float32]:
    """Return a picture of a data set as the network's input, ``(1, side, side)`` float32.

    It is the application's own input, except that a picture with fewer rows or columns than the network reads is scaled
    up. The application refuses such a picture; a data set that comes reduced is still good to learn from.

    Parameters
    ----------
    image
        The picture.
    spec
        The network's input.
    """
    if min(image.rows, image.columns) < spec.least:
        larger = (max(image.columns, spec.least), max(image.rows, spec.least))
        image = Radiograph(np.asarray(cv2.resize(image.pixels, larger, interpolation=cv2.INTER_LINEAR), np.float32))
    return to_network_input(image, spec)


def as_radiograph(picture: NDArray[np.uint8]) -> Radiograph:
    """Scale ``(rows, columns)`` uint8 to [0, 1], 0 is black."""
    return Radiograph(picture.astype(np.float32) * np.float32(1 / 255))
