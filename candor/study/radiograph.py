"""A radiograph, ready to display."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Radiograph:
    """One frontal or lateral radiograph, ready to display.

    Parameters
    ----------
    pixels
        ``(rows, columns)`` float32 in [0, 1], 0 is black, after the Modality LUT, the VOI LUT or window,
        and the polarity (PS3.4 N.2).
    spacing
        Millimetres between rows and between columns, as the Pixel Spacing (0028,0030) or Imager Pixel
        Spacing (0018,1164) says; None where the file names none.
    columns_to_left
        Whether the columns run towards the patient's left, as Patient Orientation (0020,0020) says; None
        where it does not say.
    """

    pixels: NDArray[np.float32]
    spacing: tuple[float, float] | None = None
    columns_to_left: bool | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.float32:
            raise ValueError(
                f"pixels must be (rows, columns) float32, not {self.pixels.shape} {self.pixels.dtype.name}"
            )

    @property
    def rows(self) -> int:
        """Rows (0028,0010)."""
        return int(self.pixels.shape[0])

    @property
    def columns(self) -> int:
        """Columns (0028,0011)."""
        return int(self.pixels.shape[1])
