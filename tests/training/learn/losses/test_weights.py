"""Weights against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from candor.study.errors import DataError
from training.learn.losses import balanced_class_weights, balanced_finding_weights, positive_weights


@pytest.fixture
def labels() -> np.ndarray:
    return (np.random.default_rng(0).random((200, 4)) < (0.5, 0.1, 0.9, 0.03)).astype(np.float32)


def test_findings_are_balanced_as_scikit_learn_does(labels: np.ndarray) -> None:
    expected = [compute_class_weight("balanced", classes=np.array([0, 1]), y=column) for column in labels.T]
    np.testing.assert_allclose(balanced_finding_weights(labels), expected, rtol=1e-12)


def test_classes_are_balanced_as_scikit_learn_does() -> None:
    classes = np.random.default_rng(1).choice(3, 100, p=(0.7, 0.2, 0.1))
    expected = compute_class_weight("balanced", classes=np.arange(3), y=classes)
    np.testing.assert_allclose(balanced_class_weights(np.eye(3)[classes]), expected, rtol=1e-12)


def test_positive_weights_are_the_odds_of_absence(labels: np.ndarray) -> None:
    present = labels.sum(axis=0, dtype=np.float64)
    np.testing.assert_allclose(positive_weights(labels), (200 - present) / present, rtol=1e-12)


def test_unknown_labels_are_left_out(labels: np.ndarray) -> None:
    more = np.concatenate([labels, np.full((50, 4), np.nan)])
    np.testing.assert_array_equal(balanced_finding_weights(more), balanced_finding_weights(labels))
    classes = np.eye(4)[np.arange(8) % 4]
    np.testing.assert_array_equal(balanced_class_weights(np.concatenate([classes, more[-2:]])), np.ones(4))


def test_soft_labels_count_in_part() -> None:
    np.testing.assert_allclose(positive_weights(np.array([[0.25], [0.25]])), [3.0])


@pytest.mark.parametrize("weigh", [balanced_finding_weights, positive_weights, balanced_class_weights])
def test_a_class_that_never_occurs_has_no_weight(weigh: object) -> None:
    with pytest.raises(DataError, match="column 1"):
        weigh(np.array([[1.0, 0.0], [0.5, 0.0]]))  # type: ignore[operator]
