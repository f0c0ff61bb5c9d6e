"""Where a grid lies: over the whole image, the right way up, with what the source states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from highdicom.spatial import ImageToReferenceTransformer
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from candor.dicom.write.plane import plane_of
from tests.cases import header_of


def source(rows: int = 300, columns: int = 280, **attributes: Any) -> Dataset:
    header = header_of(**attributes)
    header.Rows, header.Columns = rows, columns
    return header


@given(
    image=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    grid=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    spacing=st.tuples(st.floats(0.001, 100), st.floats(0.001, 100)),
    orientation=st.sampled_from([("L", "F"), ("R", "F"), ("A", "F"), ("P", "H"), ("F", "R"), ("H", "P")]),
)
def test_the_cells_cover_the_image_corner_to_corner(
    image: tuple[int, int], grid: tuple[int, int], spacing: tuple[float, float], orientation: tuple[str, str]
) -> None:
    """The oracle is highdicom's own map from the corners of pixels to the patient's system."""
    header = source(*image, ImagerPixelSpacing=None, PixelSpacing=list(spacing), PatientOrientation=list(orientation))
    plane = plane_of(header, *grid)
    stated = [float(value) for value in header.PixelSpacing]
    of_image = ImageToReferenceTransformer([0.0, 0.0, 0.0], plane.orientation, stated)
    of_grid = ImageToReferenceTransformer(plane.position, plane.orientation, plane.spacing)
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
    expected = of_image(corners * [image[1], image[0]])
    np.testing.assert_allclose(of_grid(corners * [grid[1], grid[0]]), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("orientation", "cosines"),
    [
        (["L", "F"], (1, 0, 0, 0, 0, -1)),
        (["R", "F"], (-1, 0, 0, 0, 0, -1)),
        (["A", "F"], (0, -1, 0, 0, 0, -1)),
        (["P", "H"], (0, 1, 0, 0, 0, 1)),
        (["LH", "FL"], (1, 0, 0, 0, 0, -1)),  # oblique: the first letter is the main direction
    ],
)
def test_the_directions_are_the_patients(orientation: list[str], cosines: tuple[float, ...]) -> None:
    plane = plane_of(source(PatientOrientation=orientation), 7, 7)
    assert plane.orientation == cosines
    assert plane.is_oriented


@pytest.mark.parametrize("orientation", [None, "", ["L"], ["L", "R"], ["L", "L"], ["X", "F"], ["L", "F", "H"]])
def test_without_directions_a_frontal_radiograph_as_it_is_hung_is_assumed(orientation: Any) -> None:
    plane = plane_of(source(PatientOrientation=orientation), 7, 7)
    assert plane.orientation == (1, 0, 0, 0, 0, -1)
    assert not plane.is_oriented


def test_the_spacing_is_the_patients_before_the_detectors() -> None:
    detector = plane_of(source(ImagerPixelSpacing=[0.2, 0.1]), 10, 7)
    assert detector.spacing == pytest.approx((0.2 * 300 / 10, 0.1 * 280 / 7))
    assert plane_of(source(PixelSpacing=[0.1, 0.1]), 10, 7).spacing == pytest.approx((3.0, 4.0))
    assert detector.is_measured


@pytest.mark.parametrize("spacing", [None, [0.0, 0.1], [-1, 1], [0.1], ["1e300", "1e300"], ["1e-9", "1e-9"]])
def test_without_a_plausible_spacing_each_pixel_is_a_millimetre(spacing: Any) -> None:
    plane = plane_of(source(ImagerPixelSpacing=spacing), 10, 7)
    assert plane.spacing == (30.0, 40.0)
    assert not plane.is_measured
