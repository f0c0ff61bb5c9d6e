"""Answers at a threshold against scikit-learn and torchmetrics, and the threshold against a search."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torchmetrics.functional.classification import binary_specificity, multilabel_recall

from training.statistics.decisions import count, samples_f1, youden_thresholds


def answers(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, answers and weights; the last finding is neither present nor called."""
    rng = np.random.default_rng(seed)
    labels, called = rng.random((60, 4)) < 0.3, rng.random((60, 4)) < 0.4
    labels[:, 3] = called[:, 3] = False
    return labels, called, rng.integers(0, 3, (5, 60)).astype(float)


@pytest.mark.parametrize("seed", range(4))
def test_every_f1_is_scikit_learns(seed: int) -> None:
    labels, called, weights = answers(seed)
    counts, samples = count(labels, called, weights), samples_f1(labels, called, weights)
    ours = {"micro": counts.micro_f1, "macro": counts.macro_f1, "weighted": counts.weighted_f1, "samples": samples}
    for row, drawn in enumerate(weights):

        def theirs(average: str | None, w: np.ndarray = drawn) -> np.ndarray:
            return f1_score(labels, called, average=average, sample_weight=w, zero_division=np.nan)

        np.testing.assert_allclose(counts.f1[row], theirs(None), atol=1e-12)
        for average, values in ours.items():
            assert values[row] == pytest.approx(theirs(average), abs=1e-12)


def test_sensitivity_and_specificity_are_the_published_ones() -> None:
    labels, called, _ = answers(9)
    counts = count(labels, called)
    tensors = torch.from_numpy(called[:, :3]).long(), torch.from_numpy(labels[:, :3]).long()
    np.testing.assert_allclose(
        counts.sensitivity[0, :3], multilabel_recall(*tensors, num_labels=3, average=None), atol=1e-6
    )
    for k in range(3):
        theirs = float(binary_specificity(tensors[0][:, k], tensors[1][:, k]))
        assert counts.specificity[0, k] == pytest.approx(theirs, abs=1e-6)
    assert np.isnan(counts.sensitivity[0, 3])


def test_an_unknown_label_counts_for_nothing() -> None:
    labels, called, _ = answers(2)
    unknown = labels.astype(float)
    unknown[:20, 0] = np.nan
    assert count(unknown, called).f1[0, 0] == count(labels[20:], called[20:]).f1[0, 0]
    unknown[:, :] = np.nan
    assert np.isnan(samples_f1(unknown, called)[0])


@pytest.mark.parametrize("seed", range(6))
def test_the_threshold_is_the_best_of_all_scores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random((50, 2)) < 0.4
    scores = rng.integers(0, 9, (50, 2)) / 8
    for k, threshold in enumerate(youden_thresholds(labels, scores)):
        gains = {}
        for t in sorted(set(scores[:, k]), reverse=True):
            called = scores[:, k] >= t
            gains[t] = called[labels[:, k]].mean() - called[~labels[:, k]].mean()
        best = max(gains.values())
        assert gains[threshold] == pytest.approx(best, abs=1e-12)
        assert all(gain < best - 1e-9 for t, gain in gains.items() if t > threshold)


def test_one_class_has_no_threshold() -> None:
    labels = np.asarray([[True, False], [True, True]])
    thresholds = youden_thresholds(labels, np.asarray([[0.2, 0.3], [0.4, 0.6]]))
    assert np.isnan(thresholds[0])
    assert thresholds[1] == 0.6
