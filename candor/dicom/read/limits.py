"""Limits of what is read from a file, so that no file takes the memory or the time of other studies.

pydicom trusts a file: it parses whatever comes before the pixel data, inflates whatever was deflated, and converts a
hundred million numbers where a file holds them. So every file is opened here, with a reader that counts bytes, and
every value is counted before it is converted. Lengths beyond the end of the file are not counted.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from pydicom import Dataset
from pydicom.charset import default_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileDataset
from pydicom.filereader import read_partial, read_sequence
from pydicom.hooks import raw_element_vr
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from candor.study.errors import Refused
from candor.study.reasons import Reason

MIB: Final = 1 << 20

MAXIMUM_HEADER_BYTES: Final = 64 * MIB
"""The most bytes before the pixel data; a radiograph's header rarely has a hundredth of it."""

MAXIMUM_READS: Final = 250_000
"""The most reads. An element, an item of a sequence, or a fragment of pixel data takes two or three."""

MAXIMUM_ELEMENTS: Final = 100_000
ELEMENTS_PER_ITEM: Final = 4
"""An item of a sequence counts as this many elements, because it takes as much time."""

MAXIMUM_DEPTH: Final = 32
"""The deepest nesting of sequences; the standard's own templates have less than half of it."""

MAXIMUM_VALUE_BYTES: Final = 2 * MIB
"""The most bytes of all values that are converted to text and numbers; a byte may become a hundred."""

MAXIMUM_SEQUENCE_BYTES: Final = 8 * MIB
"""The most bytes of sequences; a nested one counts again in each that holds it, because it is copied."""

MAXIMUM_INFLATED_BYTES: Final = 288 * MIB
"""The most bytes of a deflated file after inflation: a header and the largest picture."""

ADVICE: Final = "no radiograph has so much; look at what sends it"
NESTED_TOO_DEEP: Final = f"sequences nested over {MAXIMUM_DEPTH} deep"

_OPAQUE: Final = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
_CHUNK: Final = 4 * MIB
_ITEM, _ITEM_BIG_ENDIAN = b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00"
_UNDEFINED_LENGTH: Final = b"\xff\xff\xff\xff"

T = TypeVar("T")
StopWhen = Callable[[BaseTag, str | None, int], bool]


