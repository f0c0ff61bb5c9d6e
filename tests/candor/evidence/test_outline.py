"""The outlines, against the level set of a cubic convolution written down here by its formula."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from candor.evidence.outline import LEVEL, is_localised, outlines
from candor.study.findings import Finding
from candor.study.result import Decision, Heatmap
from tests.cases import heatmap, result

Floats = NDArray[np.float64]
RANDOM = np.random.default_rng(0)
GRIDS: dict[str, NDArray[np.float32]] = {
    "one spot": heatmap().grid,
    "at a border": heatmap(row=0, column=6).grid,
    "many": RANDOM.gamma(0.7, size=(7, 7)).astype(np.float32),
    "oblong": RANDOM.gamma(0.7, size=(10, 12)).astype(np.float32),
    "fine": np.asarray(cv2.GaussianBlur(RANDOM.random((32, 32), dtype=np.float32), (9, 9), 2) ** 4, np.float32),
    "two cells": np.array([[0.2, 1.0]], np.float32),
}


def kernel(distance: Floats) -> Floats:
    """Keys's cubic convolution kernel with a = -0.75."""
    a, x = -0.75, np.abs(distance)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def weights(at: Floats, cells: int) -> Floats:
    """How much each cell counts at positions in [0, 1] along an axis, with the border cells repeated outwards."""
    position = at * cells - 0.5
    first = np.floor(position).astype(int)
    table = np.zeros((len(at), cells))
    for tap in range(-1, 3):
        np.add.at(table, (np.arange(len(at)), np.clip(first + tap, 0, cells - 1)), kernel(position - first - tap))
    return table


def field(grid: NDArray[np.float32], rows: int = 1400, columns: int = 1400) -> Floats:
    """The evidence at the centres of a fine raster, as a share of the peak."""
    down, across = ((np.arange(side) + 0.5) / side for side in (rows, columns))
    relative = grid.astype(np.float64) / grid.max()
    return np.asarray(weights(down, grid.shape[0]) @ relative @ weights(across, grid.shape[1]).T)


def at_points(grid: NDArray[np.float32], points: NDArray[np.float32], shape: tuple[int, int]) -> Floats:
    relative = grid.astype(np.float64) / grid.max()
    down = weights(points[:, 1] / np.float64(shape[0]), grid.shape[0])
    across = weights(points[:, 0] / np.float64(shape[1]), grid.shape[1])
    return np.asarray(np.einsum("pi,ij,pj->p", down, relative, across))


def inside_of(polygons: tuple[NDArray[np.float32], ...], side: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The centres of a fine raster that lie in one of the polygons."""
    mask = np.zeros((side, side), np.uint8)
    scale = np.array([side / shape[1], side / shape[0]])
    for polygon in polygons:
        fixed = np.round((polygon * scale - 0.5) * 256).astype(np.int32)
        cv2.fillPoly(mask, [fixed], (1,), cv2.LINE_8, 8)
    return mask > 0


def filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask without its holes."""
    outer, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros(mask.shape, np.uint8), outer, -1, (1,), cv2.FILLED) > 0)


@pytest.mark.parametrize("shape", [(2500, 3000), (300, 280), (100, 7)])
@pytest.mark.parametrize("name", GRIDS)
class TestAgainstTheLevelSet:
    def test_encloses_what_reaches_the_level(self, name: str, shape: tuple[int, int]) -> None:
        expected = filled(field(GRIDS[name]) >= LEVEL)
        found = inside_of(outlines(Heatmap(GRIDS[name], ""), shape), 1400, shape)
        assert (expected ^ found).sum() < 0.02 * expected.sum()

    def test_runs_where_the_evidence_is_at_the_level(self, name: str, shape: tuple[int, int]) -> None:
        for polygon in outlines(Heatmap(GRIDS[name], ""), shape):
            relative = polygon / np.array(shape[::-1], np.float32)
            free = ((relative > 0.005) & (relative < 0.995)).all(axis=1)
            assert np.abs(at_points(GRIDS[name], polygon[free], shape) - LEVEL).max(initial=0) < 0.02

    def test_polygons_are_closed_small_and_inside(self, name: str, shape: tuple[int, int]) -> None:
        for polygon in outlines(Heatmap(GRIDS[name], ""), shape):
            assert polygon.dtype == np.float32
            assert (polygon[0] == polygon[-1]).all()
            assert 3 <= len(np.unique(polygon, axis=0)) <= 201
            assert polygon.min() >= 0
            assert (polygon <= shape[::-1]).all()

    def test_the_first_holds_the_peak(self, name: str, shape: tuple[int, int]) -> None:
        grid = GRIDS[name]
        first, *others = outlines(Heatmap(grid, ""), shape)
        row, column = np.unravel_index(grid.argmax(), grid.shape)
        peak = ((column + 0.5) / grid.shape[1] * shape[1], (row + 0.5) / grid.shape[0] * shape[0])
        assert cv2.pointPolygonTest(first, peak, measureDist=False) > 0
        areas = [cv2.contourArea(polygon) for polygon in others]
        assert areas == sorted(areas, reverse=True)


