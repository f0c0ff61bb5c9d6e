"""The gate's thresholds: by hand, by brute force, and that the promise holds on simulated patients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import beta, binomtest, fisher_exact, norm

from candor.decide.gate import Thresholds
from candor.study.errors import SettingsError
from training.calibration.calibrate import NOBODY_KNOWS
from training.gate.facts import lower_facts, upper_facts
from training.gate.guarantee import Promise
from training.gate.thresholds import (
    called,
    fit_thresholds,
    lower_threshold,
    misses_allowed,
    rarer_than_chance,
    upper_threshold,
)

PROMISE = Promise()


def gate_facts(scores: np.ndarray, labels: np.ndarray, pair: Thresholds, promise: Promise) -> dict[str, object]:
    """All counts of thresholds that were fitted to the same images."""
    return lower_facts(scores, labels, pair.lo, promise) | upper_facts(scores, labels, pair.hi, promise)


def clopper_pearson_upper(hits: int, trials: int, confidence: float) -> float:
    """One-sided upper bound of a binomial share."""
    return 1.0 if hits == trials else float(beta.ppf(confidence, hits + 1, trials - hits))


def clopper_pearson_lower(hits: int, trials: int, confidence: float) -> float:
    """One-sided lower bound of a binomial share."""
    return 0.0 if hits == 0 else float(beta.ppf(1 - confidence, hits, trials - hits + 1))


def lower_by_loop(scores: np.ndarray, labels: np.ndarray, promise: Promise) -> float | None:
    """Test every threshold from the lowest up; keep the last before the first that fails."""
    found = None
    for score in sorted(set(scores[scores < 0.5].tolist())):
        missed, positives = int((labels & (scores <= score)).sum()), int(labels.sum())
        if not positives or clopper_pearson_upper(missed, positives, promise.confidence) > promise.max_missed:
            break
        found = score
    return found


def upper_by_loop(scores: np.ndarray, labels: np.ndarray, promise: Promise) -> float | None:
    """Test every threshold from the highest down, once enough images lie above it."""
    found = None
    for score in sorted(set(scores[scores >= 0.5].tolist()), reverse=True):
        above = scores >= score
        images, hits = int(above.sum()), int((labels & above).sum())
        if clopper_pearson_lower(images, images, promise.confidence) < promise.min_precision:
            continue
        if clopper_pearson_lower(hits, images, promise.confidence) < promise.min_precision:
            break
        found = score
    return found


@settings(max_examples=150)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 150),
    st.integers(2, 60),
    st.sampled_from([Promise(), Promise(0.3, 0.7, 0.8), Promise(0.05, 0.9, 0.95), Promise(0.5, 0.2, 0.6)]),
)
def test_thresholds_are_those_of_testing_one_by_one(seed: int, images: int, levels: int, promise: Promise) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random(images) < 0.5
    scores = np.round(expit(rng.normal(size=images) + 2 * labels - 1) * levels) / levels
    assert lower_threshold(scores, labels, promise) == lower_by_loop(scores, labels, promise)
    assert upper_threshold(scores, labels, promise) == upper_by_loop(scores, labels, promise)


@given(st.integers(0, 2**32 - 1), st.integers(1, 100))
def test_thresholds_never_cross_and_never_contradict_the_probability(seed: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    pair = fit_thresholds(rng.random(images), rng.random(images) < 0.5, Promise(0.9, 0.1, 0.5))
    assert pair.lo is None or pair.lo < 0.5
    assert pair.hi is None or pair.hi >= 0.5


def test_the_needed_counts_are_those_that_can_just_pass() -> None:
    assert PROMISE.positives_needed == 22
    assert clopper_pearson_upper(0, 22, 0.9) <= 0.10 < clopper_pearson_upper(0, 21, 0.9)
    assert PROMISE.present_needed == 4
    assert clopper_pearson_lower(4, 4, 0.9) >= 0.5 > clopper_pearson_lower(3, 3, 0.9)


@pytest.mark.parametrize(("positives", "supported"), [(21, False), (22, True)])
def test_one_positive_too_few_supports_no_absent(positives: int, supported: bool) -> None:
    scores = np.r_[np.linspace(0.01, 0.1, 50), np.linspace(0.2, 0.4, positives)]
    labels = np.arange(len(scores)) >= 50
    assert lower_threshold(scores, labels, PROMISE) == (0.1 if supported else None)


@pytest.mark.parametrize(("images", "supported"), [(3, False), (4, True)])
def test_one_image_too_few_supports_no_present(images: int, supported: bool) -> None:
    scores = np.r_[np.linspace(0.1, 0.4, 50), np.linspace(0.6, 0.9, images)]
    labels = np.arange(len(scores)) >= 50
    assert upper_threshold(scores, labels, PROMISE) == (0.6 if supported else None)


def test_what_is_missing_is_named() -> None:
    scores = np.r_[np.linspace(0.1, 0.4, 50), 0.6]
    none = np.zeros(51, np.bool_)
    facts = gate_facts(scores, none, fit_thresholds(scores, none, PROMISE), PROMISE)
    assert facts["lo_unsupported"] == "0 positives; at least 22 are needed, with none missed"
    assert facts["hi_unsupported"] == (
        "1 images reach a probability of 0.5; at least 4 are needed: some 204 patients like these 51"
    )
    likely, wrong = np.linspace(0.5, 0.9, 40), np.arange(40) < 30
    facts = gate_facts(likely, wrong, fit_thresholds(likely, wrong, PROMISE), PROMISE)
    assert facts["lo_unsupported"] == "no image scores below the positives that may be missed"
    assert facts["hi_unsupported"] == "too few of the 40 images that reach a probability of 0.5 are positive"


def test_what_nobody_knows_supports_nothing() -> None:
    scores, labels = np.empty(0), np.empty(0, np.bool_)
    pair = fit_thresholds(scores, labels, PROMISE)
    facts = gate_facts(scores, labels, pair, PROMISE)
    assert pair.lo is pair.hi is None
    assert facts["images"] == 0
    assert facts["lo_unsupported"] == facts["hi_unsupported"] == NOBODY_KNOWS


def test_the_counts_are_those_of_the_fit() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(400) < 0.4
    scores = expit(2 * rng.normal(size=400) + 4 * labels - 2)
    pair = fit_thresholds(scores, labels, PROMISE)
    facts = gate_facts(scores, labels, pair, PROMISE)
    assert pair.lo is not None
    assert pair.hi is not None
    assert facts["missed"] == (labels & (scores <= pair.lo)).sum()
    assert facts["present_and_positive"] == (labels & (scores >= pair.hi)).sum()
    assert facts["lo_unsupported"] is facts["hi_unsupported"] is None


def kept(promise: Promise, runs: int, positives: int, negatives: int, separation: float) -> tuple[float, float]:
    """Share of simulated fits whose lower, and upper, threshold keeps its promise for the whole population.

    Log-odds are normal with unit deviation around 0 and ``separation``, so both risks are known exactly. A
    threshold that was not supported breaks no promise.
    """
    rng = np.random.default_rng(1)
    labels = np.arange(positives + negatives) < positives
    lower, upper = [], []
    for _ in range(runs):
        odds = rng.normal(size=len(labels)) + separation * labels
        pair = fit_thresholds(expit(odds), labels, promise)
        lower.append(pair.lo is None or norm.cdf(math.log(pair.lo / (1 - pair.lo)) - separation) <= promise.max_missed)
        if pair.hi is None:
            upper.append(True)
            continue
        cut = math.log(pair.hi / (1 - pair.hi))
        hits, misses = positives * norm.sf(cut - separation), negatives * norm.sf(cut)
        upper.append(hits / (hits + misses) >= promise.min_precision)
    return float(np.mean(lower)), float(np.mean(upper))


@pytest.mark.parametrize(
    ("promise", "positives", "negatives", "separation"),
    [
        (Promise(), 40, 150, 1.0),
        (Promise(max_missed=0.2, min_precision=0.6, confidence=0.8), 60, 100, 0.6),
        (Promise(max_missed=0.3, min_precision=0.3, confidence=0.7), 30, 120, 0.2),
    ],
)
def test_the_promise_holds_with_its_confidence(
    promise: Promise, positives: int, negatives: int, separation: float
) -> None:
    runs = 500
    slack = 3 * math.sqrt(promise.confidence * (1 - promise.confidence) / runs)
    lower, upper = kept(promise, runs, positives, negatives, separation)
    assert lower >= promise.confidence - slack
    assert upper >= promise.confidence - slack


def test_useless_scores_are_rarely_called_precise() -> None:
    rng = np.random.default_rng(2)
    fits = [upper_threshold(0.5 + rng.random(100) / 2, rng.random(100) < 0.49, PROMISE) for _ in range(500)]
    assert np.mean([hi is not None for hi in fits]) <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / 500)


@pytest.mark.parametrize("name", ["max_missed", "min_precision", "confidence"])
@pytest.mark.parametrize("value", [0.0, 1.0, math.nan])
def test_an_impossible_promise_is_refused(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=rf"{name} is .*; it must lie between 0 and 1"):
        Promise(**{name: value})


def test_a_network_that_tells_nothing_calls_nothing_absent() -> None:
    rng = np.random.default_rng(0)
    answered = 0
    for _ in range(200):
        scores, labels = rng.random(200) * 0.4, rng.random(200) < 0.15
        pair = fit_thresholds(scores, labels, PROMISE)
        answered += pair.lo is not None
    assert answered / 200 < 0.2


def test_the_reason_says_that_chance_would_do_as_well() -> None:
    scores, labels = np.linspace(0, 0.4, 200), np.arange(200) % 5 == 4
    pair = fit_thresholds(scores, labels, PROMISE)
    assert lower_threshold(scores, labels, PROMISE) is not None
    assert pair.lo is None
    why = gate_facts(scores, labels, pair, PROMISE)["lo_unsupported"]
    assert why == "1 of the 9 images that could be called absent are positive, no fewer than by chance"


@pytest.mark.parametrize("seed", range(5))
def test_rarer_than_chance_is_fishers_exact_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, absent = rng.random(120) < 0.3, rng.random(120) < 0.2
    table = [[np.sum(absent & labels), np.sum(absent & ~labels)], [np.sum(~absent & labels), np.sum(~absent & ~labels)]]
    p = fisher_exact(table, alternative="less").pvalue
    for confidence in (p - 1e-6, p + 1e-6):
        assert rarer_than_chance(absent, labels, Promise(confidence=1 - confidence)) == (p <= confidence)


@pytest.mark.parametrize("promise", [PROMISE, Promise(0.05, 0.8, 0.95), Promise(0.3, 0.3, 0.7)])
@pytest.mark.parametrize("seed", range(4))
def test_the_sequences_are_those_of_mapie_on_binomial_tests_of_scipy(promise: Promise, seed: int) -> None:
    """Learn then test: exact p-values of every threshold, the safest first, and MAPIE's control of the error."""
    control = pytest.importorskip("mapie.risk_control", reason="MAPIE is the oracle")
    rng = np.random.default_rng(seed)
    scores = np.round(rng.beta(1, 1.5, 300), 2)  # many are equal
    labels = rng.random(300) < scores
    grid = np.unique(scores)
    low, high = grid[grid < 0.5], grid[grid >= 0.5][::-1]
    missed = [
        binomtest(int((labels & (scores <= t)).sum()), int(labels.sum()), promise.max_missed, "less").pvalue
        for t in low
    ]
    level = 1 - promise.confidence
    kept = low[control.control_fwer(np.asarray(missed), level, "fixed_sequence")]
    assert lower_threshold(scores, labels, promise) == (kept.max() if len(kept) else None)
    tested = [t for t in high if (scores >= t).sum() >= promise.present_needed]
    right = [
        binomtest(int(labels[scores >= t].sum()), int((scores >= t).sum()), promise.min_precision, "greater").pvalue
        for t in tested
    ]
    kept = np.asarray(tested)[control.control_fwer(np.asarray(right), level, "fixed_sequence")]
    assert upper_threshold(scores, labels, promise) == (kept.min() if len(kept) else None)