class Budget:
    """What is left of the limits for one file; everything is counted before it is done.

    Parameters
    ----------
    limit
        The most bytes that may be read.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes, self._reads = limit, limit, MAXIMUM_READS
        self._elements = MAXIMUM_ELEMENTS
        self._values, self._sequences = MAXIMUM_VALUE_BYTES, MAXIMUM_SEQUENCE_BYTES
        self.refusal: Refused | None = None

    def read(self, size: int) -> None:
        """Count a read of ``size`` bytes.

        Raises
        ------
        Refused
            ``TOO_LARGE``: too many bytes. ``UNREADABLE``: too many reads.
        """
        self._bytes -= size
        self._reads -= 1
        if self._bytes < 0:
            self._refuse(Reason.TOO_LARGE, f"over {self._limit // MIB} MiB to read")
        if self._reads < 0:
            self._refuse(Reason.UNREADABLE, f"over {MAXIMUM_ELEMENTS} elements, items and fragments")

    def enter(self, dataset: Dataset, depth: int) -> None:
        """Count a data set's elements.

        Parameters
        ----------
        dataset
            The data set.
        depth
            How deep it is nested in sequences; 0 for the file's own.

        Raises
        ------
        Refused
            ``UNREADABLE``: there are too many, or they are nested too deep.
        """
        self._elements -= len(dataset)
        if depth > MAXIMUM_DEPTH:
            self._refuse(Reason.UNREADABLE, NESTED_TOO_DEEP)
        if self._elements < 0:
            self._refuse(Reason.UNREADABLE, f"over {MAXIMUM_ELEMENTS} elements")

    def convert(self, dataset: Dataset, element: RawDataElement | DataElement) -> None:
        """Count one element's value, if it has to be converted.

        Parameters
        ----------
        dataset
            The data set that holds the element.
        element
            The element; pydicom has not converted a raw one yet.

        Raises
        ------
        Refused
            ``UNREADABLE``: the values have too many bytes, or a sequence has too many parts.
        Exception
            Whatever pydicom raises for malformed bytes.
        """
        if isinstance(element, DataElement) or not element.value:
            return
        representation = _representation(dataset, element)
        if representation == "SQ":
            self._sequence(element, element.value)
        elif not representation.startswith(_OPAQUE):
            self._values -= len(element.value)
        if self._values < 0:
            self._refuse(Reason.UNREADABLE, f"texts and numbers of over {MAXIMUM_VALUE_BYTES // MIB} MiB")

    def _sequence(self, element: RawDataElement, value: bytes) -> None:
        self._sequences -= len(value)
        if self._sequences < 0:
            self._refuse(Reason.UNREADABLE, f"sequences of over {MAXIMUM_SEQUENCE_BYTES // MIB} MiB")
        items = value.count(_ITEM if element.is_little_endian else _ITEM_BIG_ENDIAN)
        self._elements -= ELEMENTS_PER_ITEM * items
        if self._elements < 0:
            self._refuse(Reason.UNREADABLE, f"over {MAXIMUM_ELEMENTS // ELEMENTS_PER_ITEM} items of sequences")
        if _UNDEFINED_LENGTH in value:
            # Searching for ends may take the square of their number, so it is done once here, where it is counted.
            with LimitedReader(io.BytesIO(value), self) as reader:
                reader.parse(lambda: _read_sequence(reader, element, len(value)))

    def _refuse(self, reason: Reason, found: str) -> NoReturn:
        self.refusal = Refused(reason, f"{found}; {ADVICE}")
        raise self.refusal


class LimitedReader(io.BufferedReader):
    """A file whose reads are counted, and never exceed its size.

    Parameters
    ----------
    raw
        The bytes of the file.
    budget
        Counts the reads.
    """

    name = ""  # pydicom keeps it, and file names may hold patients' names

    def __init__(self, raw: io.RawIOBase | io.BytesIO, budget: Budget) -> None:
        super().__init__(raw)
        self._size = raw.seek(0, os.SEEK_END)
        self._budget = budget
        self.seek(0)

    def read(self, size: int | None = -1) -> bytes:
        """Read at most ``size`` bytes."""
        if size is None or size < 0:
            raise _Deflated  # pydicom only reads the whole rest in order to inflate it
        if size > _CHUNK:
            size = min(size, max(self._size - self.tell(), 0))
        self._budget.read(size)
        return super().read(size)

    def parse(self, parser: Callable[[], T]) -> T:
        """Run a parser on this file; a refusal is raised even if the parser turns it into another error."""
        try:
            return parser()
        except Exception:
            if self._budget.refusal:  # pydicom raises OSError for any error inside a sequence
                raise self._budget.refusal from None
            raise


def read_limited(
    path: Path, budget: Budget, *, stop_when: StopWhen | None = None, specific_tags: list[BaseTag | int] | None = None
) -> FileDataset:
    """Parse a DICOM file with or without its preamble, within a budget.

    Values are raw, except in sequences of undefined length. A data set that was deflated gets the transfer syntax that
    it has after inflation.

    Parameters
    ----------
    path
        The file.
    budget
        What may be read.
    stop_when, specific_tags
        As :func:`pydicom.filereader.read_partial` takes them.

    Raises
    ------
    Refused
        ``UNREADABLE`` or ``TOO_LARGE``: a limit is exceeded.
    Exception
        Whatever pydicom raises for malformed bytes.
    """

    def parsed(file: LimitedReader) -> FileDataset:
        return file.parse(lambda: read_partial(file, stop_when, force=True, specific_tags=specific_tags))

    with path.open("rb", buffering=0) as raw, LimitedReader(raw, budget) as file:
        try:
            return parsed(file)
        except _Deflated:
            content = io.BytesIO(_inflated(file))
    with LimitedReader(content, budget) as inflated:
        return parsed(inflated)


class _Deflated(Exception):
    """The rest of the file is deflated."""


def _inflated(file: LimitedReader) -> bytes:
    """Return the bytes of the file with its data set, which begins at the position of ``file``, inflated.

    Raises
    ------
    Refused
        ``TOO_LARGE``: it inflates to too many bytes.
    zlib.error
        It cannot be inflated.
    """
    start = file.tell()
    file.seek(0)
    plain = ExplicitVRLittleEndian.ljust(len(DeflatedExplicitVRLittleEndian), "\0")
    before = io.BufferedReader.read(file, start).replace(DeflatedExplicitVRLittleEndian.encode(), plain.encode())
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    parts = [before]
    left = MAXIMUM_INFLATED_BYTES
    while not inflater.eof and (chunk := inflater.unconsumed_tail or io.BufferedReader.read(file, _CHUNK)):
        part = inflater.decompress(chunk, _CHUNK)
        left -= len(part)
        if left < 0:
            detail = f"it inflates to over {MAXIMUM_INFLATED_BYTES // MIB} MiB; send it without deflation"
            raise Refused(Reason.TOO_LARGE, detail)
        parts.append(part)
    if not inflater.eof:
        raise zlib.error("the deflated data set has no end")
    return b"".join(parts)


def _read_sequence(file: LimitedReader, element: RawDataElement, size: int) -> Sequence:
    return read_sequence(file, element.is_implicit_VR, element.is_little_endian, size, default_encoding)


def _representation(dataset: Dataset, element: RawDataElement) -> str:
    """Return the Value Representation by which pydicom will convert a value."""
    if element.VR not in (None, "UN"):
        return str(element.VR)
    found: dict[str, str] = {}
    raw_element_vr(element, found, ds=dataset)
    return found["VR"]
