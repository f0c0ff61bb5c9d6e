"""The steps of the grey-scale pipeline: LUT, rescale and window (PS3.3 C.11.1, C.11.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from candor.dicom.shared.attributes import values
from candor.study.errors import Refused
from candor.study.reasons import Reason

_EXPONENT_LIMIT: Final = 700.0  # exp of it is still finite

_LEAST_PACKED: Final = 256
"""A shorter table with half of its bytes is cut short."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lut:
    """A Modality or VOI LUT (PS3.3 C.11.1.1, C.11.2.1.1).

    Parameters
    ----------
    first
        The input of the first entry. Lower inputs get the first entry too, and inputs beyond the last entry the last.
    bits
        Bits of each entry.
    entries
        Little endian unsigned 16-bit words.
    """

    first: int
    bits: int
    entries: bytes

    @classmethod
    def of(cls, item: Dataset, *, signed_input: bool) -> Self:
        """Return the LUT in an item of a LUT Sequence, with the bits that its descriptor says.

        Parameters
        ----------
        item
            The item.
        signed_input
            Whether the descriptor's second value is signed.

        Raises
        ------
        Refused
            ``UNREADABLE``, ``CONTRADICTION``: descriptor or data are broken.
        """
        descriptor = values(item, "LUTDescriptor")
        if len(descriptor) != 3 or not all(isinstance(value, int) for value in descriptor):
            raise Refused(Reason.UNREADABLE, "LUT Descriptor is not three whole numbers")
        count, first, bits = descriptor
        first = first - (1 << 16) if signed_input and first >= 1 << 15 else first
        if not 1 <= bits <= 16:
            raise Refused(Reason.CONTRADICTION, f"LUT Descriptor says that an entry has {bits} bits")
        return cls(first, bits, _words(item, count or 1 << 16, bits).tobytes())

    @property
    def top(self) -> int:
        """The highest entry."""
        return int(np.frombuffer(self.entries, "<u2").max())

    @property
    def is_constant(self) -> bool:
        """Whether all entries are the same."""
        entries = np.frombuffer(self.entries, "<u2")
        return bool((entries == entries[0]).all())

    def with_bits(self, least: int) -> Self:
        """Return the LUT with the bits that its entries take, whatever its descriptor says.

        Vendors write 16 bits for entries that reach 4,095, and their own viewers scale by the entries.

        Parameters
        ----------
        least
            The least bits that it gets.
        """
        return replace(self, bits=max(self.top.bit_length(), least))

    def __call__(self, inputs: Values) -> Values:
        """Return the entries for ``inputs``, which are rounded to whole numbers."""
        entries = np.frombuffer(self.entries, "<u2").astype(np.float64)
        index = np.clip(np.rint(inputs) - self.first, 0, entries.size - 1).astype(np.intp)
        return np.asarray(entries[index], np.float64)


@dataclass(frozen=True, slots=True)
class Rescale:
    """Rescale Slope and Intercept (PS3.3 C.11.1.1.2)."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, inputs: Values) -> Values:
        """Return ``inputs`` with slope and intercept applied."""
        return inputs * self.slope + self.intercept


@dataclass(frozen=True, slots=True)
class Window:
    """Window Center, Window Width and VOI LUT Function (PS3.3 C.11.2.1.2, C.11.2.1.3)."""

    center: float
    width: float
    function: str = "LINEAR"

    @property
    def valid(self) -> bool:
        """Whether the standard defines the function and allows the width."""
        least = {"LINEAR": self.width >= 1, "LINEAR_EXACT": self.width > 0, "SIGMOID": self.width > 0}
        return least.get(self.function, False)

    def __call__(self, inputs: Values) -> Values:
        """Return ``inputs`` mapped to [0, 1]."""
        if self.function == "SIGMOID":
            exponent = np.clip(-4 * (inputs - self.center) / self.width, -_EXPONENT_LIMIT, _EXPONENT_LIMIT)
            return np.asarray(1 / (1 + np.exp(exponent)), np.float64)
        exact = self.function == "LINEAR_EXACT"
        center, width = (self.center, self.width) if exact else (self.center - 0.5, self.width - 1)
        if width == 0:
            return np.where(inputs > center, 1.0, 0.0)
        return np.clip((inputs - center) / width + 0.5, 0, 1)


def _words(item: Dataset, count: int, bits: int) -> NDArray[np.uint16]:
    """Return the first ``count`` entries of LUT Data, of 16 bits each or of 8 bits packed in pairs."""
    data = item.get("LUTData")
    if isinstance(data, bytes):
        # 8-bit entries are packed, whatever the descriptor says of their bits.
        packed = len(data) < 2 * count if bits <= 8 else len(data) in (count, count + 1) and count >= _LEAST_PACKED
        endian = ">" if item.original_encoding[1] is False else "<"
        data = np.frombuffer(data, "u1") if packed else np.frombuffer(data[: len(data) // 2 * 2], f"{endian}u2")
    found = np.asarray(data if data is not None else [])
    if found.ndim != 1 or found.size < count or found.dtype.kind not in "ui" or found.min() < 0:
        raise Refused(Reason.CONTRADICTION, "LUT Data hold fewer entries than LUT Descriptor says")
    return found[:count].astype("<u2")
