"""Decode the pixel data of a file as they are stored; compressed ones in the decoder process."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.tag import BaseTag
from pydicom.uid import UID, RLELossless

from candor.dicom.read.codestream import Size, check_packets, stated_size
from candor.dicom.read.limits import MAXIMUM_HEADER_BYTES, Budget, read_limited
from candor.dicom.shared.attributes import integer
from candor.files.privacy import name_of
from candor.study.errors import Refused
from candor.study.reasons import Reason

MAXIMUM_PIXELS: Final = 100_000_000
"""The most pixels; the largest radiographs (43 x 43 cm at 0.1 mm) have a fifth of it."""

_PIXEL_MODULE: Final[list[BaseTag | int]] = [
    0x00280002,  # Samples per Pixel
    0x00280004,  # Photometric Interpretation
    0x00280010,  # Rows
    0x00280011,  # Columns
    0x00280100,  # Bits Allocated
    0x00280101,  # Bits Stored
    0x00280102,  # High Bit
    0x00280103,  # Pixel Representation
    0x7FE00001,  # Extended Offset Table
    0x7FE00002,  # Extended Offset Table Lengths
    0x7FE00010,  # Pixel Data
]
_PREFERRED_PLUGINS: Final = ("pydicom", "pyjpegls", "pylibjpeg", "gdcm", "pillow")
"""pydicom's own is first, because pylibjpeg-rle panics on corrupt segments, which is not an ``Exception``."""

_SIZE: Final = ("Rows", "Columns", "SamplesPerPixel")
_END_OF_IMAGE: Final = b"\xff\xd9"

_UNDECODABLE: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,  # raised by pydicom when every decoder has failed
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom raises for pixel data that are truncated, corrupt, or do not fit the Image Pixel module."""


def read_frame(path: Path, syntax: UID) -> NDArray[Any]:
    """Return the one frame of a grey-scale image, as it is stored.

    Parameters
    ----------
    path
        The file.
    syntax
        The transfer syntax of its pixel data.

    Returns
    -------
    ``(rows, columns)``, of 8 or 16 bits, signed or unsigned.

    Raises
    ------
    Refused
        ``UNDECODABLE``; ``CONTRADICTION``: a codestream's size is not that of Rows and Columns; ``TOO_LARGE``: the
        pixel data have more bytes than the largest picture.
    """
    try:
        dataset = read_limited(path, Budget(MAXIMUM_HEADER_BYTES + 2 * MAXIMUM_PIXELS), specific_tags=_PIXEL_MODULE)
        _check_codestream(dataset, syntax)
        dataset.file_meta.TransferSyntaxUID = syntax
        decoder = get_decoder(syntax)
        plugin = _plugin(decoder.available_plugins) if syntax.is_encapsulated else ""
        frame, _ = decoder.as_array(dataset, raw=True, index=0, decoding_plugin=plugin)
    except _UNDECODABLE as error:
        # Without a cause: the text of pydicom's error may quote a patient's data.
        raise undecodable(syntax, _explain(error)) from None
    return frame


def undecodable(syntax: UID, why: str) -> Refused:
    """Return the refusal of pixel data that cannot be decoded.

    Parameters
    ----------
    syntax
        The transfer syntax.
    why
        What is wrong, in words; it holds no patient's data.
    """
    name = "unknown transfer syntax" if syntax.name == syntax else syntax.name
    return Refused(Reason.UNDECODABLE, f"{name}: {why}")


def is_codestream(syntax: UID) -> bool:
    """Return whether the pixel data are a JPEG, JPEG-LS or JPEG 2000 codestream."""
    return syntax.is_encapsulated and syntax != RLELossless


def _check_codestream(dataset: Dataset, syntax: UID) -> None:
    """Check the size and the end of a codestream; decoders fill in what is missing at the end.

    Raises
    ------
    Refused
        ``CONTRADICTION``: the size is not that of the header.
    EOFError
        The codestream is truncated.
    ValueError
        The pixel data are encapsulated, but the transfer syntax is not.
    """
    if dataset["PixelData"].is_undefined_length and not syntax.is_encapsulated:
        raise ValueError
    if not is_codestream(syntax):
        return
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if _END_OF_IMAGE not in frame[-16:]:
        raise EOFError
    stated, size = Size(*(integer(dataset, word) or 0 for word in _SIZE)), stated_size(frame)
    if size != stated:
        found = f"the codestream has {size.rows} x {size.columns} x {size.samples} values"
        raise Refused(Reason.CONTRADICTION, f"{found}, and the header says {stated.rows} x {stated.columns} x 1")
    check_packets(frame)


def _plugin(available: tuple[str, ...]) -> str:
    """Return the decoder to use; it is always one, so that a picture does not depend on which of several failed.

    Raises
    ------
    NotImplementedError
        There is no decoder.
    """
    for name in _PREFERRED_PLUGINS:
        if name in available:
            return name
    raise NotImplementedError


def _explain(error: BaseException) -> str:
    """Return what is wrong, without the words of the error."""
    if isinstance(error, NotImplementedError):
        return "no decoder for this transfer syntax"
    if isinstance(error, EOFError):
        return "truncated"
    if isinstance(error, MemoryError):
        return "it takes more memory than a radiograph"
    return f"truncated, corrupt, or in a form that the decoder does not know ({name_of(error)})"
