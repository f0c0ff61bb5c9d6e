"""The data set of a written result, read as lightly as the check allows.

A report has some 3000 elements in 900 nested data sets. pydicom takes 20 ms to make objects of them, which is twice as
long as the report takes to write. Here each data set is walked over once, and only the values that are asked for are
converted. The tests compare what the check finds in such a data set with what it finds in pydicom's.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from struct import Struct, error, unpack_from
from typing import Any, Final

from pydicom.datadict import tag_for_keyword
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

_PREAMBLE: Final = 128
_HEAD: Final = Struct("<HH2sH")
_LENGTH: Final = Struct("<L")
_ITEM_HEAD: Final = Struct("<LL")
_ITEM, _SEQUENCE_END = 0xE000FFFE, 0xE0DDFFFE
_DELIMITER: Final = 0xFFFEE00D
_UNDEFINED: Final = 0xFFFFFFFF
_LONG: Final = frozenset(vr.value.encode() for vr in EXPLICIT_VR_LENGTH_32)
_NUMBERS: Final = {b"US": ("H", 2), b"SS": ("h", 2), b"UL": ("L", 4), b"SL": ("l", 4), b"FL": ("f", 4), b"FD": ("d", 8)}
_BINARY: Final = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"UN", b"AT"))
_ONE_TEXT: Final = frozenset((b"LT", b"ST", b"UT", b"UR"))

MALFORMED: Final = (error, IndexError, ValueError)
"""What reading raises where the bytes are no data set in Explicit VR Little Endian."""


class WrittenItem:
    """A data set or an item of a sequence, read from the bytes of a file; see :func:`read_written`."""

    __slots__ = ("_content", "_elements", "_values")

    def __init__(self, content: bytes, elements: dict[int, tuple[bytes, int, int]]) -> None:
        """Take the elements of one data set.

        Parameters
        ----------
        content
            The whole file.
        elements
            VR, start and end of each value in ``content``, by tag.
        """
        self._content, self._elements = content, elements
        self._values: dict[str, Any] = {}

    def get(self, keyword: str, default: Any = None, /) -> Any:
        """Return the value of an attribute.

        Parameters
        ----------
        keyword
            DICOM's keyword of the attribute.
        default
            What is returned where the attribute is not there.

        Returns
        -------
        A list of :class:`WrittenItem` for a sequence, a view of the bytes for VRs such as OB and OW, else a text or a
        number, or a list of several. Texts are decoded as Latin-1: what the check looks for in them is ASCII, and so
        the same bytes in every character set.
        """
        if keyword not in self._values:
            element = self._elements.get(_tag(keyword))
            if element is None:
                return default
            self._values[keyword] = _value(self._content, *element)
        return self._values[keyword]


def read_written(path: Path) -> WrittenItem:
    """Read a result from its file.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError, IndexError, struct.error
        It is not a DICOM file in Explicit VR Little Endian: all of :data:`MALFORMED`.

    References
    ----------
    DICOM PS3.5 7.1.2 (Explicit VR), 7.5 (sequences); PS3.10 7.1 (File Meta Information).
    """
    content = path.read_bytes()
    start = _PREAMBLE + 4
    if content[_PREAMBLE:start] != b"DICM":
        raise ValueError("not a DICOM file")
    # (0002,0000) comes first and has the length of the rest of its group.
    end = start + 12 + unpack_from("<L", content, start + 8)[0]
    meta = WrittenItem(content, _walk(content, start, end)[0])
    if meta.get("TransferSyntaxUID") != ExplicitVRLittleEndian:
        raise ValueError("not in Explicit VR Little Endian")
    return WrittenItem(content, _walk(content, end, len(content))[0])


@cache
def _tag(keyword: str) -> int:
    return tag_for_keyword(keyword) or 0


def _walk(content: bytes, at: int, end: int | None) -> tuple[dict[int, tuple[bytes, int, int]], int]:
    """Find the elements of a data set; an ``end`` of None is where its Item Delimitation Item stands."""
    elements: dict[int, tuple[bytes, int, int]] = {}
    while end is None or at < end:
        group, element, vr, length = _HEAD.unpack_from(content, at)
        tag, at = group << 16 | element, at + 8
        if tag == _DELIMITER:
            return elements, at
        if vr in _LONG:
            (length,), at = _LENGTH.unpack_from(content, at), at + 4
        after = _after(content, at) if length == _UNDEFINED else at + length
        elements[tag] = vr, at, after
        at = after
    if at != end or at > len(content):
        raise ValueError("an element is longer than its data set")
    return elements, at


def _after(content: bytes, at: int) -> int:
    """Find where a sequence of undefined length ends."""
    while True:
        tag, length = _ITEM_HEAD.unpack_from(content, at)
        at += 8
        if tag == _SEQUENCE_END:
            return at
        at = _walk(content, at, None)[1] if length == _UNDEFINED else at + length


def _value(content: bytes, vr: bytes, start: int, end: int) -> Any:
    if vr == b"SQ":
        return _items(content, start, end)
    if vr in _NUMBERS:
        code, size = _NUMBERS[vr]
        numbers = unpack_from(f"<{(end - start) // size}{code}", content, start)
        return numbers[0] if len(numbers) == 1 else list(numbers)
    if vr in _BINARY:
        return memoryview(content)[start:end]
    text = content[start:end].decode("latin-1").rstrip("\0 ")
    return text.split("\\") if "\\" in text and vr not in _ONE_TEXT else text


def _items(content: bytes, at: int, end: int) -> list[WrittenItem]:
    items = []
    while at < end:
        tag, length = _ITEM_HEAD.unpack_from(content, at)
        at += 8
        if tag == _SEQUENCE_END:
            break
        if tag != _ITEM:
            raise ValueError("a sequence holds something other than items")
        elements, at = _walk(content, at, None if length == _UNDEFINED else at + length)
        items.append(WrittenItem(content, elements))
    return items
