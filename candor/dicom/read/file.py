"""Read one DICOM file: its header, and its pixels as a radiograph ready to display."""

from __future__ import annotations

import hashlib
import logging
import math
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import Dataset, config
from pydicom.dataelem import DataElement
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag

from candor.dicom.read.decode import Stored, decode, lossy
from candor.dicom.read.greyscale import GreyScale
from candor.dicom.read.limits import ADVICE, MAXIMUM_HEADER_BYTES, NESTED_TOO_DEEP, Budget, read_limited
from candor.dicom.shared.attributes import is_uid, text, values
from candor.files.privacy import name_of
from candor.study.errors import Refused
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason
from candor.study.result import Note

# pydicom's warnings and log lines quote the values that they are about, which are patients' data.
warnings.filterwarnings("ignore", module=r"pydicom\b")
config.settings.reading_validation_mode = config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

_PIXEL_DATA: Final = 0x7FE00010
_FLOAT_PIXEL_DATA: Final = (0x7FE00008, 0x7FE00009)
_PIXEL_GROUP: Final = 0x0028

MALFORMED: Final = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,  # a length of gigabytes
    NotImplementedError,  # an unknown VR
    OSError,
    RecursionError,  # sequences in sequences
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom raises for malformed bytes; it documents none, and they share no base class."""


@dataclass(frozen=True, slots=True, eq=False)
class DecodedRadiograph:
    """One radiograph as it was read from its file.

    Parameters
    ----------
    radiograph
        The radiograph.
    notices
        Remarks about the pixels: ``NO_VOI``, ``LUT_BITS``, ``LUT_BROKEN``, ``SHUTTER``, ``LOSSY``.
    pixel_sha256
        SHA-256, in hexadecimal, of the stored values and of every attribute that the radiograph is made with
        (:mod:`candor.dicom.read.greyscale`, spacing, orientation). It does not depend on the transfer syntax, so the
        same picture has the same hash however it was compressed without loss.
    """

    radiograph: Radiograph
    notices: tuple[Note, ...]
    pixel_sha256: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What a file shows, apart from what it states about where and how large it is.

    Parameters
    ----------
    sha256
        SHA-256, in hexadecimal, of the stored values and the grey scale alone.
    spacing, columns_to_left
        See :class:`candor.study.radiograph.Radiograph`; None where the file does not state it.
    """

    sha256: str
    spacing: tuple[float, float] | None
    columns_to_left: bool | None

    def is_same(self, other: Picture) -> bool:
        """Return whether both are the same picture: one may state what the other leaves out, and nothing else."""
        pairs = ((self.spacing, other.spacing), (self.columns_to_left, other.columns_to_left))
        return self.sha256 == other.sha256 and all(one is None or two is None or one == two for one, two in pairs)

    @property
    def facts(self) -> int:
        """How much it states of spacing and orientation."""
        return (self.spacing is not None) + (self.columns_to_left is not None)


def read_header(path: Path) -> Dataset:
    """Read all attributes of a DICOM file except the pixel data.

    Every value is converted here, so that reading it later raises no error. Values that cannot be converted are
    dropped; in group 0028 they stay as bytes, so that the picture is refused. Where there is Pixel Data, the header has
    an empty (7FE0,0010).

    Files without preamble and File Meta Information are read too, if they name a SOP Class.

    Raises
    ------
    Refused
        ``UNREADABLE``: the file cannot be opened, is not DICOM, or exceeds a limit of :mod:`candor.dicom.read.limits`.
        ``TOO_LARGE``: there are too many bytes before its pixel data.

    References
    ----------
    DICOM PS3.10 section 7 (file format).
    """
    try:
        return _parse(path)
    except MALFORMED as error:
        if _recursed(error):
            raise Refused(Reason.UNREADABLE, f"{NESTED_TOO_DEEP}; {ADVICE}") from None
        # Without a cause: the text of an error may quote a patient's data, or the file's name.
        strerror = error.strerror if isinstance(error, OSError) else None
        found = f"the file cannot be read ({strerror})" if strerror else f"no DICOM data set ({name_of(error)})"
        raise Refused(Reason.UNREADABLE, found) from None


def _recursed(error: BaseException | None) -> bool:
    """Return whether an error was caused by too deep a recursion, which pydicom may raise as an OSError."""
    while error is not None and not isinstance(error, RecursionError):
        error = error.__context__
    return error is not None


