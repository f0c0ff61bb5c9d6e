"""The display shutter of an image: what lies outside it is not shown (PS3.3 C.7.6.11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from candor.dicom.shared.attributes import integer, values

_BRIGHTEST: Final = 65535
_LEAST_SHOWN: Final = 0.1
"""A shutter that leaves less of the picture is a mistake."""


class UnusableShutter(ValueError):
    """A shutter is stated and cannot be applied; the text says why."""


@dataclass(frozen=True, slots=True)
class Shutter:
    """The shapes of a shutter; what is inside all of them is shown. Rows and columns count from 1.

    Parameters
    ----------
    rectangle
        Its first and last column, and its first and last row.
    circle
        Row and column of its centre, and its radius.
    polygon
        Rows and columns of its corners, by turns.
    grey
        What is shown outside, in [0, 1], 0 is black.
    """

    rectangle: tuple[int, int, int, int] | None = None
    circle: tuple[int, int, int] | None = None
    polygon: tuple[int, ...] | None = None
    grey: float = 0.0

    @classmethod
    def of(cls, header: Dataset) -> Self | None:
        """Return the shutter of a header; None where there is none.

        Raises
        ------
        UnusableShutter
            An attribute is missing or is no number, or the shape is a bitmap, which a presentation state alone can
            have.
        Refused
            ``UNREADABLE``: an attribute is not a whole number.
        """
        shapes = {str(shape).strip().upper() for shape in values(header, "ShutterShape")}
        if not shapes:
            return None
        if unknown := shapes - {"RECTANGULAR", "CIRCULAR", "POLYGONAL"}:
            raise UnusableShutter("its shape is BITMAP" if unknown == {"BITMAP"} else "its shape is not known")
        sides = ("LeftVertical", "RightVertical", "UpperHorizontal", "LowerHorizontal")
        edges = [integer(header, f"Shutter{side}Edge") for side in sides]
        circle = [*_whole(header, "CenterOfCircularShutter"), integer(header, "RadiusOfCircularShutter")]
        polygon = _whole(header, "VerticesOfThePolygonalShutter")
        grey = min(max(integer(header, "ShutterPresentationValue") or 0, 0), _BRIGHTEST) / _BRIGHTEST
        return cls(
            rectangle=_complete(edges, 4) if "RECTANGULAR" in shapes else None,  # type: ignore[arg-type]
            circle=_complete(circle, 3) if "CIRCULAR" in shapes else None,  # type: ignore[arg-type]
            polygon=_complete(polygon, max(6, len(polygon) // 2 * 2)) if "POLYGONAL" in shapes else None,
            grey=grey,
        )

    def mask(self, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Return which pixels are shown: 1, else 0.

        Parameters
        ----------
        shape
            Rows and columns of the picture.

        Raises
        ------
        UnusableShutter
            It leaves next to nothing of the picture.
        """
        shown = np.ones(shape, np.uint8)
        if self.rectangle:
            left, right, upper, lower = self.rectangle
            inside = np.zeros(shape, np.uint8)
            inside[max(upper - 1, 0) : max(lower, 0), max(left - 1, 0) : max(right, 0)] = 1
            shown &= inside
        if self.circle:
            row, column, radius = self.circle
            rows, columns = np.ogrid[1 : shape[0] + 1, 1 : shape[1] + 1]
            shown &= ((rows - row) ** 2 + (columns - column) ** 2 <= radius**2).astype(np.uint8)
        if self.polygon:
            corners = np.asarray(self.polygon, np.int32).reshape(-1, 2)[:, ::-1] - 1
            shown &= np.asarray(cv2.fillPoly(np.zeros(shape, np.uint8), [corners], 1), np.uint8)
        if float(shown.mean()) < _LEAST_SHOWN:
            raise UnusableShutter("it leaves next to nothing of the picture")
        return shown


def _whole(header: Dataset, keyword: str) -> list[int]:
    """Return the values of an attribute that are whole numbers."""
    return [value for value in values(header, keyword) if isinstance(value, int) and abs(value) <= _BRIGHTEST]


def _complete(found: list[int] | list[int | None], number: int) -> tuple[int, ...]:
    whole = [value for value in found if value is not None]
    if len(whole) != number or len(found) != number:
        raise UnusableShutter("its attributes are not complete")
    return tuple(whole)
