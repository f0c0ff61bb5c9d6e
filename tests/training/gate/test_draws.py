"""Tests over all draws: by enumeration, that one image a patient gives the exact test, and that the level is kept."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from training.gate.draws import at_most, few_are_missed, misses_allowed, most_are_right


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=7), st.integers(0, 7))
@settings(max_examples=40)
def test_the_chance_of_at_most_so_many_is_the_sum_over_all_draws(chances: list[float], most: int) -> None:
    total = 0.0
    for draw in product([False, True], repeat=len(chances)):
        if sum(draw) <= most:
            total += float(np.prod([c if hit else 1 - c for c, hit in zip(chances, draw, strict=True)]))
    assert at_most(most, np.asarray(chances)) == pytest.approx(total)


@given(st.integers(1, 200), st.sampled_from([0.05, 0.1, 0.3]), st.sampled_from([0.1, 0.05]))
@settings(max_examples=40)
def test_the_misses_allowed_are_the_most_that_a_binomial_test_rejects(
    positives: int, share: float, level: float
) -> None:
    def rejected(missed: int) -> bool:
        return bool(binomtest(missed, positives, share, "less").pvalue <= level)

    allowed = misses_allowed(positives, share, level)
    if allowed is None:
        assert not rejected(0)
    else:
        assert rejected(allowed)
        assert not rejected(allowed + 1)


@given(st.integers(1, 120), st.integers(0, 12))
@settings(max_examples=40)
def test_with_one_image_a_patient_it_is_the_exact_test(patients: int, misses: int) -> None:
    missed = (np.arange(patients) < misses).astype(np.float64)
    exact = binomtest(min(misses, patients), patients, 0.1, "less").pvalue <= 0.1
    assert few_are_missed(missed, 0.1, 0.9) == exact


@given(st.integers(1, 60), st.integers(0, 40))
@settings(max_examples=40)
def test_with_one_image_a_patient_precision_is_tested_exactly(patients: int, wrong: int) -> None:
    called = np.ones(patients)
    right = (np.arange(patients) >= wrong).astype(np.float64)
    exact = binomtest(int(right.sum()), patients, 0.5, "greater").pvalue <= 0.1
    assert most_are_right(np.r_[called, 0.0], np.r_[right, 0.0], 0.5, 0.9) == exact


def evidence(called: int, right: int, precision: float, level: float) -> float:
    """The e-value of one draw."""
    needed = next((h for h in range(called + 1) if binom.sf(h - 1, called, precision) <= level), None)
    return 1.0 if needed is None else float(right >= needed) / binom.sf(needed - 1, called, precision)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=12)
def test_precision_is_the_mean_over_all_draws(seed: int) -> None:
    rng = np.random.default_rng(seed)
    called = rng.choice([0, 0.5, 1.0], 6)
    right = called * rng.choice([0, 0.5, 1.0], 6)
    total = 0.0
    for draw in product(range(3), repeat=6):  # not called, called wrongly, called rightly
        chance = np.prod([(1 - c, c - r, r)[kind] for c, r, kind in zip(called, right, draw, strict=True)])
        total += float(chance) * evidence(sum(kind > 0 for kind in draw), draw.count(2), 0.4, 0.2)
    if abs(total - 5) > 1e-6:
        assert most_are_right(called, right, 0.4, 0.8) == (total >= 5)


def test_nobody_called_shows_nothing() -> None:
    assert not most_are_right(np.zeros(5), np.zeros(5), 0.5, 0.9)
    assert not few_are_missed(np.empty(0), 0.1, 0.9)


@pytest.mark.parametrize("patients", [25, 60, 120])
def test_a_broken_promise_passes_as_seldom_as_it_says_and_not_much_more_seldom(patients: int) -> None:
    """Patients are missed wholly, in part or not at all, a tenth on average."""
    rng = np.random.default_rng(patients)
    shares = rng.choice([1.0, 1 / 3, 0.5, 0.0], (1000, patients), p=[0.06, 0.045, 0.05, 0.845])
    passed = np.mean([few_are_missed(row, 0.1, 0.9) for row in shares])
    assert 0.005 < passed <= 0.1 + 0.03


def test_useless_calls_pass_as_seldom_as_it_says() -> None:
    rng = np.random.default_rng(1)
    passed = []
    for _ in range(300):
        called = rng.choice([0.0, 0.5, 1.0], 40, p=[0.3, 0.2, 0.5])
        passed.append(most_are_right(called, called * (rng.random(40) < 0.5), 0.5, 0.9))
    assert 0.01 < np.mean(passed) <= 0.1 + 3 * np.sqrt(0.09 / 300)
