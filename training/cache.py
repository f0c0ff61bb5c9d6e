"""A memory-mapped cache of decoded pictures, made once.

The pictures lie behind each other as uint8 in one file; an index names where each begins and its shape. The
index is written last and names the inputs that it was made from, so a cache whose making was killed, or whose
inputs changed, is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr.errors import DataError
from cxr.radiograph import Radiograph
from training.nih import LabelledImage


class PixelCache:
    """Decoded pictures by position; see :func:`open_cache`."""

    def __init__(self, pixels: Path, shapes: Sequence[tuple[int, int]]) -> None:
        self._shapes = [(int(rows), int(columns)) for rows, columns in shapes]
        sizes = [rows * columns for rows, columns in self._shapes]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._pixels = np.memmap(pixels, np.uint8, mode="r", shape=(int(self._starts[-1]),))

    def __len__(self) -> int:
        return len(self._shapes)

    def stored(self, position: int) -> NDArray[np.uint8]:
        """Read the picture at a position, ``(rows, columns)`` uint8."""
        start, end = self._starts[position : position + 2]
        return self._pixels[start:end].reshape(self._shapes[position])

    def radiograph(self, position: int) -> Radiograph:
        """Read the picture at a position as a radiograph, as reading its DICOM twin would give it."""
        return Radiograph(self.stored(position).astype(np.float32) * np.float32(1 / 255))


def open_cache(images: Sequence[LabelledImage], folder: Path) -> PixelCache:
    """Open the cache of these pictures under ``folder``, making it first where needed."""
    key = _key(images)
    pixels, index = folder / f"{key}.u8", folder / f"{key}.json"
    if not index.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _make(images, pixels, index)
    return PixelCache(pixels, json.loads(index.read_text()))


def _key(images: Sequence[LabelledImage]) -> str:
    digest = hashlib.sha256()
    for image in images:
        stat = image.path.stat()
        digest.update(f"{image.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _make(images: Sequence[LabelledImage], pixels: Path, index: Path) -> None:
    partial = pixels.with_name(pixels.name + ".partial")
    shapes = []
    with partial.open("wb") as file:
        for done, image in enumerate(images, start=1):
            picture = read_picture(image.path)
            file.write(picture.tobytes())
            shapes.append(picture.shape)
            if done % 500 == 0 or done == len(images):
                print(f"decoded {done}/{len(images)} pictures", file=sys.stderr)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(pixels)
    partial.write_text(json.dumps(shapes))
    partial.replace(index)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Decode a PNG or JPEG as grey, whatever its channels: ``(rows, columns)`` uint8.

    Raises
    ------
    DataError
        The file is no picture.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise DataError(f"{path.name} cannot be decoded as a picture")
    return np.asarray(picture, np.uint8)
