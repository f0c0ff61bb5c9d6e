"""The order of the pictures, the share of each patient, and pictures smaller than the network's input."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from candor.model.preprocess import InputSpec
from candor.study.errors import SettingsError
from candor.study.radiograph import Radiograph
from training.data.batches import Order, PatientShare, training_input
from training.learn.recipe import Recipe

PATIENTS = np.asarray(["a"] * 20 + ["b"] * 3 + ["c"])


def test_an_epoch_takes_at_most_so_many_pictures_of_a_patient() -> None:
    share = PatientShare(PATIENTS, 4)
    assert share.pictures == 4 + 3 + 1
    order = Order(len(PATIENTS), 4, (0, 0), share=share)
    assert order.batches_an_epoch == 2
    steps = iter(order)
    epochs = [[position for _ in range(2) for position, _ in next(steps)] for _ in range(30)]
    for epoch in epochs:
        assert len(set(epoch)) == 8
        assert Counter(PATIENTS[epoch]) == {"a": 4, "b": 3, "c": 1}
    assert {position for epoch in epochs for position in epoch} == set(range(len(PATIENTS)))  # drawn anew for each


def test_the_share_keeps_the_order() -> None:
    order = np.random.default_rng(1).permutation(len(PATIENTS))
    kept = PatientShare(PATIENTS, 2).of(order)
    places = [int(np.flatnonzero(order == position)[0]) for position in kept]
    assert places == sorted(places)
    first = order[PATIENTS[order] == "a"][:2]
    assert [position for position in kept if PATIENTS[position] == "a"] == first.tolist()


def test_a_recipe_needs_a_picture_of_each_patient() -> None:
    with pytest.raises(SettingsError, match="patient_pictures is 0; give at least 1"):
        Recipe(patient_pictures=0)


def test_a_small_picture_is_enlarged_for_training_and_a_large_one_is_not() -> None:
    spec = InputSpec(side=32, mean=0.0, std=1.0)
    ramp = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (16, 1))
    small = training_input(Radiograph(ramp), spec, None, np.random.default_rng(0))
    assert small.shape == (1, 32, 32)
    assert np.abs(small[0, 0] - np.interp((np.arange(32) + 0.5) / 2 - 0.5, np.arange(16), ramp[0])).max() < 1e-5
    large = training_input(Radiograph(np.kron(ramp, np.ones((4, 4), np.float32))), spec, None, np.random.default_rng(0))
    np.testing.assert_allclose(large[0], np.kron(ramp, np.ones((2, 2), np.float32)), atol=1e-6)
