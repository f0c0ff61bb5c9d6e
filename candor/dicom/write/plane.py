"""The position in space of a grid that covers a radiograph, for objects that must have one.

A projection has no Frame of Reference: its pixels are not points of the patient. The position here is relative to the
image's first pixel. Its directions and distances are right within the picture where the source states them; the depth
has no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom import Dataset

from candor.dicom.read.file import pixel_spacing
from candor.dicom.shared.values import valid_values

_DIRECTIONS: Final = {
    "L": (1.0, 0.0, 0.0),
    "R": (-1.0, 0.0, 0.0),
    "P": (0.0, 1.0, 0.0),
    "A": (0.0, -1.0, 0.0),
    "H": (0.0, 0.0, 1.0),
    "F": (0.0, 0.0, -1.0),
}
"""Unit vectors of the letters of Patient Orientation (PS3.3 C.7.6.1.1.1) in the patient's system (C.7.6.2.1.1)."""

_AS_HUNG: Final = ("L", "F")
"""A frontal radiograph as it is usually shown: the patient's left on the viewer's right, the head up."""

_ASSUMED_MM: Final = 1.0
_PLAUSIBLE_MM: Final = (0.001, 100.0)
"""The range of plausible pixel spacings; no detector has smaller or larger pixels."""


@dataclass(frozen=True, slots=True)
class Plane:
    """A grid's position.

    Parameters
    ----------
    spacing
        Millimetres between the centres of its rows and of its columns: Pixel Spacing (0028,0030).
    orientation
        Direction cosines of its rows, then of its columns: Image Orientation (Patient) (0020,0037).
    position
        Centre of its first cell in mm: Image Position (Patient) (0020,0032).
    is_measured
        Whether the source states its spacing; else 1 mm for each pixel is assumed.
    is_oriented
        Whether the source states its directions; else those of a frontal radiograph as usually shown are assumed.
    """

    spacing: tuple[float, float]
    orientation: tuple[float, ...]
    position: tuple[float, ...]
    is_measured: bool
    is_oriented: bool


def plane_of(source: Dataset, rows: int, columns: int) -> Plane:
    """Return the position of a grid whose cells cover the source image.

    Parameters
    ----------
    source
        The attributes of the image, with its Rows and Columns.
    rows, columns
        Cells of the grid.

    References
    ----------
    DICOM PS3.3 C.7.6.2.1.1 (Image Position and Image Orientation).
    """
    pixel = _plausible_spacing(source)
    directions = _directions(source)
    down, across = pixel or (_ASSUMED_MM, _ASSUMED_MM)
    spacing = (down * source.Rows / rows, across * source.Columns / columns)
    along_rows, along_columns = (np.array(_DIRECTIONS[letter]) for letter in directions or _AS_HUNG)
    # The first cell and the first pixel share a corner, so their centres are half of the difference in size apart.
    position = along_rows * (spacing[1] - across) / 2 + along_columns * (spacing[0] - down) / 2
    return Plane(
        spacing=spacing,
        orientation=(*along_rows.tolist(), *along_columns.tolist()),
        position=tuple(position.tolist()),
        is_measured=pixel is not None,
        is_oriented=directions is not None,
    )


def _plausible_spacing(source: Dataset) -> tuple[float, float] | None:
    spacing = pixel_spacing(source)
    least, most = _PLAUSIBLE_MM
    return spacing if spacing and all(least <= value <= most for value in spacing) else None


def _directions(source: Dataset) -> tuple[str, str] | None:
    """Return the letters of the main directions of rows and columns; None where they span no plane.

    The first letter of an oblique direction ("LH") is the main one (PS3.3 C.7.6.1.1.1).
    """
    letters = [value[0] for value in valid_values(source, "PatientOrientation")]
    if len(letters) != 2 or any(letter not in _DIRECTIONS for letter in letters):
        return None
    row, column = letters
    return (row, column) if np.dot(_DIRECTIONS[row], _DIRECTIONS[column]) == 0 else None
