"""What is measured on pixels alone: right on made-up pictures, and never an error."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candor.picture.pixels import EMPTY, LONGEST, PixelMeasures, measure_pixels, thumbnail
from candor.study.radiograph import Radiograph


def ramp(rows: int = 200, columns: int = 200) -> Radiograph:
    """A slope that varies along every line, and is nowhere black or white."""
    down, across = np.linspace(0.05, 0.45, rows), np.linspace(0.05, 0.45, columns)
    return Radiograph(np.add.outer(down, across).astype(np.float32))


def measured(pixels: object) -> PixelMeasures:
    return measure_pixels(Radiograph(np.asarray(pixels, np.float32)))


def test_an_ordinary_picture_passes_by_far() -> None:
    measures = measure_pixels(ramp())
    assert measures.constant < 0.12
    assert measures.clipped == measures.strokes == measures.borders == 0


@pytest.mark.parametrize("grey", [0.0, 0.02, 0.5, 0.999, 1.0])
def test_a_picture_of_one_grey_is_constant(grey: float) -> None:
    assert measured(np.full((50, 60), grey)).constant == 1


def test_greys_that_are_next_to_each_other_count_as_one() -> None:
    """Noise about a grey where two bins meet is one grey all the same."""
    noise = np.random.default_rng(0).choice([0.4995, 0.5005], size=(50, 50))
    assert measured(noise).constant == 1


def test_a_few_specks_do_not_make_a_picture() -> None:
    pixels = np.zeros((100, 100))
    pixels[::20, ::20] = 1
    assert measured(pixels).constant == pytest.approx(1 - 25 / 10_000)


@pytest.mark.parametrize("grey", [0.0, 1.0])
def test_clipping_is_measured_at_the_centre(grey: float) -> None:
    pixels = ramp().pixels.copy()
    pixels[:40] = grey  # outside the centre
    assert measured(pixels).clipped == 0
    pixels[40:52] = grey  # a tenth of the centre's 120 rows
    assert measured(pixels).clipped == pytest.approx(0.1)


def test_letters_are_strokes_and_a_rib_is_none() -> None:
    rib = np.full((300, 300), 0.3, np.float32)
    cv2.line(rib, (0, 150), (299, 100), 0.9, 14)
    assert measured(rib).strokes < 0.002
    letters = np.full((300, 300), 60, np.uint8)
    for row in range(30, 300, 30):
        cv2.putText(letters, "ABC 0123456789", (5, row), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 1)
    assert measured(letters / 255).strokes > 0.05


def test_borders_are_what_lies_outside_the_varied_lines() -> None:
    pixels = np.zeros((200, 300))
    pixels[50:150, 100:250] = ramp(100, 150).pixels
    assert measured(pixels).borders == pytest.approx(1 - 100 * 150 / (200 * 300), abs=0.02)


def test_a_border_with_a_mark_on_it_is_a_border() -> None:
    pixels = np.zeros((200, 200))
    pixels[:, 50:150] = ramp(200, 100).pixels
    pixels[5:9, 10:20] = 1
    assert measured(pixels).borders == pytest.approx(0.5, abs=0.02)


def test_a_picture_of_one_grey_is_all_border() -> None:
    assert measured(np.zeros((20, 20))).borders == 1


def test_resolution_does_not_matter() -> None:
    pixels = np.random.default_rng(0).random((LONGEST // 4, LONGEST // 4))
    pixels[:20] = 0
    small = np.kron(pixels, np.ones((4, 4)))
    large = np.kron(pixels, np.ones((16, 16)))
    one, other = measured(small), measured(large)
    for name in PixelMeasures.__slots__:
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-3), name


def test_thumbnails_are_never_enlarged() -> None:
    assert thumbnail(np.zeros((3, 5), np.float32), 10).shape == (3, 5)
    assert thumbnail(np.zeros((30, 50), np.float32), 10).shape == (6, 10)
    assert thumbnail(np.zeros((1, 5000), np.float32), 10).shape == (1, 10)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_a_picture_without_pixels_is_constant(shape: tuple[int, int]) -> None:
    assert measure_pixels(Radiograph(np.zeros(shape, np.float32))) == EMPTY


@settings(max_examples=40)
@given(
    st.sampled_from([(1, 1), (1, 2), (2, 1), (3, 3), (1, 40_000), (40_000, 1), (7, 900), (600, 500)]),
    st.sampled_from(["noise", "black", "white", "flipped", "transposed"]),
)
def test_any_size_can_be_measured(shape: tuple[int, int], kind: str) -> None:
    pixels = np.random.default_rng(0).random(shape, np.float32)
    if kind in ("black", "white"):
        pixels[:] = float(kind == "white")
    elif kind == "flipped":
        pixels = pixels[::-1, ::-1]
    elif kind == "transposed":
        pixels = pixels.T
    measures = measure_pixels(Radiograph(pixels))
    assert all(0 <= getattr(measures, name) <= 1 for name in PixelMeasures.__slots__)
