"""Small files that claim, nest or inflate to more than a reader can bear; each by its name."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Final

from pydicom import Dataset, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from candor.study.reasons import Reason
from tests.factory import chest_like, radiograph_dataset

UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED)
_ENDS: Final = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
_PRIVATE: Final = 0x00311010


def small(**attributes: object) -> Dataset:
    """A radiograph of 64 x 64 pixels."""
    return radiograph_dataset(chest_like(64, 64), **attributes)


def part10(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """Its file; native pixel data are written as they are, whatever the syntax."""
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dcmwrite(
        buffer, dataset, enforce_file_format=True, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True
    )
    return buffer.getvalue()


def explicit(tag: int, representation: bytes, length: int, value: bytes = b"") -> bytes:
    """An explicit VR element of a 32-bit length, which may lie."""
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, representation, 0, length) + value


def implicit(tag: int, length: int, value: bytes = b"") -> bytes:
    """An implicit VR element, whose length may lie."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, length) + value


def before_pixels(element: bytes, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """A radiograph's file with one more element right before its pixel data."""
    content = part10(small(), syntax)
    head = struct.pack("<HH", 0x7FE0, 0x0010)
    start = content.rindex(head + (b"OW\0\0" if syntax != ImplicitVRLittleEndian else struct.pack("<L", 2 * 64 * 64)))
    return content[:start] + element + content[start:]


def nested(depth: int, representation: bytes = b"SQ", tag: int = 0x00081140) -> bytes:
    """Sequences in sequences, of undefined length."""
    return explicit(tag, representation, UNDEFINED, _ITEM) * depth


def nested_with_lengths(depth: int, core: bytes = b"") -> bytes:
    """Sequences in sequences that all state their lengths."""
    content = core
    for _ in range(depth):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content
        content = explicit(0x00081140, b"SQ", len(item), item)
    return content


def deflated(mebibytes: int) -> bytes:
    """A deflated file that inflates to so much."""
    meta = part10(small(), DeflatedExplicitVRLittleEndian)
    start = meta.index(b"1.2.840.10008.1.2.1.99") + 22
    (length,) = struct.unpack_from("<L", meta, 140)
    assert start <= 144 + length
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = packer.compress(explicit(_PRIVATE, b"OB", mebibytes << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # stands for itself, so it repeats
    return meta[: 144 + length] + head + block * mebibytes + packer.flush()


def many_ends() -> bytes:
    """Values whose end has to be looked for, each behind all the later ones: the search takes their number squared."""
    step = (
        struct.pack("<HHL", 0xFFFE, 0xE000, 20)
        + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
        + explicit(_PRIVATE, b"OB", UNDEFINED)
    )
    content = explicit(_PRIVATE, b"OB", UNDEFINED) + step * 100_000 + bytes(8)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content
    return explicit(0x00081140, b"SQ", len(item), item)


def compressed(frame: bytes, syntax: UID, rows: int = 64, columns: int = 64, **attributes: object) -> bytes:
    """A radiograph whose pixel data are one compressed frame."""
    dataset = small(Rows=rows, Columns=columns, PixelData=encapsulate([frame]), **attributes)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return part10(dataset, syntax)


def jpeg(rows: int, columns: int, marker: int, bits: int = 12) -> bytes:
    """A JPEG or JPEG-LS codestream that is a header and an end."""
    frame = struct.pack(">BBHBHHB3B", 0xFF, marker, 11, bits, rows, columns, 1, 1, 0x11, 0)
    scan = struct.pack(">BBHB2B3B", 0xFF, 0xDA, 8, 1, 1, 0, 0, 0, 0)
    return b"\xff\xd8" + frame + scan + bytes(32) + b"\xff\xd9"


def jpeg_2000(rows: int, columns: int, tile: int = 0) -> bytes:
    """A JPEG 2000 codestream that is a main header and an end."""
    side = tile or max(rows, columns)
    size = struct.pack(">HH8LHBBB", 41, 0, columns, rows, 0, 0, side, side, 0, 0, 1, 11, 1, 1)
    coding = struct.pack(">HHBBHBBBBBB", 0xFF52, 12, 0, 0, 1, 0, 5, 4, 4, 0, 1)
    quantisation = struct.pack(">HHB16B", 0xFF5C, 19, 0x40, *range(0x48, 0x58))
    part = struct.pack(">HHHLBBH", 0xFF90, 10, 0, 0, 0, 1, 0xFF93)
    return b"\xff\x4f\xff\x51" + size + coding + quantisation + part + bytes(6) + b"\xff\xd9"  # six empty packets


def run_lengths(mebibytes: int) -> bytes:
    """An RLE frame of two segments that expand to so much each."""
    segment = b"\x81\x00" * (mebibytes * (1 << 20) // 128)
    return struct.pack("<16L", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2


def _million_fragments() -> bytes:
    fragment = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    dataset = compressed(b"\xff\xd8\xff\xd9", JPEGLosslessSV1)
    end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    start = dataset.rindex(end)
    return dataset[:start] + fragment * 1_000_000 + dataset[start:]


def _huge_native() -> bytes:
    return part10(small(Rows=9_999, Columns=9_999))


def _numbers() -> bytes:
    return before_pixels(implicit(0x00281050, 40_000_000, b"1\\" * 20_000_000), ImplicitVRLittleEndian)


def _name(size: int) -> bytes:
    value = b"A" * size
    head, old = implicit(0x00100010, 6, b"Test^0"), part10(small(), ImplicitVRLittleEndian)
    assert old.count(head) == 1
    return old.replace(head, implicit(0x00100010, size, value))


def _claims(tag: int, representation: bytes) -> bytes:
    content = part10(small())
    return content[: content.index(struct.pack("<HH", 0x0010, 0x0010))] + explicit(tag, representation, 0xFFFFFFFE)


def _pixel_claim() -> bytes:
    content = part10(small())
    head = struct.pack("<HH2sH", 0x7FE0, 0x0010, b"OW", 0)
    start = content.rindex(head) + len(head)
    return content[:start] + struct.pack("<L", 0xFFFFFFFE) + bytes(100)


def _meta() -> bytes:
    content = part10(small())
    end = 144 + struct.unpack_from("<L", content, 140)[0]
    return content[:end] + explicit(0x00020102, b"OB", 100 << 20, bytes(100 << 20)) + content[end:]


def _header() -> bytes:
    return before_pixels(explicit(_PRIVATE, b"OB", 100 << 20, bytes(100 << 20)))


def _many_elements() -> bytes:
    return before_pixels(b"".join(struct.pack("<HH2sH", 0x0031, n & 0xFFFF, b"LO", 0) for n in range(1_000_000)))


def _many_items() -> bytes:
    items = struct.pack("<HHL", 0xFFFE, 0xE000, 0) * 1_000_000
    return before_pixels(explicit(0x00081140, b"SQ", len(items), items))


def _copies() -> bytes:
    return before_pixels(nested_with_lengths(30, explicit(_PRIVATE, b"OB", 12 << 20, bytes(12 << 20))))


_UNREADABLE, _UNDECODABLE = Reason.UNREADABLE, Reason.UNDECODABLE

BOMBS: Final[dict[str, tuple[Callable[[], bytes], Reason]]] = {
    "10000 nested sequences": (lambda: before_pixels(nested(10_000)), _UNREADABLE),
    "100 nested sequences": (lambda: before_pixels(nested(100) + _ENDS * 100), _UNREADABLE),
    "10000 nested sequences with lengths": (lambda: before_pixels(nested_with_lengths(10_000)), _UNREADABLE),
    "10000 nested UN": (lambda: before_pixels(nested(10_000, b"UN", _PRIVATE)), _UNREADABLE),
    "12 MiB in 30 sequences": (_copies, _UNREADABLE),
    "a search that squares": (lambda: before_pixels(many_ends()), _UNREADABLE),
    "a million elements": (_many_elements, _UNREADABLE),
    "a million items": (_many_items, _UNREADABLE),
    "a deflated bomb": (lambda: deflated(2048), Reason.TOO_LARGE),
    "a header of 100 MiB": (
        lambda: before_pixels(explicit(_PRIVATE, b"OB", 100 << 20, bytes(100 << 20))),
        Reason.TOO_LARGE,
    ),
    "meta of 100 MiB": (_meta, Reason.TOO_LARGE),
    "a name of 100 MB": (lambda: _name(100_000_000), Reason.TOO_LARGE),
    "a name of 4 MB": (lambda: _name(4_000_000), _UNREADABLE),
    "20 million numbers": (_numbers, _UNREADABLE),
    "OB of 4 GiB": (lambda: _claims(0x00091010, b"OB"), Reason.NO_PIXELS),
    "UT of 4 GiB": (lambda: _claims(0x00091010, b"UT"), Reason.NO_PIXELS),
    "SQ of 4 GiB": (lambda: _claims(0x00081140, b"SQ"), Reason.NO_PIXELS),
    "pixels of 4 GiB": (_pixel_claim, _UNDECODABLE),
    "65535 x 65535": (lambda: part10(small(Rows=65_535, Columns=65_535)), Reason.TOO_LARGE),
    "9999 x 9999": (_huge_native, _UNDECODABLE),
    "a million fragments": (_million_fragments, _UNREADABLE),
    "JPEG of 60000 x 60000": (
        lambda: compressed(jpeg(60_000, 60_000, 0xC1), JPEGExtended12Bit),
        Reason.CONTRADICTION,
    ),
    "JPEG Baseline of 60000 x 60000": (
        lambda: compressed(jpeg(60_000, 60_000, 0xC0, 8), JPEGBaseline8Bit),
        Reason.CONTRADICTION,
    ),
    "JPEG Lossless of 60000 x 60000": (
        lambda: compressed(jpeg(60_000, 60_000, 0xC3), JPEGLosslessSV1),
        Reason.CONTRADICTION,
    ),
    "JPEG-LS of 60000 x 60000": (
        lambda: compressed(jpeg(60_000, 60_000, 0xF7), JPEGLSLossless),
        Reason.CONTRADICTION,
    ),
    "JPEG 2000 of 60000 x 60000": (
        lambda: compressed(jpeg_2000(60_000, 60_000), JPEG2000Lossless),
        Reason.CONTRADICTION,
    ),
    "HTJ2K of 60000 x 60000": (
        lambda: compressed(jpeg_2000(60_000, 60_000), HTJ2KLossless),
        Reason.CONTRADICTION,
    ),
    "JPEG 2000 of a million tiles": (
        lambda: compressed(jpeg_2000(9_000, 9_000, tile=9), JPEG2000Lossless, 9_000, 9_000),
        _UNDECODABLE,
    ),
    "JPEG 2000 of 9999 x 9999 without data": (
        lambda: compressed(jpeg_2000(9_999, 9_999), JPEG2000Lossless, 9_999, 9_999),
        Reason.CONSTANT_PIXELS,
    ),
    "JPEG-LS of 9999 x 9999 without data": (
        lambda: compressed(jpeg(9_999, 9_999, 0xF7), JPEGLSLossless, 9_999, 9_999),
        _UNDECODABLE,
    ),
    "JPEG Lossless of 9999 x 9999 without data": (
        lambda: compressed(jpeg(9_999, 9_999, 0xC3), JPEGLosslessSV1, 9_999, 9_999),
        _UNDECODABLE,
    ),
    "RLE that expands to 4 GiB": (lambda: compressed(run_lengths(2048), RLELossless), _UNDECODABLE),
}
"""What makes each file, and the reason that the reader refuses it for."""


def bombs() -> Iterator[tuple[str, bytes]]:
    """Make all of them, one after another."""
    for name, (make, _) in BOMBS.items():
        yield name, make()