class TestCoordinates:
    def test_the_whole_picture_runs_from_0_0_to_columns_rows(self) -> None:
        (polygon,) = outlines(Heatmap(np.ones((7, 7), np.float32), ""), (40, 30))
        assert {tuple(corner) for corner in polygon.tolist()} == {(0, 0), (30, 0), (30, 40), (0, 40)}

    def test_a_spot_in_the_middle_is_around_the_middle(self) -> None:
        (polygon,) = outlines(heatmap(), (1000, 500))
        assert polygon.min(axis=0) + polygon.max(axis=0) == pytest.approx([500, 1000], abs=0.01)

    def test_the_same_line_in_pictures_of_all_sizes(self) -> None:
        small, large = outlines(heatmap(1, 5), (350, 280)), outlines(heatmap(1, 5), (3500, 2800))
        assert large[0] == pytest.approx(10 * small[0], rel=1e-5)


def test_a_small_region_with_the_peak_comes_before_a_larger_one() -> None:
    grid = np.zeros((9, 9), np.float32)
    grid[5:8, :] = 0.7
    grid[1, 6] = 1.0
    first, second = outlines(Heatmap(grid, ""), (900, 900))
    assert cv2.contourArea(first) < cv2.contourArea(second)
    assert cv2.pointPolygonTest(first, (650.0, 150.0), measureDist=False) > 0


class TestLevel:
    def test_a_higher_level_is_a_smaller_region_of_the_same_spot(self) -> None:
        areas = [cv2.contourArea(outlines(heatmap(), (700, 700), level)[0]) for level in (0.3, LEVEL, 0.8, 1.0)]
        assert areas == sorted(areas, reverse=True)
        assert areas[-1] > 0

    def test_a_weak_second_spot_has_no_outline(self) -> None:
        grid = np.zeros((7, 7), np.float32)
        grid[1, 1], grid[5, 5] = 1.0, 0.4
        assert len(outlines(Heatmap(grid, ""), (700, 700))) == 1
        assert len(outlines(Heatmap(grid, ""), (700, 700), 0.3)) == 2

    def test_nothing_without_evidence(self) -> None:
        assert outlines(Heatmap(np.zeros((7, 7), np.float32), ""), (700, 700)) == ()

    def test_a_peak_that_the_level_alone_reaches_has_a_usable_polygon(self) -> None:
        # At the level of the peak no more than the hottest pixels of the raster remain.
        for row in range(7):
            (polygon,) = outlines(heatmap(row=row), (700, 700), 1.0)
            assert len(np.unique(polygon, axis=0)) >= 3
            assert cv2.pointPolygonTest(polygon, (350.0, 100 * row + 50.0), measureDist=True) > -2

    def test_a_ragged_line_is_simplified_further(self) -> None:
        comb = np.zeros((120, 120), np.float32)
        comb[::2] = 1
        comb[:, 0] = 1
        (polygon,) = outlines(Heatmap(comb, ""), (3000, 3000))
        assert len(polygon) <= 201


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 1), (1, 1)])
def test_a_sliver_has_a_polygon_too(shape: tuple[int, int]) -> None:
    (polygon,) = outlines(heatmap(), shape)
    assert cv2.contourArea(polygon) > 0.05 * shape[0] * shape[1]


def test_is_a_pure_function() -> None:
    spot = heatmap()
    grid = spot.grid.copy()
    first, second = outlines(spot, (900, 800)), outlines(spot, (900, 800))
    assert all((one == two).all() for one, two in zip(first, second, strict=True))
    assert (spot.grid == grid).all()


@pytest.mark.parametrize("decision", [Decision.PRESENT, Decision.DEFERRED, Decision.ABSENT])
def test_only_what_is_present_with_evidence_is_localised(decision: Decision) -> None:
    assert is_localised(result(Finding.MASS, decision)) is (decision is Decision.PRESENT)
    assert not is_localised(result(Finding.MASS, decision, heatmap=heatmap(peak=0.0)))
