"""A workload: how much is answered, which images, and that no label matters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.study.errors import SettingsError
from training.gate.coverage import NO_PROMISE, Coverage, workload_facts, workload_thresholds
from training.gate.thresholds import called


@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.floats(0.01, 1))
def test_the_share_is_answered_and_no_image_more_and_the_surest_are(seed: int, images: int, share: float) -> None:
    probabilities = np.random.default_rng(seed).random(images)
    pair = workload_thresholds(probabilities, Coverage(share))
    absent, present = called(probabilities, pair)
    answered = absent | present
    assert math.ceil(share * images - 1e-9) <= answered.sum() <= math.ceil(share * images + 1e-9)
    assert not (absent & (probabilities >= 0.5)).any()
    assert not (present & (probabilities < 0.5)).any()
    wrong = np.minimum(probabilities, 1 - probabilities)
    assert wrong[answered].max() <= wrong[~answered].min(initial=1)


def test_everything_can_be_answered_though_a_probability_is_even() -> None:
    pair = workload_thresholds(np.array([0.1, 0.5, 0.9]), Coverage(1.0))
    absent, present = called(np.array([0.1, 0.5, 0.9]), pair)
    assert (absent.tolist(), present.tolist()) == ([True, False, False], [False, True, True])


def test_equal_probabilities_are_answered_together() -> None:
    pair = workload_thresholds(np.array([0.1, 0.2, 0.2, 0.4]), Coverage(0.5))
    assert pair.lo == 0.2


def test_counts_are_of_what_has_a_label() -> None:
    probabilities, labels = np.array([0.05, 0.1, 0.3, 0.6, 0.95, 0.02]), np.array([0, 1, 1, 0, 1, np.nan])
    pair = workload_thresholds(probabilities, Coverage(4 / 6))
    facts = workload_facts(probabilities, labels, pair)
    assert (facts["images"], facts["answered"], facts["labelled"], facts["positives"]) == (6, 4, 5, 3)
    assert (facts["absent"], facts["missed"], facts["present"], facts["present_and_positive"]) == (2, 1, 1, 1)


def test_the_words_say_that_nothing_is_promised() -> None:
    assert Coverage(0.8).text == f"each finding is answered on 80% of the images, the surest; {NO_PROMISE}"


@pytest.mark.parametrize("share", [0.0, 1.1, -1.0, math.nan])
def test_an_impossible_workload_is_refused(share: float) -> None:
    with pytest.raises(SettingsError, match=r"coverage is .*; it must lie above 0 and be at most 1"):
        Coverage(share)
