"""Pictures from other equipment keep what they show; those that are no frontal chests are made by turns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.factory import chest_like
from training.checks.familiarity_examples import (
    SIDE,
    from_other_equipment,
    no_frontal_chests,
    processed,
    squeezed,
)


@pytest.fixture
def paths(tmp_path: Path) -> Sequence[Path]:
    """Eight pictures of a drawn chest, higher than wide."""
    grey = np.pad((chest_like() / 16).astype(np.uint8), ((9, 9), (0, 0)), mode="edge")
    found = [tmp_path / f"{number}.png" for number in range(8)]
    for path in found:
        cv2.imwrite(str(path), grey)
    return found


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two pictures."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_pictures_are_squeezed_to_one_side(paths: Sequence[Path]) -> None:
    assert squeezed(paths[0]).shape == (SIDE, SIDE)


def test_processing_keeps_the_range_and_flattens_the_coarse_contrast(paths: Sequence[Path]) -> None:
    picture = squeezed(paths[0])
    made = [processed(picture, np.random.default_rng(seed)) for seed in range(20)]
    assert all(one.min() >= 0 and one.max() <= 1 and one.dtype == np.float32 for one in made)
    assert min(alike(one, picture) for one in made) > 0.5
    coarse = [np.std(cv2.GaussianBlur(one, (0, 0), SIDE / 8)) / np.std(one) for one in made]
    assert np.mean(coarse) < np.std(cv2.GaussianBlur(picture, (0, 0), SIDE / 8)) / np.std(picture)


def test_each_kind_is_made_as_it_is_and_as_by_other_equipment(paths: Sequence[Path]) -> None:
    picture = squeezed(paths[0])
    made = [one.pixels for one in no_frontal_chests(paths, np.random.default_rng(0))]
    assert len(made) == len(paths)
    assert {one.shape for one in made} == {(SIDE, SIDE)}
    np.testing.assert_array_equal(made[2], 1 - picture)
    assert any(np.array_equal(made[3], np.rot90(picture, turns)) for turns in (1, 2, 3))
    assert alike(made[6], picture) < 0
    assert not np.array_equal(made[6], made[2])


def test_the_same_randomness_makes_the_same_picture(paths: Sequence[Path]) -> None:
    picture = squeezed(paths[0])
    one, same, other = (from_other_equipment(picture, np.random.default_rng(seed)).pixels for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
