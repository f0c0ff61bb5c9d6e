"""What a compressed frame says of its own size, and whether its data are those of such a picture.

A decoder allocates by the stated size, and OpenJPEG makes up what the data do not hold. So the size is read first, and
the packets of a JPEG 2000 codestream are counted through: their headers say how many bytes belong to each code-block.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_START_OF_JPEG: Final = b"\xff\xd8"
_START_OF_JPEG_2000: Final = b"\xff\x4f\xff\x51"  # SOC, and SIZ, which must be next
_JP2_BOXES: Final = 4096  # where the codestream begins in files that wrap it in JP2 boxes
_FRAME_HEADERS: Final = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})  # SOF0-15 and JPEG-LS's SOF55
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a segment
_MAXIMUM_TILES: Final = 65_535
_START_OF_TILE_PART: Final = b"\xff\x90"
_COMMENT: Final = b"\xff\x64"
_END_OF_CODESTREAM: Final = b"\xff\xd9"
_NOT_READ: Final = (b"\xff\x5f", b"\xff\x60", b"\xff\x61")  # POC, PPM, PPT: no encoder of radiographs writes them
_TERMINATE_EACH: Final = 0x04
_BYPASS: Final = 0x01
_HIGH_THROUGHPUT: Final = 0x40
_BIT_PLANES: Final = 74  # more than any precision and guard bits make


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


def check_packets(frame: bytes) -> None:
    """Check that the packets of a JPEG 2000 or HTJ2K codestream fill its tiles to their last byte.

    Only what radiographs have is read: one component, without offsets, progression order changes or packed headers.

    Raises
    ------
    ValueError
        They do not: the size field, or the data, belong to another picture; or the codestream has a feature that is
        not read here.
    IndexError, struct.error
        It is cut.

    References
    ----------
    ISO/IEC 15444-1 A.4 (tile-parts), A.6.1 (COD), B.5 to B.12 (resolutions, precincts, packets, progressions).
    """
    start = frame.find(_START_OF_JPEG_2000, 0, _JP2_BOXES)
    if start < 0:
        return
    coding, position = _coding(frame, start)
    parts: dict[int, bytearray] = {}
    while frame[position : position + 2] == _START_OF_TILE_PART:
        tile, length = struct.unpack_from(">HL", frame, position + 4)
        end = position + length if length else frame.rindex(_END_OF_CODESTREAM)
        body = _data_of(frame, position + 12)
        if not position < body <= end <= len(frame):
            raise ValueError("a tile-part of another length")
        parts.setdefault(tile, bytearray()).extend(frame[body:end])
        position = end
    while frame[position : position + 2] == _COMMENT:  # it belongs into a header, and is met here all the same
        position += 2 + struct.unpack_from(">H", frame, position + 2)[0]
    if frame[position : position + 2] != _END_OF_CODESTREAM or sorted(parts) != list(range(coding.tiles)):
        raise ValueError("tiles are missing, or there are too many")
    for tile, data in parts.items():
        if _end_of_packets(coding, tile, bytes(data)) != len(data):
            raise ValueError("the packets do not fill the tile")


@dataclass(frozen=True, slots=True)
class _Coding:
    """Size and coding style of a codestream, from SIZ and COD."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    style: int
    progression: int
    layers: int
    levels: int
    block_width: int
    block_height: int
    block_style: int
    precincts: tuple[tuple[int, int], ...]

    @property
    def tiles_across(self) -> int:
        return -(-self.width // self.tile_width)

    @property
    def tiles(self) -> int:
        return self.tiles_across * -(-self.height // self.tile_height)


def _coding(frame: bytes, start: int) -> tuple[_Coding, int]:
    """Read the main header; also returns where the first tile-part begins."""
    right, bottom, left, top, *tile, samples = struct.unpack_from(">8LH", frame, start + 8)
    steps = frame[start + 43 : start + 45]
    if samples != 1 or any((left, top, tile[2], tile[3])) or steps != b"\x01\x01":
        raise ValueError("offsets, steps, or more than one component")
    position, coding = start + 2, None
    while (marker := frame[position : position + 2]) != _START_OF_TILE_PART:
        if marker in _NOT_READ or marker[0] != 0xFF:
            raise ValueError("a marker that is not read")
        if marker == b"\xff\x52":
            style, order, layers, _, levels, width, height, block_style = struct.unpack_from(
                ">BBHBBBBB", frame, position + 4
            )
            sizes = frame[position + 14 : position + 15 + levels] if style & 1 else b"\xff" * (levels + 1)
            precincts = tuple((size & 15, size >> 4) for size in sizes)
            coding = _Coding(
                right, bottom, tile[0], tile[1], style, order, layers, levels, width + 2, height + 2, block_style,
                precincts,
            )  # fmt: skip
        position += 2 + struct.unpack_from(">H", frame, position + 2)[0]
    if coding is None:
        raise ValueError("no coding style")
    return coding, position


def _data_of(frame: bytes, position: int) -> int:
    """Return where the data of a tile-part begin, behind its header."""
    while (marker := frame[position : position + 2]) != b"\xff\x93":
        if marker in _NOT_READ or marker in (b"\xff\x52", b"") or marker[0] != 0xFF:
            raise ValueError("a marker that is not read")
        position += 2 + struct.unpack_from(">H", frame, position + 2)[0]
    return position + 2


class _TagTree:
    """A tag tree (B.10.2) of code-blocks, decoded as far as it was asked for."""

    def __init__(self, columns: int, rows: int) -> None:
        self._shapes = [(columns, rows)]
        while columns * rows > 1:
            columns, rows = -(-columns // 2), -(-rows // 2)
            self._shapes.append((columns, rows))
        self._low = [[0] * (columns * rows) for columns, rows in self._shapes]
        self._known = [[False] * len(level) for level in self._low]

    def reaches(self, bits: _Bits, column: int, row: int, threshold: int) -> bool:
        """Return whether the value of a leaf is below the threshold; reads what is needed to know."""
        low = 0
        for level in reversed(range(len(self._low))):
            at = (row >> level) * self._shapes[level][0] + (column >> level)
            low = max(low, self._low[level][at])
            while low < threshold and not self._known[level][at]:
                if bits.take():
                    self._known[level][at] = True
                else:
                    low += 1
            self._low[level][at] = low
        return low < threshold


class _Bits:
    """The bits of a packet header, without the stuffed ones (B.10.1)."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data, self.position = data, position
        self._left = self._byte = 0

    def take(self) -> int:
        """Take one bit."""
        if not self._left:
            self._left = 7 if self._byte == 0xFF else 8
            self._byte = self._data[self.position]
            self.position += 1
        self._left -= 1
        return self._byte >> self._left & 1

    def number(self, bits: int) -> int:
        """Take a number of so many bits."""
        value = 0
        for _ in range(bits):
            value = value << 1 | self.take()
        return value

    def end(self) -> int:
        """Return where the header ends, on a byte."""
        return self.position + (self._byte == 0xFF)


class _Band:
    """The code-blocks of one sub-band in one precinct."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.included, self.planes = _TagTree(columns, rows), _TagTree(columns, rows)
        self.passes: dict[tuple[int, int], int] = {}
        self.bits: dict[tuple[int, int], int] = {}


@dataclass(slots=True)
class _Precinct:
    """The bands of one precinct, with what orders its packets."""

    resolution: int
    y: int
    x: int
    bands: list[_Band]


def _precincts(coding: _Coding, tile: int) -> Iterator[_Precinct]:
    """List the precincts of a tile (B.5 to B.7)."""
    row, column = divmod(tile, coding.tiles_across)
    x0, y0 = column * coding.tile_width, row * coding.tile_height
    x1, y1 = min(x0 + coding.tile_width, coding.width), min(y0 + coding.tile_height, coding.height)
    for resolution in range(coding.levels + 1):
        down = coding.levels - resolution
        wide, high = coding.precincts[resolution]
        left, right, top, bottom = (-((-edge) >> down) for edge in (x0, x1, y0, y1))
        if left >= right or top >= bottom:
            continue
        for py in range(top >> high, -((-bottom) >> high)):
            for px in range(left >> wide, -((-right) >> wide)):
                bands = [
                    _band(coding, (x0, x1, y0, y1), resolution, (px, py), kind)
                    for kind in ([(0, 0)] if resolution == 0 else [(1, 0), (0, 1), (1, 1)])
                ]
                yield _Precinct(resolution, max(py << high << down, y0), max(px << wide << down, x0), bands)


def _band(
    coding: _Coding, tile: tuple[int, int, int, int], resolution: int, precinct: tuple[int, int], kind: tuple[int, int]
) -> _Band:
    """Count the code-blocks of a sub-band in a precinct (B-15, B.7)."""
    down = coding.levels - resolution + (resolution > 0)
    counts = []
    for axis in (0, 1):
        size = coding.precincts[resolution][axis] - (resolution > 0)
        block = min((coding.block_width, coding.block_height)[axis], size)
        offset = kind[axis] << down - 1 if kind[axis] else 0
        begin, end = (-((offset - edge) >> down) for edge in tile[2 * axis : 2 * axis + 2])
        begin, end = max(begin, precinct[axis] << size), min(end, precinct[axis] + 1 << size)
        counts.append(-((-end) >> block) - (begin >> block) if begin < end else 0)
    return _Band(*counts) if all(counts) else _Band(0, 0)


def _end_of_packets(coding: _Coding, tile: int, data: bytes) -> int:
    """Return where the last packet of a tile ends (B.9, B.12)."""
    order = {
        0: lambda packet: (packet[0], packet[1].resolution, packet[1].y, packet[1].x),
        1: lambda packet: (packet[1].resolution, packet[0], packet[1].y, packet[1].x),
        2: lambda packet: (packet[1].resolution, packet[1].y, packet[1].x, packet[0]),
    }.get(coding.progression, lambda packet: (packet[1].y, packet[1].x, packet[1].resolution, packet[0]))
    precincts = list(_precincts(coding, tile))
    packets = [(layer, precinct) for layer in range(coding.layers) for precinct in precincts]
    position = 0
    for layer, precinct in sorted(packets, key=order):
        if data[position : position + 2] == b"\xff\x91":  # SOP
            position += 6
        bits = _Bits(data, position)
        length = _packet(coding, layer, precinct, bits) if bits.take() else 0
        position = bits.end()
        if data[position : position + 2] == b"\xff\x92":  # EPH
            position += 2
        position += length
    return position


def _packet(coding: _Coding, layer: int, precinct: _Precinct, bits: _Bits) -> int:
    """Read a packet header (B.10), and return how many bytes of code-blocks follow it."""
    length = 0
    for band in precinct.bands:
        for block in ((column, row) for row in range(band.rows) for column in range(band.columns)):
            known = block in band.passes
            if not (bits.take() if known else band.included.reaches(bits, *block, layer + 1)):
                continue
            if not known:
                if not any(band.planes.reaches(bits, *block, planes) for planes in range(1, _BIT_PLANES)):
                    raise ValueError("more bit-planes than there can be")
                band.passes[block], band.bits[block] = 0, 3
            more = _passes(bits)
            while bits.take():
                band.bits[block] += 1
            while more:
                segment = min(more, _segment(coding.block_style, band.passes[block]))
                length += bits.number(band.bits[block] + segment.bit_length() - 1)
                band.passes[block] += segment
                more -= segment
    return length


def _passes(bits: _Bits) -> int:
    """Read the number of coding passes (table B.4)."""
    for length, least in ((1, 1), (1, 2), (2, 3), (5, 6)):
        value = bits.number(length)
        if value != (1 << length) - 1:
            return least + value
    return 37 + bits.number(7)


def _segment(style: int, done: int) -> int:
    """Return how many more passes share the codeword segment, after so many passes (B.10.7; 15444-15 for HT)."""
    if style & _HIGH_THROUGHPUT:
        return 2 if done else 1
    if style & _TERMINATE_EACH:
        return 1
    if style & _BYPASS and done >= 10:
        return (2, 1, 1)[(done - 10) % 3]
    return 10 - done if style & _BYPASS else 164
