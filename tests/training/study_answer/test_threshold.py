"""The threshold of a rule-out: the gate's bound on any scores, and how often the promise is broken."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm

from training.study_answer.fit import rule_out_threshold

PROMISE = (0.05, 0.90)


def test_with_one_picture_a_patient_it_is_the_exact_binomial_test() -> None:
    rng = np.random.default_rng(1)
    abnormal = np.arange(400) < 200
    scores = rng.normal(size=400) + 2 * abnormal - 30  # log-odds, not probabilities
    threshold = rule_out_threshold(scores, abnormal, np.arange(400), *PROMISE)
    allowed = np.flatnonzero(binom.cdf(np.arange(201), 200, 0.05) <= 0.10)[-1]
    assert threshold in scores
    assert np.count_nonzero(scores[abnormal] <= threshold) == allowed
    above = scores[scores > threshold].min()
    assert np.count_nonzero(scores[abnormal] <= above) > allowed  # the next score would miss one too many


@pytest.mark.parametrize(("patients", "supported"), [(44, False), (45, True)])
def test_too_few_abnormal_patients_support_no_threshold(patients: int, supported: bool) -> None:
    scores, abnormal = np.r_[np.arange(patients) + 10.0, 0.0, 1.0], np.r_[np.ones(patients, np.bool_), False, False]
    assert rule_out_threshold(scores, abnormal, np.arange(patients + 2), *PROMISE) == (1.0 if supported else None)


def test_a_score_that_is_no_better_than_chance_supports_no_threshold() -> None:
    scores, abnormal = np.random.default_rng(0).normal(size=600), np.arange(600) % 2 == 0
    assert rule_out_threshold(scores, abnormal, np.arange(600), *PROMISE) is None
    assert rule_out_threshold(scores + abnormal, abnormal, np.arange(600), *PROMISE) is not None


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_the_promise_is_broken_at_most_as_often_as_it_says(alike: float) -> None:
    """At 400 made-up sites of 160 abnormal patients with 1 to 9 pictures, more or less alike.

    The scores of abnormal pictures are normal, so the true share missed is known.
    """
    rng, broken, sites = np.random.default_rng(3), 0, 400
    for _ in range(sites):
        owner = np.repeat(np.arange(160), rng.integers(1, 10, 160))
        own = rng.normal(size=160) * np.sqrt(alike)
        abnormal = own[owner] + rng.normal(size=len(owner)) * np.sqrt(1 - alike)
        scores = np.r_[abnormal, rng.normal(-2, 1, 100)]
        truth, owners = (
            np.r_[np.ones(len(owner), np.bool_), np.zeros(100, np.bool_)],
            np.r_[owner, 160 + np.arange(100)],
        )
        threshold = rule_out_threshold(scores, truth, owners, *PROMISE)
        assert threshold is not None
        broken += norm.cdf(threshold) > PROMISE[0]
    assert broken / sites <= 0.10 + 3 * np.sqrt(0.1 * 0.9 / sites)
