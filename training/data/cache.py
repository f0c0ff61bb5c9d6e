"""A memory-mapped cache of decoded pictures.

The pictures are stored one after another as uint8 in one file; an index holds their shapes. Both are named by a hash of
the inputs: each picture's name, size and time, their order, and the size to which they are shrunk. A change of the
inputs makes a new cache; the old one stays until somebody removes it.

The index is written last. A cache without an index, or of another length than the index says, is made again. While one
process makes a cache, others that need the same one wait for it, as all but one do under torchrun.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from candor.study.radiograph import Radiograph
from training.data.dataset import LabelledImage
from training.data.pictures import as_radiograph, read_picture, shrunk
from training.records import write_json

AHEAD: Final = 64
"""Number of pictures that are decoded and held in memory at once."""

Shape = tuple[int, int]


class PixelCache:
    """Decoded pictures by position; see :func:`open_cache`.

    Parameters
    ----------
    pixels
        The file of all pictures, uint8.
    shapes
        Rows and columns of each picture, in the file's order.
    """

    def __init__(self, pixels: Path, shapes: Sequence[Shape]) -> None:
        self._path = pixels
        self._shapes = [(int(rows), int(columns)) for rows, columns in shapes]
        sizes = [rows * columns for rows, columns in self._shapes]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._pixels = np.memmap(pixels, np.uint8, mode="r", shape=(int(self._starts[-1]),))

    def __reduce__(self) -> tuple[type[PixelCache], tuple[Path, list[Shape]]]:
        """Pickle the path, not the pixels: a reader process maps the file again."""
        return PixelCache, (self._path, self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def stored(self, position: int) -> NDArray[np.uint8]:
        """Read the picture at a position, ``(rows, columns)`` uint8."""
        start, end = self._starts[position : position + 2]
        return self._pixels[start:end].reshape(self._shapes[position])

    def radiograph(self, position: int) -> Radiograph:
        """Read the picture at a position as a radiograph, equal to that of the same picture in DICOM."""
        return as_radiograph(self.stored(position))


def open_cache(images: Sequence[LabelledImage], folder: Path, longest: int | None = None) -> PixelCache:
    """Open the cache of these pictures, making it first if needed.

    Parameters
    ----------
    images
        At least one; the cache keeps their order.
    folder
        Holds the caches; made if needed.
    longest
        Pixels of a picture's longer side, above which it is shrunk by area; None keeps every pixel. All of ChestX-ray14
        takes 118 GB as it is, 17 GB at 384.

    Raises
    ------
    DataError
        A picture cannot be decoded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = _key(images, longest)
    pixels, index = folder / f"{key}.u8", folder / f"{key}.json"
    with _locked(folder / f"{key}.lock"):
        if not _is_complete(pixels, index):
            index.unlink(missing_ok=True)
            write_json(index, {"shapes": _decode(images, pixels, longest)})
    return PixelCache(pixels, _shapes(index))


def _key(images: Sequence[LabelledImage], longest: int | None) -> str:
    digest = hashlib.sha256(f"uint8, shapes by position, longest {longest}\n".encode())
    for image in images:
        stat = image.path.stat()
        digest.update(f"{image.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """Wait until no other process holds the lock; the system frees it when its holder is killed."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _shapes(index: Path) -> list[Shape]:
    return [(rows, columns) for rows, columns in json.loads(index.read_text())["shapes"]]


def _is_complete(pixels: Path, index: Path) -> bool:
    if not (pixels.is_file() and index.is_file()):
        return False
    return pixels.stat().st_size == sum(rows * columns for rows, columns in _shapes(index))


def _decode(images: Sequence[LabelledImage], pixels: Path, longest: int | None) -> list[Shape]:
    shapes = []
    partial = pixels.with_name(pixels.name + ".partial")
    with partial.open("wb") as file:
        for picture in tqdm(_pictures(images, longest), "decoding", len(images), unit=" pictures", mininterval=1):
            file.write(picture.tobytes())
            shapes.append((picture.shape[0], picture.shape[1]))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(pixels)
    return shapes


def _pictures(images: Sequence[LabelledImage], longest: int | None) -> Iterator[NDArray[np.uint8]]:
    def read(image: LabelledImage) -> NDArray[np.uint8]:
        picture = read_picture(image.path)
        return picture if longest is None else shrunk(picture, longest)

    with ThreadPoolExecutor() as pool:  # the decoder runs without Python's lock
        for start in range(0, len(images), AHEAD):
            yield from pool.map(read, images[start : start + AHEAD])
