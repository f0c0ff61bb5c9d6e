"""The metrics against scikit-learn, torchmetrics and their definitions written as loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from torchmetrics.functional.classification import binary_calibration_error, multilabel_average_precision

from training.statistics import bootstrap_kernels as kernels
from training.statistics.metrics import (
    aucs,
    average_precisions,
    brier_scores,
    calibration_errors,
    calibration_floors,
    interval,
    mean_defined,
    patient_weights,
    rank,
)


def tied(seed: int, images: int = 70, findings: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities with ties, and the weights of a few resamples, some of them fractions."""
    rng = np.random.default_rng(seed)
    labels = rng.random((images, findings)) < 0.3
    labels[:2] = [[True], [False]]
    weights = rng.integers(0, 3, (4, images)) + (rng.random((4, images)) < 0.3) * 0.25
    weights[:, :2] += 1
    return labels, rng.integers(1, 12, labels.shape) / 12.5, weights


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 12))
def test_the_auc_is_scikit_learns_with_ties_and_weights(seed: int, images: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random(images) < 0.5
    labels[:2] = True, False
    scores = rng.integers(0, levels, images) / levels
    weights = rng.integers(0, 4, (3, images)) + (rng.random((3, images)) < 0.5) * 0.25
    weights[:, :2] += 1
    ours = aucs(labels[:, np.newaxis], scores[:, np.newaxis], weights)[:, 0]
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
    found = calibration_errors(labels[:, np.newaxis], probabilities[:, np.newaxis], bins=bins)
    assert found[0, 0] == pytest.approx(error, abs=1e-12)


def test_an_interval_leaves_undefined_resamples_out() -> None:
    found = interval(0.5, np.r_[np.linspace(0, 1, 41), np.nan])
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))
    assert str(found) == "0.500 [0.025, 0.975]"
    assert math.isnan(interval(0.5, np.full(3, np.nan)).low)


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_scikit_learns_with_ties_and_weights(seed: int) -> None:
    labels, scores, weights = tied(seed)
    theirs = [[average_precision_score(labels[:, k], scores[:, k], sample_weight=w) for k in range(3)] for w in weights]
    np.testing.assert_allclose(average_precisions(labels, scores, weights), theirs, atol=1e-12, rtol=0)
    tensors = torch.from_numpy(scores), torch.from_numpy(labels).long()
    published = multilabel_average_precision(*tensors, num_labels=3, average=None)
    np.testing.assert_allclose(average_precisions(labels, scores)[0], published, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_calibration_error_and_brier_are_the_published_ones(seed: int) -> None:
    labels, probabilities, weights = tied(seed)
    for k in range(3):
        tensors = torch.from_numpy(probabilities[:, k].copy()), torch.from_numpy(labels[:, k]).long()
        theirs = float(binary_calibration_error(*tensors, n_bins=15, norm="l1"))
        assert calibration_errors(labels, probabilities)[0, k] == pytest.approx(theirs, abs=1e-6)
        briers = [brier_score_loss(labels[:, k], probabilities[:, k], sample_weight=w) for w in weights]
        np.testing.assert_allclose(brier_scores(labels, probabilities, weights)[:, k], briers, atol=1e-12)


@pytest.mark.parametrize("metric", [aucs, average_precisions, calibration_errors, brier_scores])
def test_a_weight_is_a_repetition_and_an_unknown_label_an_absence(metric: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(5)
    labels, probabilities, _ = tied(5)
    drawn = rng.integers(0, 3, len(labels))
    rows = np.repeat(np.arange(len(labels)), drawn)
    weighted = metric(labels, probabilities, drawn[np.newaxis].astype(float))
    np.testing.assert_allclose(weighted, metric(labels[rows], probabilities[rows]), atol=1e-12)
    unknown = np.where(rng.random(labels.shape) < 0.2, np.nan, labels)
    for k in range(3):
        kept = ~np.isnan(unknown[:, k])
        alone = metric(labels[kept][:, [k]], probabilities[kept][:, [k]])
        np.testing.assert_allclose(metric(unknown, probabilities)[:, [k]], alone, atol=1e-12)


@pytest.mark.parametrize("metric", [average_precisions, calibration_errors, brier_scores])
def test_a_finding_of_which_nothing_is_known_has_no_figure(metric: Callable[..., np.ndarray]) -> None:
    assert np.isnan(metric(np.full((3, 1), np.nan), np.full((3, 1), 0.5))).all()


@pytest.mark.parametrize("name", ["roc_areas", "precision_areas"])
def test_the_kernels_compute_the_same_compiled_or_not(name: str) -> None:
    kernel = getattr(kernels, name)
    labels, scores, weights = tied(8)
    labels[:, 2] = False
    r = rank(labels, scores)
    arguments = (weights, r.order, r.positive, r.negative, r.ends)
    np.testing.assert_allclose(kernel(*arguments), kernel.py_func(*arguments), atol=1e-15)


def test_an_interval_without_ends_is_null_in_json() -> None:
    assert interval(0.5, np.full(3, np.nan)).json is None
    assert interval(0.5, np.full(3, 0.25)).json == {"value": 0.5, "low": 0.25, "high": 0.25}


def test_the_floor_is_the_error_of_a_model_that_is_right() -> None:
    rng = np.random.default_rng(0)
    probabilities = np.tile(rng.uniform(0.01, 0.4, 3000)[:, np.newaxis], 2)
    labels = np.zeros_like(probabilities)
    labels[500:, 1] = np.nan
    least = calibration_floors(labels, probabilities)
    assert 0 < least[0] < 0.02
    assert least[1] / least[0] == pytest.approx(np.sqrt(6), rel=0.25)
