"""Bring DICOM images to the browser as PNG, in its memory alone: the server keeps no copy."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from cv2.typing import MatLike
from pydicom import dcmread

from candor.dicom.read.file import MALFORMED, read_pixels
from candor.files.privacy import name_of
from candor.study.errors import CandorError, Refused

_LONGEST_SIDE: Final = 1280
_two_at_a_time: Final = threading.Semaphore(2)
"""A radiograph of 20 million pixels takes some hundred MiB on its way."""


class PictureUnreadable(CandorError):
    """A file of the spool is not there any more, or its picture cannot be decoded."""


def image_png(path: Path) -> bytes:
    """Render a radiograph as it is shown: after its LUTs, its longer side at most 1280 pixels.

    Raises
    ------
    PictureUnreadable
        It cannot be decoded.
    """
    with _two_at_a_time:
        try:
            pixels = read_pixels(path).radiograph.pixels
        except Refused as error:
            raise PictureUnreadable(str(error)) from None
        return _png(_shrunk(cv2.convertScaleAbs(pixels, alpha=255.0)))


def overlay_png(path: Path) -> bytes:
    """Render one of our own overlays: a Secondary Capture, RGB, uncompressed.

    Raises
    ------
    PictureUnreadable
        It cannot be decoded.
    """
    with _two_at_a_time:
        try:
            pixels = np.asarray(dcmread(path).pixel_array, np.uint8)
            return _png(_shrunk(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)))
        except (OSError, cv2.error, *MALFORMED) as error:  # without a cause: its text may quote the file
            raise PictureUnreadable(f"the overlay cannot be decoded ({name_of(error)})") from None


def _shrunk(pixels: MatLike) -> MatLike:
    scale = _LONGEST_SIDE / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    side = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return cv2.resize(pixels, side, interpolation=cv2.INTER_AREA)


def _png(pixels: MatLike) -> bytes:
    encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1]
    return encoded.tobytes()
