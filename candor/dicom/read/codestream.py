"""Read the size that a compressed frame states, before a decoder allocates memory for it."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Final

_START_OF_JPEG: Final = b"\xff\xd8"
_START_OF_JPEG_2000: Final = b"\xff\x4f\xff\x51"  # SOC, and SIZ, which must be next
_JP2_BOXES: Final = 4096  # where the codestream begins in files that wrap it in JP2 boxes
_FRAME_HEADERS: Final = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})  # SOF0-15 and JPEG-LS's SOF55
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a segment
_MAXIMUM_TILES: Final = 65_535


@dataclass(frozen=True, slots=True)
class Size:
    """Rows, columns and samples per pixel of a codestream."""

    rows: int
    columns: int
    samples: int


def stated_size(frame: bytes) -> Size:
    """Return the size in the header of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K codestream.

    Raises
    ------
    ValueError
        It states no size, or one that the standards do not allow.
    struct.error
        It is truncated in the header.

    References
    ----------
    ISO/IEC 10918-1 B.2.2 (frame header), 14495-1 C.2.2, 15444-1 A.5.1 (SIZ) and B.3 (tiles).
    """
    if frame.startswith(_START_OF_JPEG):
        return _jpeg(frame)
    start = frame.find(_START_OF_JPEG_2000, 0, _JP2_BOXES)
    if start < 0:
        raise ValueError("no codestream")
    return _jpeg_2000(frame, start + len(_START_OF_JPEG_2000))


def _jpeg(frame: bytes) -> Size:
    """Return the size in the frame header, after the marker segments before it."""
    position = len(_START_OF_JPEG)
    while True:
        prefix, marker = struct.unpack_from(">BB", frame, position)
        if prefix != 0xFF:
            raise ValueError("no marker where one should be")
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _STANDALONE:
            position += 2
        elif marker in _FRAME_HEADERS:
            _, _, rows, columns, samples = struct.unpack_from(">HBHHB", frame, position + 2)
            return Size(rows, columns, samples)
        else:
            position += 2 + struct.unpack_from(">H", frame, position + 2)[0]


def _jpeg_2000(frame: bytes, position: int) -> Size:
    """Return the size in SIZ, whose marker ends at ``position``."""
    _, _, right, bottom, left, top, *tiles, samples = struct.unpack_from(">HH8LH", frame, position)
    _, step_x, step_y = struct.unpack_from(">BBB", frame, position + struct.calcsize(">HH8LH"))
    tile_width, tile_height, tile_left, tile_top = tiles
    if not (step_x and step_y and tile_width and tile_height):
        raise ValueError("a step or a tile of nothing")
    if math.ceil((right - tile_left) / tile_width) * math.ceil((bottom - tile_top) / tile_height) > _MAXIMUM_TILES:
        raise ValueError("more tiles than there can be")
    rows, columns = (
        math.ceil(end / step) - math.ceil(start / step)
        for start, end, step in ((top, bottom, step_y), (left, right, step_x))
    )
    return Size(rows, columns, samples)
