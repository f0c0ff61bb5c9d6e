"""One image a patient: by loops, whatever the order, and what preferring an image that shows the finding is for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bundles import THREE
from training.gate.one_image_per_patient import column, draws, first_known
from training.predictions.table import Predictions


@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_each_patient_is_drawn_once_by_the_first_picture_that_is_known(seed: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    patients = rng.integers(0, 12, images).astype(str)
    labels = rng.choice([0, 1, np.nan], (images, 3)).astype(np.float32)
    chosen = first_known(labels, patients)
    for k in range(3):
        first: dict[str, int] = {}
        for row in range(images):
            if not np.isnan(labels[row, k]):
                first.setdefault(str(patients[row]), row)
        assert set(np.flatnonzero(chosen[:, k])) == set(first.values())


@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_of_a_patient_who_has_the_finding_the_first_picture_that_shows_it_is_drawn(seed: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    patients = rng.integers(0, 12, images).astype(str)
    labels = rng.choice([0, 1, np.nan], (images, 2))
    chosen = first_known(labels, patients, showing=True)
    for k in range(2):
        best: dict[str, int] = {}
        for row in range(images):
            before = best.get(str(patients[row]))
            if not np.isnan(labels[row, k]) and (before is None or labels[row, k] > labels[before, k]):
                best[str(patients[row])] = row
        assert set(np.flatnonzero(chosen[:, k])) == set(best.values())


@given(st.integers(0, 2**32 - 1))
def test_neither_the_order_nor_images_that_are_not_drawn_change_the_draws(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names, patients = np.arange(30).astype(str), rng.integers(0, 9, 30).astype(str)
    labels = rng.choice([0, 1, np.nan], (30, 3))
    drawn = draws(names, patients, labels)
    order = rng.permutation(np.flatnonzero(drawn.needed))
    again = draws(names[order], patients[order], labels[order])
    np.testing.assert_array_equal(again.showing, drawn.showing[order])
    np.testing.assert_array_equal(again.whatever, drawn.whatever[order])


def test_where_all_is_known_an_image_is_drawn_as_for_the_audit() -> None:
    rng = np.random.default_rng(0)
    names, patients = np.arange(40).astype(str), rng.integers(0, 9, 40).astype(str)
    labels = rng.choice([0.0, 1.0], (40, 3))
    once = Predictions("a site", THREE, names, patients, labels, labels).one_image_a_patient()
    whatever = draws(names, patients, labels).whatever
    for k in range(3):
        assert set(names[whatever[:, k]]) == set(once.images)


def test_preferring_images_that_show_the_finding_would_make_it_look_frequent() -> None:
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(400), 4).astype(str)
    labels = (rng.random((1600, 1)) < 0.1).astype(np.float64)
    drawn = draws(np.arange(1600).astype(str), patients, labels)
    shares = [column(labels, labels, which, 0)[1].mean() for which in (drawn.showing, drawn.whatever)]
    assert shares[0] == pytest.approx(1 - 0.9**4, abs=0.06)
    assert shares[1] == pytest.approx(0.1, abs=0.05)
