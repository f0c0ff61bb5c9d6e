"""The AUC by patient: against scikit-learn, DeLong's variance, and the coverage of its interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from training.statistics.patient_auc import patient_auc, patient_count, patient_means, patient_shares


def test_each_patient_has_one_vote_among_positives_and_one_among_negatives() -> None:
    rng = np.random.default_rng(0)
    owner, labels = rng.integers(0, 40, 200), rng.random(200) < 0.4
    scores = np.round(rng.normal(size=200) + labels, 1)
    weights = np.empty(200)
    for kind in (labels, ~labels):
        weights[kind] = patient_shares(owner[kind])
    assert patient_auc(scores, labels, owner).value == pytest.approx(
        roc_auc_score(labels, scores, sample_weight=weights)
    )


def test_with_one_image_a_patient_the_interval_is_delongs() -> None:
    rng = np.random.default_rng(1)
    labels = rng.random(150) < 0.3
    scores = rng.normal(size=150) + labels
    above = (scores[labels][:, np.newaxis] > scores[~labels]).astype(np.float64)
    auc = above.mean()
    variance = above.mean(axis=1).var(ddof=1) / labels.sum() + above.mean(axis=0).var(ddof=1) / (~labels).sum()
    reach = norm.ppf(0.975) * math.sqrt(variance) / (auc * (1 - auc))
    found = patient_auc(scores, labels, np.arange(150))
    assert found.value == pytest.approx(auc)
    assert (found.low, found.high) == pytest.approx((expit(logit(auc) - reach), expit(logit(auc) + reach)))


def test_the_interval_covers_the_truth_where_images_of_a_patient_are_alike() -> None:
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(200):
        owner = np.repeat(np.arange(120), rng.integers(1, 6, 120))
        labels = (owner < 40) & (rng.random(len(owner)) < 0.7)
        scores = 0.8 * rng.normal(size=120)[owner] + 0.6 * rng.normal(size=len(owner)) + labels
        found = patient_auc(scores, labels, owner)
        covered.append(found.low <= norm.cdf(1 / math.sqrt(2)) <= found.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.045)


def test_what_is_not_there_has_no_auc_and_one_patient_no_interval() -> None:
    three, owner = np.array([0.1, 0.2, 0.3]), np.arange(3)
    assert math.isnan(patient_auc(three, np.zeros(3, np.bool_), owner).value)
    assert math.isnan(patient_auc(three[:0], np.zeros(0, np.bool_), owner[:0]).value)
    found = patient_auc(three, np.array([False, False, True]), owner)
    assert (found.value, found.low, found.high) == (1.0, 0.0, 1.0)


def test_means_are_by_patient_and_leave_out_numbers_without_an_image() -> None:
    owner = np.array([4, 0, 0, 4, 4])
    first, second = patient_means(owner, np.array([1.0, 2, 4, 1, 1]), owner == 4)
    assert (first.tolist(), second.tolist()) == ([3, 1], [0, 1])
    assert patient_count(owner) == 2
