"""Decode the stored values of an image, and check them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from candor.dicom.read.decoder_client import decode_apart
from candor.dicom.read.frame import MAXIMUM_PIXELS, is_codestream, read_frame, undecodable
from candor.dicom.shared.attributes import integer, is_uid, text
from candor.study.errors import Refused
from candor.study.reasons import Reason

Stored = NDArray[np.uint16] | NDArray[np.int16]

_MAYBE_LOSSY: Final = frozenset({JPEG2000, HTJ2K})
_ALWAYS_LOSSY: Final = frozenset(
    {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, "1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"}
)


def decode(path: Path, header: Dataset) -> Stored:
    """Decode the one frame of a grey-scale image.

    Parameters
    ----------
    path
        The file.
    header
        Its header, from :func:`candor.dicom.read.file.read_header`; it is checked before decoding.

    Returns
    -------
    ``(rows, columns)`` uint16 or, where Pixel Representation is 1, int16: the stored values in the range of
    Bits Stored. Bits above it, which once held overlays, are masked out.

    Raises
    ------
    Refused
        ``NO_PIXELS``, ``MULTI_FRAME``, ``COLOUR``, ``TOO_LARGE``, ``CONTRADICTION``, ``UNDECODABLE``.

    References
    ----------
    DICOM PS3.3 C.7.6.3 (Image Pixel module), PS3.5 section 8 (encoding of pixel data).
    """
    _check_kind(header)
    _check_layout(header)
    syntax = _transfer_syntax(header)
    shape = (_required(header, "Rows"), _required(header, "Columns"))
    frame = decode_apart(path, syntax, shape) if _is_encapsulated(syntax) else read_frame(path, syntax)
    return _in_range(frame, header, syntax)


def lossy(header: Dataset) -> bool:
    """Return whether the image was ever compressed with loss (PS3.3 C.7.6.1.1.5), as far as the file states it."""
    stated = text(header, "LossyImageCompression")
    syntax = header.file_meta.get("TransferSyntaxUID", "")
    return stated == "01" or syntax in _ALWAYS_LOSSY or (syntax in _MAYBE_LOSSY and stated != "00")


def _check_kind(header: Dataset) -> None:
    """Check that the image is a single grey-scale frame."""
    if "PixelData" not in header:
        raise Refused(Reason.NO_PIXELS, "the file ends after its header")
    if (integer(header, "NumberOfFrames") or 1) > 1:
        raise Refused(Reason.MULTI_FRAME, "a radiograph has one frame")
    photometric = text(header, "PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2", "") or (integer(header, "SamplesPerPixel") or 1) > 1:
        raise Refused(Reason.COLOUR, "a radiograph is MONOCHROME1 or MONOCHROME2, one sample a pixel")


def _check_layout(header: Dataset) -> None:
    """Check the values of the Image Pixel module."""
    rows, columns, allocated, stored = (
        _required(header, keyword) for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored")
    )
    if rows * columns > MAXIMUM_PIXELS:
        raise Refused(Reason.TOO_LARGE, f"{rows} x {columns} pixels, over {MAXIMUM_PIXELS // 1_000_000} megapixels")
    if allocated not in (8, 16) or not 1 <= stored <= allocated:
        raise Refused(Reason.UNDECODABLE, f"{stored} bits stored in {allocated} allocated; 8 and 16 can be read")
    if integer(header, "HighBit") not in (None, stored - 1):
        raise Refused(Reason.CONTRADICTION, "High Bit is not one less than Bits Stored")
    if _required(header, "PixelRepresentation") not in (0, 1):
        raise Refused(Reason.UNDECODABLE, "Pixel Representation is neither 0 nor 1")


def _required(header: Dataset, keyword: str) -> int:
    """Return a whole number that the Image Pixel module requires."""
    value = integer(header, keyword)
    if value is None:
        raise Refused(Reason.UNDECODABLE, f"{keyword} is missing")
    return value


def _transfer_syntax(header: Dataset) -> UID:
    """Return the Transfer Syntax UID; where the file names none, the uncompressed one of its header."""
    stated = header.file_meta.get("TransferSyntaxUID")
    if stated and not is_uid(stated):
        raise Refused(Reason.UNDECODABLE, "Transfer Syntax UID is not a UID")
    if stated:
        return UID(stated)
    implicit, little_endian = header.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian


def _is_encapsulated(syntax: UID) -> bool:
    """Return whether the pixel data are compressed."""
    try:
        return syntax.is_encapsulated
    except ValueError:
        raise undecodable(syntax, "no decoder for this transfer syntax") from None


def _in_range(frame: NDArray[Any], header: Dataset, syntax: UID) -> Stored:
    """Return decoded values as 16 bits in the range of Bits Stored.

    Raises
    ------
    Refused
        ``CONTRADICTION``: a codestream holds values over Bits Stored that are no overlay; masking would make bright
        pixels dark.
    """
    bits = _required(header, "BitsStored")
    if _required(header, "PixelRepresentation") == 1:
        extended = frame.astype(np.int16) << (16 - bits) >> (16 - bits)
        return np.asarray(extended, np.int16)
    stored = frame.astype(np.uint16, copy=False)
    limit = (1 << bits) - 1
    if int(stored.max()) <= limit:
        return stored
    if is_codestream(syntax) and not _has_embedded_overlay(header):
        raise Refused(Reason.CONTRADICTION, "decoded values are over the range of Bits Stored")
    return np.asarray(stored & limit, np.uint16)


def _has_embedded_overlay(header: Dataset) -> bool:
    """Return whether an overlay is in unused bits of the pixel data (retired; PS3.3-2004 C.9.2)."""
    groups = range(0x6000, 0x6020, 2)
    return any((group << 16 | 0x0102) in header and (group << 16 | 0x3000) not in header for group in groups)