def _parse(path: Path) -> Dataset:
    """Parse up to the pixel data; raises any of ``MALFORMED``, or ``Refused``."""
    pixels_follow = False

    def at_pixels(tag: BaseTag, _vr: str | None, length: int) -> bool:
        nonlocal pixels_follow
        pixels_follow = tag == _PIXEL_DATA and length != 0
        return tag == _PIXEL_DATA or tag in _FLOAT_PIXEL_DATA

    budget = Budget(MAXIMUM_HEADER_BYTES)
    header = read_limited(path, budget, stop_when=at_pixels)
    _convert(header.file_meta, budget)
    _convert(header, budget)
    if header.preamble is None and not is_uid(header.get("SOPClassUID")):
        raise Refused(Reason.UNREADABLE, "neither a DICOM file nor a data set that names a SOP Class")
    if not header and not header.file_meta:
        raise Refused(Reason.UNREADABLE, "a DICOM file without attributes")
    if pixels_follow:
        header[_PIXEL_DATA] = DataElement(_PIXEL_DATA, "OW", b"")
    return header


def _convert(dataset: Dataset, budget: Budget, depth: int = 0) -> None:
    """Convert all values in place, as :func:`read_header` describes."""
    budget.enter(dataset, depth)
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        try:
            budget.convert(dataset, raw)
            for item in dataset[tag].value if dataset[tag].VR == "SQ" else ():
                _convert(item, budget, depth + 1)
        except MALFORMED:
            del dataset[tag]
            if tag >> 16 == _PIXEL_GROUP:
                dataset[tag] = DataElement(tag, "UN", getattr(raw, "value", b"?"))


def read_pixels(path: Path) -> DecodedRadiograph:
    """Read one single-frame grey-scale image as a radiograph ready to display.

    Raises
    ------
    Refused
        ``UNREADABLE``, ``NO_PIXELS``, ``MULTI_FRAME``, ``COLOUR``, ``TOO_LARGE``, ``CONTRADICTION``,
        ``UNDECODABLE`` or ``CONSTANT_PIXELS``.

    References
    ----------
    DICOM PS3.4 N.2 (pixel transformation sequence).
    """
    header = read_header(path)
    greyscale = GreyScale.of(header)
    stored = decode(path, header)
    pixels, notice = greyscale.render(stored)
    radiograph = Radiograph(pixels, pixel_spacing(header), _columns_to_left(header))
    notices = [notice] if notice else []
    notices += [each for each in greyscale.notices if not notice or each.reason is Reason.SHUTTER]
    if lossy(header):
        notices.append(Note(Reason.LOSSY, "fine detail may be lost or invented"))
    return DecodedRadiograph(radiograph, tuple(notices), _pixel_sha256(stored, greyscale, radiograph))


def read_picture(path: Path) -> Picture:
    """Read what a file shows, to compare it with another file of the same instance.

    Raises
    ------
    Refused
        As :func:`read_pixels`.
    """
    header = read_header(path)
    greyscale, stored = GreyScale.of(header), decode(path, header)
    return Picture(_sha256(stored, greyscale), pixel_spacing(header), _columns_to_left(header))


def _pixel_sha256(stored: Stored, greyscale: GreyScale, radiograph: Radiograph) -> str:
    """Return the hash of the stored values and attributes, independent of the file's encoding."""
    return _sha256(stored, greyscale, radiograph.spacing, radiograph.columns_to_left)


def _sha256(stored: Stored, greyscale: GreyScale, *more: object) -> str:
    attributes = (*stored.shape, stored.dtype.kind, greyscale.canonical, *more)
    digest = hashlib.sha256(repr(attributes).encode())
    digest.update(np.ascontiguousarray(stored, stored.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def pixel_spacing(header: Dataset) -> tuple[float, float] | None:
    """Return the millimetres between rows and columns: Pixel Spacing, else Imager Pixel Spacing, where positive."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            row, column = (float(value) for value in values(header, keyword))
        except (TypeError, ValueError):
            continue
        if 0 < row < math.inf and 0 < column < math.inf:
            return row, column
    return None


def _columns_to_left(header: Dataset) -> bool | None:
    """Return whether the columns run towards the patient's left (PS3.3 C.7.6.1.1.1); None where not stated."""
    return {"L": True, "R": False}.get(text(header, "PatientOrientation")[:1])
