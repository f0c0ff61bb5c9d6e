"""The spread of heatmaps against SciPy, OpenCV, and its definitions written as loops."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from candor.decide.heatmap_spread import SPREAD, on_grid, shares, signed_totals, spread


def maps_of(seed: int, shape: tuple[int, ...] = (3, 2, 7, 5)) -> np.ndarray:
    """Signed maps, as the network makes them."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def measured(maps: np.ndarray, name: str) -> np.ndarray:
    """One of the measures, without lung fields."""
    return spread(maps)[..., SPREAD.index(name)]


def one(cells: list[list[float]]) -> np.ndarray:
    """A map alone."""
    return np.asarray(cells, np.float32)[np.newaxis, np.newaxis]


def gini_by_pairs(values: np.ndarray) -> float:
    """Mean absolute difference of all pairs over twice the mean."""
    return float(np.abs(np.subtract.outer(values, values)).mean() / (2 * values.mean()))


def test_the_measures_are_their_definitions() -> None:
    maps = maps_of(0)
    for image, finding in np.ndindex(maps.shape[:2]):
        heat = np.maximum(maps[image, finding].astype(np.float64), 0)
        share = heat / heat.sum()
        found = dict(zip(SPREAD, spread(maps)[image, finding], strict=True))
        ring = [share[i, j] for i, j in np.ndindex(share.shape) if i in (0, 6) or j in (0, 4)]
        assert found["entropy"] == pytest.approx(entropy(share.ravel()) / math.log(35))
        assert found["top_share"] == pytest.approx(sum(sorted(share.ravel())[-4:]))
        assert found["gini"] == pytest.approx(gini_by_pairs(share.ravel()))
        assert found["peak"] == pytest.approx(share.max())
        assert found["border"] == pytest.approx(sum(ring))
        assert found["outside"] == found["outside_known"] == 0


def test_one_hot_cell_and_an_even_map_are_the_ends() -> None:
    hot, even = np.zeros((1, 1, 7, 7)), np.full((1, 1, 7, 7), 0.3)
    hot[0, 0, 3, 3] = 2.0
    assert spread(hot)[0, 0].tolist() == pytest.approx([0, 1, 48 / 49, 1, 0, 0, 0])
    assert spread(even)[0, 0].tolist() == pytest.approx([1, 5 / 49, 0, 1 / 49, 24 / 49, 0, 0])


def test_a_map_without_positive_evidence_is_even() -> None:
    np.testing.assert_allclose(spread(np.full((1, 1, 7, 7), -1.0)), spread(np.ones((1, 1, 7, 7))))
    np.testing.assert_allclose(shares(np.zeros((1, 1, 2, 2))), 0.25)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 1, 3), (2, 1, 2, 2), (0, 3, 7, 7)])
def test_a_map_of_few_cells_has_a_spread(shape: tuple[int, ...]) -> None:
    found = spread(maps_of(0, shape))
    assert found.shape == (*shape[:2], len(SPREAD))
    assert np.isfinite(found).all()


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_the_spread_tells_nothing_of_the_scale_and_lies_in_0_to_1(seed: int, scale: float) -> None:
    maps = maps_of(seed)
    found = spread(maps)
    np.testing.assert_allclose(spread(maps * scale), found, atol=1e-6)
    assert ((found >= 0) & (found <= 1)).all()


def test_the_share_outside_the_lungs_is_that_of_the_cells_beyond_them() -> None:
    left_half = np.zeros((64, 48), np.bool_)
    left_half[:, :24] = True
    maps = np.concatenate([one([[3, 1], [0, -5]]), one([[3, 1], [0, -5]])])
    found = spread(maps, [left_half, None])
    assert found[0, 0, SPREAD.index("outside")] == pytest.approx(0.25)
    assert found[:, 0, SPREAD.index("outside_known")].tolist() == [1, 0]
    assert found[1, 0, SPREAD.index("outside")] == 0


def test_lung_fields_of_several_sizes_stand_beside_each_other() -> None:
    nothing, everything = np.zeros((5, 9), np.bool_), np.ones((64, 64), np.bool_)
    found = spread(maps_of(1, (2, 2, 7, 7)), [nothing, everything])[..., SPREAD.index("outside")]
    np.testing.assert_allclose(found, [[1, 1], [0, 0]], atol=1e-12)


def test_each_image_has_its_lung_field_or_none() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        spread(maps_of(0), [None])


@pytest.mark.parametrize(("rows", "columns"), [(64, 48), (7, 5), (14, 10), (3, 2), (1, 1), (100, 33)])
def test_a_mask_on_the_grid_is_the_share_of_each_cell(rows: int, columns: int) -> None:
    mask = np.random.default_rng(rows).random((rows, columns)) < 0.4
    fine = np.repeat(np.repeat(mask, 7, axis=0), 5, axis=1).reshape(7, rows, 5, columns)
    np.testing.assert_allclose(on_grid(mask, 7, 5), fine.mean(axis=(1, 3)), atol=1e-12)


def test_a_mask_on_a_coarser_grid_is_opencvs_area_average() -> None:
    mask = np.random.default_rng(0).random((56, 56)) < 0.4
    theirs = cv2.resize(mask.astype(np.float64), (7, 7), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(on_grid(mask, 7, 7), theirs, atol=1e-9)


def test_the_totals_add_up_to_the_mean() -> None:
    maps = maps_of(3)
    totals = signed_totals(maps)
    assert (totals >= 0).all()
    np.testing.assert_allclose(totals[..., 0] - totals[..., 1], maps.mean(axis=(2, 3)), atol=1e-6)
