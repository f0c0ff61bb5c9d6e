"""Refitting a linear head: it finds what the features hold, keeps the shipped head otherwise, and leaks no label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from training.calibration.head import Cases, Head, refit_head
from training.predictions.cross_fitting import folds_of
from training.statistics.metrics import aucs

CHANNELS = 40
TRUTH = np.zeros((3, CHANNELS))
TRUTH[0, :3] = 1.2
TRUTH[1, 3:6] = 1.2
SHIPPED = Head(np.where(np.arange(3)[:, np.newaxis] == 1, TRUTH, 0.02), np.zeros(3))
"""The head of the second finding is right, the others know next to nothing; the third has nothing to know."""


def cases(seed: int = 0, images: int = 700) -> Cases:
    rng = np.random.default_rng(seed)
    features = rng.gamma(2.0, 1.0, (images, CHANNELS))
    odds = (features - 2) @ TRUTH.T - 1
    labels = (rng.random(odds.shape) < expit(odds)).astype(np.float64)
    return Cases(features, labels, np.asarray([f"p{k // 2}" for k in range(images)]))


def test_a_head_that_knows_little_is_refitted_and_one_that_is_right_is_kept() -> None:
    made = refit_head(SHIPPED, cases())
    assert made.strengths[0] is not None
    assert made.strengths[2] is None
    np.testing.assert_array_equal(made.head.weight[2], SHIPPED.weight[2])
    others = cases(1, 4000)
    before, after = (aucs(others.labels, head.logits(others.features))[0] for head in (SHIPPED, made.head))
    assert after[0] > before[0] + 0.1
    assert after[1] > before[1] - 0.01


def test_out_of_fold_it_is_as_good_as_on_new_patients() -> None:
    own, others = cases(), cases(1, 4000)
    made = refit_head(SHIPPED, own)
    here, there = aucs(own.labels, made.logits(own))[0, 0], aucs(others.labels, made.head.logits(others.features))[0, 0]
    assert here == pytest.approx(there, abs=0.05)
    assert aucs(own.labels, made.head.logits(own.features))[0, 0] > here  # where it was fitted it looks too good


def test_a_patients_labels_do_not_change_that_patients_head() -> None:
    own = cases()
    first = folds_of(own.patients) == 0
    mine = np.flatnonzero(first)[:4]
    labels = own.labels.copy()
    labels[mine] = 1 - labels[mine]
    one, other = refit_head(SHIPPED, own), refit_head(SHIPPED, replace(own, labels=labels))
    np.testing.assert_allclose(one.folds[0].weight[0], other.folds[0].weight[0], atol=1e-12)
    assert np.abs(one.folds[1].weight[0] - other.folds[1].weight[0]).max() > 1e-6


def test_unknown_labels_and_rare_findings_keep_the_shipped_head() -> None:
    own = cases()
    own.labels[:, 0] = 0
    own.labels[:5, 0] = 1
    own.labels[::3, 1] = np.nan
    made = refit_head(SHIPPED, own)
    assert made.strengths[0] is None
    np.testing.assert_array_equal(made.head.weight[0], SHIPPED.weight[0])
    np.testing.assert_array_equal(made.logits(own)[:, 0], SHIPPED.logits(own.features)[:, 0])
    none = refit_head(SHIPPED, replace(own, labels=np.full_like(own.labels, np.nan)))
    assert none.strengths == [None] * 3
    np.testing.assert_array_equal(none.logits(own), SHIPPED.logits(own.features))
