"""Examples: the defects that are put in, lateral views, and pictures without a chest."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from candor.picture.orientation import SIDE
from tests.training.checks.orientation.made import chests
from training.checks.orientation.examples import (
    BLANKED_SHARE,
    FRONTAL,
    POSES,
    blanked,
    defective,
    examples,
    from_the_side,
)
from training.checks.orientation.phantoms import PHANTOMS, phantom


def test_defects_are_put_in_this_order_mirror_turn_polarity() -> None:
    pixels = np.asarray([[0.0, 0.25], [0.5, 1.0]], np.float32)
    assert defective(pixels).tolist() == pixels.tolist()
    assert defective(pixels, mirrored=True).tolist() == [[0.25, 0.0], [1.0, 0.5]]
    assert defective(pixels, turned=1).tolist() == [[0.25, 1.0], [0.0, 0.5]]  # counter-clockwise
    assert defective(pixels, mirrored=True, turned=1).tolist() == [[0.0, 0.5], [0.25, 1.0]]
    assert defective(pixels, inverted=True).tolist() == [[1.0, 0.75], [0.5, 0.0]]


def test_examples_follow_from_the_seed_alone() -> None:
    pictures = chests(3)
    one, other = (examples(pictures, 32, np.random.default_rng(7)) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.pixels, b.pixels)
        assert a[1:] == b[1:]


def test_examples_have_all_answers_and_the_form_of_the_orientation_s_input() -> None:
    made = examples(chests(3), 300, np.random.default_rng(0))
    assert len(made) == 300
    assert all(one.pixels.shape == (1, SIDE, SIDE) and one.pixels.dtype == np.float32 for one in made)
    assert all(one.pixels.min() >= 0 and one.pixels.max() <= 1 for one in made)
    for field, values in (("inverted", 2), ("turned", 4), ("mirrored", 2), ("projection", 3)):
        counts = Counter(getattr(one, field) for one in made)
        assert set(counts) == set(range(values))
        assert min(counts.values()) > 5
    assert all(one.turned == 0 for one in made if one.projection != FRONTAL)


def test_a_scene_has_one_projection_in_all_its_poses() -> None:
    made = examples(chests(2), 60, np.random.default_rng(1))
    assert all(len({one.projection for one in made[k : k + POSES]}) == 1 for k in range(0, 60, POSES))


def test_edges_are_blanked_now_and_then() -> None:
    pixels = np.full((SIDE, SIDE), 0.5, np.float32)
    rng = np.random.default_rng(0)
    made = [blanked(pixels, rng) for _ in range(300)]
    changed = [one for one in made if not np.array_equal(one, pixels)]
    assert len(changed) / 300 == pytest.approx(BLANKED_SHARE, abs=0.08)
    assert all(np.all(one[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] == 0.5) for one in changed)
    assert np.all(pixels == 0.5)


def test_a_view_from_the_side_is_a_picture_and_unlike_the_frontal_ones() -> None:
    one, other = chests(2)
    rng = np.random.default_rng(0)
    for _ in range(30):
        side = from_the_side(one, other, rng)
        assert side.shape == one.shape
        assert side.dtype == np.float32
        assert 0 <= side.min() < side.max() <= 1
        assert np.abs(side - one).mean() > 0.05


@pytest.mark.parametrize("kind", PHANTOMS, ids=lambda kind: kind.__name__)
def test_every_kind_of_phantom_is_a_picture(kind: object) -> None:
    (picture,) = chests(1)
    for seed in range(10):
        made = np.asarray(kind(picture, np.random.default_rng(seed)))  # type: ignore[operator]
        assert made.shape == picture.shape
        assert np.isfinite(made).all()
        assert np.ptp(made) > 0


def test_phantoms_of_all_kinds_come_in_range() -> None:
    (picture,) = chests(1)
    rng = np.random.default_rng(0)
    for _ in range(40):
        made = phantom(picture, rng)
        assert made.dtype == np.float32
        assert 0 <= made.min() <= made.max() <= 1