@given(st.integers(1, 300), st.sampled_from([PROMISE, Promise(0.05, 0.5, 0.95)]))
@settings(max_examples=40)
def test_the_misses_allowed_are_the_most_that_a_binomial_test_rejects(positives: int, promise: Promise) -> None:
    def rejected(missed: int) -> bool:
        p = binomtest(missed, positives, promise.max_missed, "less").pvalue
        return bool(p <= 1 - promise.confidence)

    allowed = misses_allowed(positives, promise)
    if allowed is None:
        assert not rejected(0)
        assert positives < promise.positives_needed
    else:
        assert rejected(allowed)
        assert not rejected(allowed + 1)


def test_equal_probabilities_are_answered_together_or_not_at_all() -> None:
    scores = np.r_[np.full(50, 0.1), np.full(60, 0.2), np.full(40, 0.4)]
    labels = np.zeros(150, np.bool_)
    labels[50:54] = labels[110:] = True  # 44 positives, of which one may be missed; at 0.2 it would be four
    assert misses_allowed(44, PROMISE) == 1
    assert lower_threshold(scores, labels, PROMISE) == 0.1
    scores, labels = np.full(20, 0.7), np.arange(20) < 10
    assert upper_threshold(scores, labels, PROMISE) is None
    assert upper_threshold(scores, np.arange(20) < 19, PROMISE) == 0.7


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5), st.floats(-0.5, 0.5))
@settings(max_examples=40)
def test_a_calibration_that_keeps_the_order_keeps_the_images_called_absent(
    seed: int, slope: float, intercept: float
) -> None:
    """So that fitting it to the same patients costs the guarantee nothing: only the cap at 0.5 can call fewer."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1, 300)
    labels = rng.random(300) < expit(2 * odds)

    def absent(said: np.ndarray) -> np.ndarray:
        lo = lower_threshold(said, labels, PROMISE)
        return np.zeros(300, np.bool_) if lo is None else said <= lo

    uncapped = absent(expit(odds - 10))
    calibrated = expit(slope * odds + intercept)
    assert uncapped.any()
    np.testing.assert_array_equal(absent(calibrated), uncapped & (calibrated < 0.5))


def test_how_many_patients_are_needed_is_said_at_the_share_among_these() -> None:
    scores, labels = np.linspace(0.1, 0.4, 100), np.arange(100) < 10
    facts = gate_facts(scores, labels, Thresholds(None, None), PROMISE)
    assert (facts["positives_needed"], facts["patients_needed"]) == (22, 220)
    assert facts["lo_unsupported"] == (
        "10 positives; at least 22 are needed, with none missed: some 220 patients like these 100"
    )
    scores[-2:] = 0.6
    facts = gate_facts(scores, labels, Thresholds(None, None), PROMISE)
    assert facts["hi_unsupported"] == (
        "2 images reach a probability of 0.5; at least 4 are needed: some 200 patients like these 100"
    )
    enough = gate_facts(scores, np.arange(100) < 22, Thresholds(None, None), PROMISE)
    assert enough["patients_needed"] is None


def test_what_is_called_is_what_the_gate_decides() -> None:
    scores = np.linspace(0, 1, 21)
    for pair in (Thresholds(0.2, 0.7), Thresholds(None, 0.7), Thresholds(0.2, None), Thresholds(None, None)):
        absent, present = called(scores, pair)
        decisions = [pair.decide(score)[0].value for score in scores.tolist()]
        words = np.where(absent, "absent", np.where(present, "present", "deferred"))
        assert [d.lower() for d in decisions] == words.tolist()


def test_a_share_loses_no_digit_in_words() -> None:
    text = Promise(0.055, 0.5, 0.925).text
    assert "at most 5.5% of" in text
    assert "with 92.5% confidence" in text
