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
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.radiograph import Radiograph
from training.nih import LabelledImage
from training.pictures import as_radiograph, read_picture
from training.records import write_json


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
        return as_radiograph(self.stored(position))


def open_cache(images: Sequence[LabelledImage], folder: Path) -> PixelCache:
    """Open the cache of these pictures under ``folder``, making it first where needed.

    Raises
    ------
    DataError
        A picture cannot be decoded.
    """
    key = _key(images)
    pixels, index = folder / f"{key}.u8", folder / f"{key}.json"
    if not index.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(index, {"shapes": _decode(images, pixels)})
    return PixelCache(pixels, json.loads(index.read_text())["shapes"])


def _key(images: Sequence[LabelledImage]) -> str:
    digest = hashlib.sha256(b"uint8, shapes by position\n")
    for image in images:
        stat = image.path.stat()
        digest.update(f"{image.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _decode(images: Sequence[LabelledImage], pixels: Path) -> list[tuple[int, int]]:
    shapes = []
    with tempfile.TemporaryDirectory(dir=pixels.parent, prefix="decoding-") as scratch:
        partial = Path(scratch, pixels.name)
        with partial.open("wb") as file:
            for done, image in enumerate(images, start=1):
                picture = read_picture(image.path)
                file.write(picture.tobytes())
                shapes.append((picture.shape[0], picture.shape[1]))
                if done % 500 == 0 or done == len(images):
                    print(f"decoded {done}/{len(images)} pictures", file=sys.stderr)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(pixels)
    return shapes
