"""The curves against scikit-learn's, their averages against their areas, and co-occurrence against a loop."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from training.statistics.curves import (
    cooccurrence,
    macro_precision_recall,
    macro_roc,
    micro_precision_recall,
    micro_roc,
    precision_recall,
    roc,
)


def tied(seed: int, images: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores with ties of three findings; the third is never present."""
    rng = np.random.default_rng(seed)
    labels = rng.random((images, 3)) < 0.4
    labels[:, 2] = False
    return labels, rng.integers(0, 12, labels.shape) / 12 + labels


@pytest.mark.parametrize("seed", range(3))
def test_the_curves_are_scikit_learns(seed: int) -> None:
    labels, scores = tied(seed)
    for k in range(2):
        alarms, sensitivity, _ = roc_curve(labels[:, k], scores[:, k], drop_intermediate=False)
        ours = roc(labels[:, k], scores[:, k])
        np.testing.assert_allclose((ours.x, ours.y), (alarms, sensitivity), atol=1e-12)
        precision, recall, _ = precision_recall_curve(labels[:, k], scores[:, k])
        ours = precision_recall(labels[:, k], scores[:, k])
        np.testing.assert_allclose((ours.x, ours.y), (recall[::-1], precision[::-1]), atol=1e-12)


def test_an_unknown_label_is_no_point() -> None:
    labels, scores = tied(4)
    unknown = labels.astype(float)
    unknown[:30] = np.nan
    np.testing.assert_array_equal(roc(unknown[:, 0], scores[:, 0]).y, roc(labels[30:, 0], scores[30:, 0]).y)


def test_micro_is_the_curve_of_all_answers_together() -> None:
    labels, scores = tied(5)
    curve = micro_roc(labels, scores)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(roc_auc_score(labels, scores, average="micro"), abs=1e-12)
    curve = micro_precision_recall(labels, scores)
    area = float((np.diff(curve.x) * curve.y[1:]).sum())
    assert area == pytest.approx(average_precision_score(labels, scores, average="micro"), abs=1e-12)


def test_the_area_of_macro_is_the_mean_of_the_areas() -> None:
    rng = np.random.default_rng(6)
    labels = rng.random((3000, 3)) < 0.4
    labels[:, 2] = False
    scores = rng.normal(size=labels.shape) + labels
    curve = macro_roc(labels, scores)
    mean = np.mean([roc_auc_score(labels[:, k], scores[:, k]) for k in range(2)])
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(mean, abs=2e-3)
    curve = macro_precision_recall(labels, scores)
    mean = np.mean([average_precision_score(labels[:, k], scores[:, k]) for k in range(2)])
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(mean, abs=2e-3)


def test_cooccurrence_is_a_loop() -> None:
    labels = np.where(np.random.default_rng(7).random((40, 3)) < 0.2, np.nan, tied(7, 40)[0])
    table = cooccurrence(labels)
    for a in range(3):
        for b in range(3):
            assert table[a, b] == sum(row[a] == 1 and row[b] == 1 for row in labels)
