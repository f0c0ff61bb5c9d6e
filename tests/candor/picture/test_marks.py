"""Marks and borders: found where they are, blanked from their surroundings, and nothing else touched."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from candor.picture.marks import candidates, in_corners, inner, outside, without, without_borders

SIDE = 160
NO_LUNG = np.zeros((8, 8), np.bool_)
Floats = NDArray[np.float32]


def plain() -> Floats:
    """A picture of slow greys, darker in the middle, as a chest is."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    return np.asarray(0.3 + 0.2 * x + 0.15 * y - 0.15 * np.sin(np.pi * y) * np.sin(np.pi * x), np.float32)


def with_letter(row: int, column: int, grey: float = 1.0) -> Floats:
    """The same with an L of 12 x 8 pixels."""
    pixels = plain()
    pixels[row : row + 12, column : column + 3] = grey
    pixels[row + 9 : row + 12, column : column + 8] = grey
    return pixels


@pytest.mark.parametrize(
    ("row", "column", "place"),
    [
        (6, 6, "in the upper left corner"),
        (6, 140, "in the upper right corner"),
        (140, 6, "in the lower left corner"),
        (140, 145, "in the lower right corner"),
        (75, 145, "at the right edge"),
        (75, 5, "at the left edge"),
        (5, 75, "at the upper edge"),
        (140, 75, "at the lower edge"),
    ],
)
def test_a_letter_is_found_wherever_at_an_edge_it_is(row: int, column: int, place: str) -> None:
    pixels = with_letter(row, column)
    marks = outside(candidates(pixels), NO_LUNG)
    assert marks.places == (place,)
    assert marks.mask[pixels == 1].all()
    assert marks.mask.mean() < 0.02


def test_letters_beside_each_other_are_one_mark() -> None:
    pixels = np.maximum(with_letter(6, 6), with_letter(6, 16))
    assert candidates(pixels).max() == 1


def test_a_letter_that_stands_on_the_rim_is_found_without_the_rim() -> None:
    pixels = with_letter(6, 2)
    pixels[:, :3] = 1
    marks = outside(candidates(pixels), None)
    assert marks.places == ("in the upper left corner",)
    assert marks.mask[15:18, 4:10].all()
    assert not marks.mask[40:].any()


def test_a_picture_without_marks_has_none() -> None:
    assert not candidates(plain()).any()


def spot(rows: slice, columns: slice, grey: float = 1.0) -> Floats:
    pixels = plain()
    pixels[rows, columns] = grey
    return pixels


@pytest.mark.parametrize(
    ("pixels", "why"),
    [
        (with_letter(75, 75), "it lies in the middle"),
        (with_letter(6, 6, grey=0.5), "it is faint"),
        (spot(slice(5, 6), slice(5, 6)), "it is a speck"),
        (spot(slice(5, 90), slice(5, 7)), "it is longer than any word"),
        (spot(slice(40, 60), slice(8, 10)), "it is as slender as a wire"),
        (spot(slice(0, 3), slice(20, 32)), "it is a line at the edge"),
        (np.where(np.hypot(*(np.mgrid[0:SIDE, 0:SIDE] - 22)) < 15, 1, plain()).astype(np.float32), "it is too broad"),
    ],
)
def test_what_is_no_mark(pixels: Floats, why: str) -> None:
    assert not candidates(pixels).any(), why


def test_what_fills_little_of_its_box_is_a_line() -> None:
    pixels = plain()
    for step in range(24):
        pixels[10 + step, 10 + step : 12 + step] = 1
    assert not candidates(pixels).any()


def test_nothing_in_the_lungs_is_a_mark() -> None:
    lung = np.zeros((8, 8), np.bool_)
    lung[2:6, :4] = True
    inside, beside = with_letter(75, 12), with_letter(6, 12)
    assert outside(candidates(inside), lung).places == ()
    assert not outside(candidates(inside), lung).mask.any()
    assert outside(candidates(inside), None).places == ("at the left edge",)
    assert outside(candidates(np.maximum(inside, beside)), lung).places == ("in the upper left corner",)


@pytest.mark.parametrize(
    ("row", "column", "expected"), [(6, 6, True), (140, 145, True), (75, 6, False), (6, 75, False)]
)
def test_only_corners_need_no_lung_field(row: int, column: int, *, expected: bool) -> None:
    assert in_corners(candidates(with_letter(row, column))) is expected


def test_blanking_leaves_what_was_there_without_the_letter() -> None:
    pixels = with_letter(6, 140)
    mask = outside(candidates(pixels), None).mask
    filled = without(pixels, mask)
    assert np.array_equal(filled[~mask], pixels[~mask])
    assert np.abs(filled - plain()).max() < 0.03
    assert not candidates(filled).any()


def test_the_fill_is_the_mean_of_what_lies_around_by_distance() -> None:
    pixels = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[70:82, 60:75] = True
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    weight = np.exp(-((y - 73) ** 2 + (x - 62) ** 2) / (2 * (0.03 * SIDE) ** 2)) * ~mask
    expected = (weight * pixels).sum() / weight.sum()
    assert without(pixels, mask)[73, 62] == pytest.approx(expected, abs=2e-3)


def test_the_middle_of_a_wide_mark_gets_a_grey_of_the_picture() -> None:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[20:140, 20:140] = True
    filled = without(plain(), mask)
    assert plain().min() <= filled.min()
    assert filled.max() <= plain().max()


def bordered(top: int, bottom: int, left: int, right: int) -> Floats:
    pixels = plain()
    framed = np.zeros_like(pixels)
    rows, columns = slice(top, SIDE - bottom), slice(left, SIDE - right)
    framed[rows, columns] = pixels[rows, columns]
    return framed


def test_borders_are_found() -> None:
    assert inner(bordered(10, 5, 0, 20)) == (slice(10, 155), slice(0, 140))


@pytest.mark.parametrize(
    "pixels", [plain(), bordered(1, 0, 0, 1), np.zeros((SIDE, SIDE), np.float32)], ids=["none", "a hair", "nothing but"]
)
def test_what_is_no_border(pixels: Floats) -> None:
    assert inner(pixels) is None


def test_borders_are_filled_by_the_lines_beside_them() -> None:
    pixels = bordered(10, 5, 0, 20)
    rows, columns = within = (slice(10, 155), slice(0, 140))
    filled = without_borders(pixels, within)
    assert np.array_equal(filled[within], pixels[within])
    assert np.array_equal(filled[:10, columns], np.repeat(pixels[10:11, columns], 10, axis=0))
    assert np.array_equal(filled[rows, 140:], np.repeat(pixels[rows, 139:140], 20, axis=1))
    assert inner(filled) is None
