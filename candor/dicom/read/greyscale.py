"""The grey-scale pipeline: from stored values to the greys that a display shows.

Stored values have at most 16 bits, so the whole pipeline is a table of 65,536 entries. It is computed once in double
precision, and each pixel is one lookup, whatever LUTs and functions the file has.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, replace
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from candor.dicom.read.decode import Stored
from candor.dicom.read.lut import Lut, Rescale, Values, Window
from candor.dicom.shared.attributes import integer, items, number, text
from candor.dicom.shared.shutter import Shutter, UnusableShutter
from candor.study.errors import Refused
from candor.study.reasons import Reason
from candor.study.result import Note

_CODES: Final = 1 << 16
_LEAST_BITS: Final = 8
_INVISIBLE: Final = 0.5 / (_CODES - 1)  # half the finest step of any display


@dataclass(frozen=True, slots=True)
class GreyScale:
    """The grey-scale pipeline of one image.

    Parameters
    ----------
    modality, voi
        The steps, in this order; ``voi`` is None where the full range is shown.
    padding
        First and last stored value of pixels outside the picture (PS3.3 C.7.5.1.1.2).
    inverse
        Whether the lowest value is shown white.
    doubt
        Why there is no ``voi``, for a person.
    shutter
        What lies outside it is not shown.
    notices
        ``LUT_BITS``, ``LUT_BROKEN``, ``SHUTTER``: what is done about attributes that cannot be followed to the letter.
    """

    modality: Lut | Rescale
    voi: Lut | Window | None
    padding: tuple[int, int] | None
    inverse: bool
    doubt: str = ""
    shutter: Shutter | None = None
    notices: tuple[Note, ...] = ()

    @classmethod
    def of(cls, header: Dataset) -> Self:
        """Return the pipeline of a header.

        A VOI LUT Sequence takes precedence over a window, and the first of several LUTs or windows over the others, as
        a display shows it first (PS3.3 C.11.2.1.2). Where the LUT is broken, the window is used.

        Raises
        ------
        Refused
            ``CONTRADICTION``: Presentation LUT Shape and Photometric Interpretation disagree on the polarity, or a LUT
            is broken and there is no window. ``UNREADABLE``: a value is not a number.
        """
        modality = _modality(header)
        voi, said = _voi(header, modality)
        shutter, about_it = _shutter(header)
        doubt, notices = (said, ()) if isinstance(said, str) else ("", (said,))
        return cls(modality, voi, _padding(header), _inverse(header), doubt, shutter, (*notices, *about_it))

    @property
    def canonical(self) -> str:
        """The pipeline in one line, the same for every encoding of the same attributes."""
        voi = None if self.voi is None else astuple(self.voi)
        steps = (astuple(self.modality), voi, self.padding, self.inverse)
        shutter = () if self.shutter is None else (astuple(self.shutter),)
        return repr((type(self.modality).__name__, type(self.voi).__name__, (*steps, *shutter)))

    def render(self, stored: Stored) -> tuple[NDArray[np.float32], Note | None]:
        """Return stored values as greys.

        Parameters
        ----------
        stored
            ``(rows, columns)`` uint16 or int16, from :func:`candor.dicom.read.decode.decode`.

        Returns
        -------
        ``(rows, columns)`` float32 in [0, 1], 0 is black, padding is black; and the notice ``NO_VOI`` where the full
        range is shown, because the file has no window or LUT, or one that makes all pixels the same. What lies outside
        a shutter has its grey, and no part in the range.

        Raises
        ------
        Refused
            ``CONSTANT_PIXELS``: all values are the same.
        UnusableShutter
            The shutter leaves next to nothing of the picture.
        """
        mask = self.shutter.mask(stored.shape) if self.shutter else None
        codes = np.arange(_CODES, dtype=np.uint16)
        inputs = codes.view(stored.dtype).astype(np.float64)
        low, high = self.padding or (1, 0)
        padded = (inputs >= low) & (inputs <= high)
        valid = _present(stored, mask) & ~padded
        if np.count_nonzero(valid) < 2:
            raise Refused(Reason.CONSTANT_PIXELS, "every pixel has the same value")
        table = self.table(inputs, valid)
        if np.ptp(table[valid]) < _INVISIBLE:
            if self.voi is None:
                raise Refused(Reason.CONSTANT_PIXELS, "the Modality LUT makes every pixel the same")
            return replace(self, voi=None, doubt="the stated one shows every pixel the same").render(stored)
        table[padded] = 0
        pixels = np.asarray(cv2.LUT(np.ascontiguousarray(stored).view(np.uint16), table.astype(np.float32)), np.float32)
        if self.shutter and mask is not None:
            pixels[mask == 0] = self.shutter.grey
        return pixels, None if self.voi else Note(Reason.NO_VOI, self.doubt)

    def table(self, inputs: Values, valid: NDArray[np.bool_]) -> Values:
        """Return the greys of stored values, float64 in [0, 1].

        Parameters
        ----------
        inputs
            ``(n,)`` float64: the stored values.
        valid
            ``(n,)`` bool: the values from whose lowest and highest the full range is taken.
        """
        grey = self.modality(inputs)
        match self.voi:
            case Lut():
                grey = self.voi(grey) / ((1 << self.voi.bits) - 1)
            case Window():
                grey = self.voi(grey)
            case _:
                low, high = grey[valid].min(), grey[valid].max()
                grey = np.clip((grey - low) / max(high - low, math.ulp(0.0)), 0, 1)
        return 1 - grey if self.inverse else grey


def _present(stored: Stored, mask: NDArray[np.uint8] | None) -> NDArray[np.bool_]:
    """Return which of the 65,536 codes occur, where the mask is not 0."""
    histogram = cv2.calcHist([np.ascontiguousarray(stored).view(np.uint16)], [0], mask, [_CODES], [0, _CODES])
    return np.asarray(histogram.ravel() > 0)


def _modality(header: Dataset) -> Lut | Rescale:
    """Return the Modality LUT, else slope and intercept, else identity (PS3.3 C.11.1)."""
    luts = items(header, "ModalityLUTSequence")
    if luts:
        lut = Lut.of(luts[0], signed_input=integer(header, "PixelRepresentation") == 1)
        return lut.with_bits(lut.bits)
    slope, intercept = number(header, "RescaleSlope"), number(header, "RescaleIntercept")
    return Rescale(1.0 if slope is None else slope, intercept or 0.0)


def _voi(header: Dataset, modality: Lut | Rescale) -> tuple[Lut | Window | None, str | Note]:
    """Return the VOI LUT, else the window, else None with the reason (PS3.3 C.11.2); and "" or a notice."""
    luts = items(header, "VOILUTSequence")
    if not luts:
        return _window(header)
    signed = integer(header, "PixelRepresentation") == 1
    below_zero = isinstance(modality, Rescale) and (signed or modality.intercept < 0 or modality.slope < 0)
    try:
        lut = Lut.of(luts[0], signed_input=below_zero)
    except Refused as refused:
        window, _ = _window(header)
        if window is None:
            raise
        return window, Note(Reason.LUT_BROKEN, refused.detail)
    if lut.is_constant and (window := _window(header)[0]) is not None:
        return window, Note(Reason.LUT_BROKEN, "all its entries are the same")
    fitted = lut.with_bits(min(lut.bits, _LEAST_BITS))
    if fitted.bits == lut.bits:
        return lut, ""
    return fitted, Note(Reason.LUT_BITS, f"LUT Descriptor says {lut.bits} bits, and the highest entry is {lut.top}")


def _window(header: Dataset) -> tuple[Window | None, str]:
    """Return the window, else None with the reason."""
    center, width = number(header, "WindowCenter"), number(header, "WindowWidth")
    if center is None or width is None:
        return None, "the file states none"
    window = Window(center, width, text(header, "VOILUTFunction") or "LINEAR")
    return (window, "") if window.valid else (None, "the stated one is not defined")


def _shutter(header: Dataset) -> tuple[Shutter | None, tuple[Note, ...]]:
    """Return the display shutter, and the notice that there is one or why it is not applied."""
    try:
        shutter = Shutter.of(header)
        if shutter is None:
            return None, ()
        shutter.mask((integer(header, "Rows") or 0, integer(header, "Columns") or 0))
    except UnusableShutter as unusable:
        return None, (Note(Reason.SHUTTER, f"it is not applied: {unusable}"),)
    except Refused as refused:
        return None, (Note(Reason.SHUTTER, f"it is not applied: {refused.detail}"),)
    return shutter, (Note(Reason.SHUTTER, "what lies outside it is not shown"),)


def _padding(header: Dataset) -> tuple[int, int] | None:
    """Return the first and last padding value; None where the file states none."""
    value, limit = integer(header, "PixelPaddingValue"), integer(header, "PixelPaddingRangeLimit")
    if value is None:
        return None
    limit = value if limit is None else limit
    signed = integer(header, "PixelRepresentation") == 1
    value, limit = (_as_stored(each, signed) for each in (value, limit))
    return min(value, limit), max(value, limit)


def _as_stored(value: int, signed: bool) -> int:
    """Return a value that was written with the other VR (US, SS) as the stored values have it."""
    if signed and value >= _CODES // 2:
        return value - _CODES
    return value + _CODES if not signed and value < 0 else value


def _inverse(header: Dataset) -> bool:
    """Return whether low values are shown white, from the two attributes that state it.

    References
    ----------
    DICOM PS3.3 C.7.6.3.1.2 (Photometric Interpretation), C.8.11.3.1.1 and C.11.6 (Presentation LUT Shape).
    """
    inverse = text(header, "PhotometricInterpretation") == "MONOCHROME1"
    shape = text(header, "PresentationLUTShape")
    if shape == ("IDENTITY" if inverse else "INVERSE"):
        raise Refused(Reason.CONTRADICTION, "Photometric Interpretation and Presentation LUT Shape disagree")
    return inverse
