"""The threshold of a rule-out: the exact test, pictures of one patient, and how often the promise is broken."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm

from training.study_answer.threshold import missed, rule_out_threshold

PROMISE = {"max_missed": 0.05, "confidence": 0.90}


def test_with_one_picture_a_patient_it_is_the_exact_binomial_test() -> None:
    rng = np.random.default_rng(1)
    scores, abnormal = rng.normal(size=400), np.repeat([1.0, 0.0], 200)
    patients = np.arange(400).astype(np.str_)
    threshold = rule_out_threshold(scores, abnormal, patients, **PROMISE)
    allowed = np.flatnonzero(binom.cdf(np.arange(201), 200, 0.05) <= 0.10)[-1]
    assert threshold in scores
    assert threshold < np.sort(scores[:200])[allowed]
    assert np.count_nonzero(scores[:200] <= threshold) == allowed
    above = scores[scores > threshold].min()
    assert np.count_nonzero(scores[:200] <= above) > allowed  # the next score would miss one too many


@pytest.mark.parametrize(("patients", "supported"), [(44, False), (45, True)])
def test_too_few_abnormal_patients_support_no_threshold(patients: int, supported: bool) -> None:
    scores = np.r_[np.arange(patients) + 10.0, 0.0]
    abnormal = np.r_[np.ones(patients), 0.0]
    found = rule_out_threshold(scores, abnormal, np.arange(patients + 1).astype(np.str_), **PROMISE)
    assert found == (0.0 if supported else None)


def test_no_score_lies_below_the_first_miss_too_many() -> None:
    scores, abnormal = np.zeros(200), np.ones(200)
    assert rule_out_threshold(scores, abnormal, np.arange(200).astype(np.str_), **PROMISE) is None


def test_equal_scores_of_abnormal_pictures_are_missed_together_or_not_at_all() -> None:
    scores = np.r_[np.zeros(30), np.ones(170), -1.0]
    abnormal = np.r_[np.ones(200), 0.0]
    assert rule_out_threshold(scores, abnormal, np.arange(201).astype(np.str_), **PROMISE) == -1.0


def test_a_patients_loss_is_the_share_of_the_abnormal_pictures_that_is_missed() -> None:
    scores = np.array([0.0, 2.0, 2.0, 0.0, 5.0])
    abnormal = np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    patients = np.array(["a", "a", "b", "c", "a"])
    assert missed(scores, abnormal, patients, 1.0).tolist() == [0.5, 0.0, 1.0]


def test_copies_of_a_patients_pictures_add_no_knowledge() -> None:
    rng = np.random.default_rng(2)
    scores, abnormal = rng.normal(size=500), np.repeat([1.0, 0.0], 250)
    patients = np.arange(500).astype(np.str_)
    once = rule_out_threshold(scores, abnormal, patients, **PROMISE)
    often = rule_out_threshold(np.repeat(scores, 20), np.repeat(abnormal, 20), np.repeat(patients, 20), **PROMISE)
    assert once is not None
    assert often is not None
    assert often <= once


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_the_promise_is_broken_at_most_as_often_as_it_says(alike: float) -> None:
    """At 1,000 made-up sites of 160 abnormal patients with 1 to 9 pictures, more or less alike.

    A patient's loss is taken over all pictures that could be taken, so the true share missed is known in closed form.
    """
    rng, broken, sites = np.random.default_rng(3), 0, 1000
    for _ in range(sites):
        pictures = rng.integers(1, 10, 160)
        owner = np.repeat(np.arange(160), pictures)
        own = rng.normal(size=160) * np.sqrt(alike)
        scores = own[owner] + rng.normal(size=len(owner)) * np.sqrt(1 - alike)
        threshold = rule_out_threshold(
            np.r_[scores, -9.0], np.r_[np.ones(len(owner)), 0.0], np.r_[owner, 160].astype(np.str_), **PROMISE
        )
        assert threshold is not None
        broken += norm.cdf(threshold) > PROMISE["max_missed"]
    assert broken / sites <= 0.10 + 3 * np.sqrt(0.1 * 0.9 / sites)
