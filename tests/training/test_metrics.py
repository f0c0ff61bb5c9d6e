"""The metrics against scikit-learn and against their definitions written as loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from training.metrics import (
    aucs,
    expected_calibration_error,
    interval,
    mean_defined,
    patient_weights,
    weighted_auc,
)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 12))
def test_the_auc_is_scikit_learns_with_ties_and_weights(seed: int, images: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random(images) < 0.5
    labels[:2] = True, False
    scores = rng.integers(0, levels, images) / levels
    weights = rng.integers(0, 4, (3, images)) + (rng.random((3, images)) < 0.5) * 0.25
    weights[:, :2] += 1
    ours = weighted_auc(labels, scores, weights)
    theirs = [roc_auc_score(labels, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(ours, theirs, atol=1e-12, rtol=0)


def test_the_auc_of_one_class_is_not_defined() -> None:
    labels = np.asarray([[True, True], [True, False]])
    values = aucs(labels, np.asarray([[0.1, 0.2], [0.3, 0.1]]))
    assert np.isnan(values[0, 0])
    assert values[0, 1] == 1
    assert mean_defined(values)[0] == 1
    assert np.isnan(mean_defined(values[:, :1])[0])


def test_the_bootstrap_is_a_loop_over_resampled_rows() -> None:
    rng = np.random.default_rng(3)
    patients = np.asarray([f"p{k}" for k in rng.integers(0, 25, 80)])
    labels = rng.random((80, 2)) < 0.4
    scores = np.round(rng.normal(size=(80, 2)) + labels, 1)
    weights = patient_weights(patients, 20, seed=7)
    fast = aucs(labels, scores, weights)
    for row, drawn in zip(fast, weights, strict=True):
        rows = np.repeat(np.arange(80), drawn.astype(int))
        slow = [roc_auc_score(labels[rows, k], scores[rows, k]) for k in range(2)]
        np.testing.assert_allclose(row, slow, atol=1e-12, rtol=0)


def test_patients_are_drawn_whole_and_with_replacement() -> None:
    patients = np.asarray(["a", "b", "a", "c", "c", "c"])
    weights = patient_weights(patients, 500, seed=0)
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.array_equal(weights[:, 3], weights[:, 5])
    assert np.all(weights[:, 0] + weights[:, 1] + weights[:, 3] == 3)
    assert weights[:, 0].mean() == pytest.approx(1, abs=0.1)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(1, 20))
def test_the_calibration_error_is_its_definition(rows: list[tuple[float, bool]], bins: int) -> None:
    probabilities = np.asarray([p for p, _ in rows])
    labels = np.asarray([y for _, y in rows])
    error = 0.0
    for b in range(bins):
        members = [(p, y) for p, y in rows if min(math.floor(p * bins), bins - 1) == b]
        if members:
            confidence = sum(p for p, _ in members) / len(members)
            frequency = sum(y for _, y in members) / len(members)
            error += len(members) / len(rows) * abs(confidence - frequency)
    assert expected_calibration_error(labels, probabilities, bins) == pytest.approx(error, abs=1e-12)


def test_an_interval_leaves_undefined_resamples_out() -> None:
    found = interval(0.5, np.r_[np.linspace(0, 1, 41), np.nan])
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))
    assert str(found) == "0.500 [0.025, 0.975]"
    assert math.isnan(interval(0.5, np.full(3, np.nan)).low)
