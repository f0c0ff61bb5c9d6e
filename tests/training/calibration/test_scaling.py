"""Fitting curves: against scipy and scikit-learn, and what must hold for every fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from candor.decide.calibration import IDENTITY, Beta, CalibrationKind, Isotonic, Line
from training.calibration.scaling import (
    FLAT,
    LEAST_SLOPE,
    PRIOR,
    Prior,
    fit_curve,
    line_with_slope,
    negative_log_likelihood,
    shared_slope,
    softened,
)

SEEDS = st.integers(0, 2**32 - 1)
Arrays = tuple[np.ndarray, np.ndarray]


def drawn(seed: int, images: int = 4000, slope: float = 0.5, intercept: float = -1.0) -> Arrays:
    """Logits, and labels whose true log-odds are ``slope * logit + intercept``."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, images)
    return logits, rng.random(images) < expit(slope * logits + intercept)


def fit_line(kind: CalibrationKind, logits: np.ndarray, labels: np.ndarray, prior: Prior = FLAT) -> Line:
    """Fit a kind that is a line."""
    curve = fit_curve(kind, logits, labels, prior)
    assert isinstance(curve, Line)
    return curve


def cross_entropy(odds: np.ndarray, targets: np.ndarray) -> float:
    """The loss, from scikit-learn's definition: each image as a positive and a negative with weights."""
    both, weights = np.r_[np.ones(len(odds)), np.zeros(len(odds))], np.r_[targets, 1 - targets]
    return float(log_loss(both, np.r_[expit(odds), expit(odds)], sample_weight=weights, normalize=False))


def logistic(features: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    """Scikit-learn's logistic regression without penalty on softened targets, as weights of two copies."""
    soft, images = softened(labels), len(labels)
    both, one = np.r_[features, features], np.r_[np.ones(images), np.zeros(images)]
    return LogisticRegression(C=np.inf, tol=1e-10, max_iter=20_000).fit(both, one, np.r_[soft, 1 - soft])


@settings(max_examples=25)
@given(SEEDS, st.integers(10, 300), st.floats(0.1, 5))
def test_the_temperature_is_scipys(seed: int, images: int, slope: float) -> None:
    logits, labels = drawn(seed, images, slope, 0.0)
    found = minimize_scalar(
        lambda s: cross_entropy(s * logits, softened(labels)), bounds=(LEAST_SLOPE, 50), options={"xatol": 1e-9}
    )
    line = fit_line(CalibrationKind.TEMPERATURE, logits, labels)
    assert line.slope == pytest.approx(found.x, abs=1e-4)
    assert line.intercept == 0


@settings(max_examples=25)
@given(SEEDS, st.integers(10, 200), st.floats(0.1, 5))
def test_platt_scaling_is_logistic_regression_on_softened_targets(seed: int, images: int, slope: float) -> None:
    logits, labels = drawn(seed, images, slope)
    line = fit_line(CalibrationKind.PLATT, logits, labels)
    theirs = logistic(logits[:, np.newaxis], labels)
    if theirs.coef_[0, 0] < LEAST_SLOPE + 1e-3:
        assert line.slope == pytest.approx(LEAST_SLOPE, abs=2e-3)
        return
    assert line.slope == pytest.approx(theirs.coef_[0, 0], abs=1e-3)
    assert line.intercept == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_beta_calibration_is_logistic_regression_on_both_logarithms() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, 6000)
    truth = Beta(0.6, 1.7, -0.4)
    labels = rng.random(6000) < expit(truth.log_odds(logits))
    curve = fit_curve(CalibrationKind.BETA, logits, labels, FLAT)
    assert isinstance(curve, Beta)
    p = expit(logits)
    theirs = logistic(np.stack([np.log(p), -np.log1p(-p)], axis=1), labels)
    assert (curve.a, curve.b) == pytest.approx(theirs.coef_[0], abs=1e-3)
    assert curve.c == pytest.approx(theirs.intercept_[0], abs=1e-3)
    assert (curve.a, curve.b, curve.c) == pytest.approx((truth.a, truth.b, truth.c), abs=0.2)


@settings(max_examples=30)
@given(SEEDS, st.integers(20, 300), st.floats(-2, 3))
def test_bounded_beta_calibration_is_as_good_as_scipys(seed: int, images: int, slope: float) -> None:
    logits, labels = drawn(seed, images, slope)
    curve, targets = fit_curve(CalibrationKind.BETA, logits, labels, FLAT), softened(labels)
    p = expit(logits)
    features = np.stack([np.log(p), -np.log1p(-p), np.ones(images)], axis=1)
    bounds = [(0, None), (0, None), (None, None)]
    theirs = minimize(lambda w: cross_entropy(features @ w, targets), [1, 1, 0], bounds=bounds, method="L-BFGS-B")
    assert isinstance(curve, Beta)
    assert max(curve.a, curve.b) >= LEAST_SLOPE
    if max(theirs.x[:2]) > 2 * LEAST_SLOPE:
        assert cross_entropy(curve.log_odds(logits), targets) <= theirs.fun + 1e-3


def test_beta_calibration_that_needs_a_bound_takes_it() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 4000)
    for truth in (Beta(0.0, 1.5, -1.0), Beta(1.5, 0.0, 1.0)):
        bent = truth.log_odds(logits) + 0.2 * (np.logaddexp(0, -logits) if truth.a == 0 else -np.logaddexp(0, logits))
        curve = fit_curve(CalibrationKind.BETA, logits, rng.random(4000) < expit(bent), FLAT)
        assert isinstance(curve, Beta)
        assert (curve.a == 0, curve.b == 0) == (truth.a == 0, truth.b == 0)


@settings(max_examples=25)
@given(SEEDS, st.integers(2, 300), st.booleans())
def test_the_isotonic_steps_are_scikit_learns(seed: int, images: int, ties: bool) -> None:
    logits, labels = drawn(seed, images)
    logits = np.round(logits) if ties else logits
    curve = fit_curve(CalibrationKind.ISOTONIC, logits, labels)
    assert isinstance(curve, Isotonic)
    steps = IsotonicRegression().fit(logits, softened(labels)).predict(logits)
    levels = np.unique(np.round(steps, 9))
    np.testing.assert_allclose(expit(curve.values), levels, atol=1e-8)
    centres = [logits[np.round(steps, 9) == level].mean() for level in levels]
    np.testing.assert_allclose(curve.logits, centres, atol=1e-9)


@settings(max_examples=20)
@given(SEEDS, st.integers(20, 300), st.floats(0.2, 3), st.sampled_from(["platt", "beta"]))
def test_the_prior_is_a_normal_one_around_the_logits_as_they_are(
    seed: int, images: int, slope: float, kind: str
) -> None:
    logits, labels = drawn(seed, images, slope)
    p, ones = expit(logits), np.ones(images)
    columns = [logits, ones] if kind == "platt" else [np.log(p), -np.log1p(-p), ones]
    features, targets = np.stack(columns, axis=1), softened(labels)
    around = np.asarray([1.0] * (len(columns) - 1) + [0.0])
    spread = np.where(around == 1, PRIOR.slope, PRIOR.intercept)

    def loss(w: np.ndarray) -> float:
        return cross_entropy(features @ w, targets) + float((((w - around) / spread) ** 2).sum() / 2)

    theirs = minimize(loss, around, bounds=[(0, None)] * (len(around) - 1) + [(None, None)], method="L-BFGS-B")
    curve = fit_curve(CalibrationKind(kind), logits, labels)
    np.testing.assert_allclose(curve.log_odds(logits), features @ theirs.x, atol=2e-2)


def test_the_prior_counts_for_little_among_many() -> None:
    apart = []
    for images in (60, 60_000):
        fits = [fit_line(CalibrationKind.PLATT, *drawn(1, images), prior) for prior in (PRIOR, FLAT)]
        assert abs(fits[0].intercept) < abs(fits[1].intercept)
        apart.append(abs(fits[0].intercept - fits[1].intercept))
    assert apart[0] > 0.1 > 0.01 > apart[1]


def test_isotonic_log_odds_are_bounded_by_the_counts() -> None:
    labels = np.arange(30) >= 15
    curve = fit_curve(CalibrationKind.ISOTONIC, np.linspace(-9, 9, 30), labels)
    said = expit(curve.log_odds(np.asarray([-100.0, 100.0])))
    assert said == pytest.approx([1 / 17, 16 / 17])


def test_the_truth_is_found() -> None:
    line = fit_line(CalibrationKind.PLATT, *drawn(0, 200_000))
    assert (line.slope, line.intercept) == pytest.approx((0.5, -1.0), abs=0.02)
    no_intercept = drawn(1, 200_000, slope=0.3, intercept=0)
    assert fit_line(CalibrationKind.TEMPERATURE, *no_intercept).slope == pytest.approx(0.3, abs=0.01)


@settings(max_examples=60)
@given(SEEDS, st.integers(2, 80), st.floats(-5, 5), st.sampled_from(CalibrationKind))
def test_every_fit_is_finite_and_keeps_the_order(seed: int, images: int, slope: float, kind: CalibrationKind) -> None:
    logits, labels = drawn(seed, images, slope)
    curve = fit_curve(kind, logits, labels)
    assert curve.kind is kind
    odds = curve.log_odds(np.linspace(-20, 20, 50))
    assert np.isfinite(odds).all()
    assert np.all(np.diff(odds) >= 0)


@pytest.mark.parametrize("kind", CalibrationKind)
def test_an_unknown_label_is_an_image_left_out(kind: CalibrationKind) -> None:
    logits, labels = drawn(3, 300)
    unknown = labels.astype(np.float64)
    unknown[::3] = np.nan
    known = ~np.isnan(unknown)
    assert fit_curve(kind, logits, unknown) == fit_curve(kind, logits[known], labels[known])
    assert fit_curve(kind, logits, np.full(300, np.nan)) is IDENTITY


@pytest.mark.parametrize("labels", [np.zeros(30, np.bool_), np.ones(30, np.bool_), np.arange(30) >= 15])
def test_one_class_and_separable_data_stay_finite(labels: np.ndarray) -> None:
    logits = np.linspace(-9, 9, 30)
    for kind in (CalibrationKind.PLATT, CalibrationKind.BETA, CalibrationKind.ISOTONIC):
        odds = fit_curve(kind, logits, labels, FLAT).log_odds(logits)
        assert np.isfinite(odds).all()
        assert expit(odds).mean() == pytest.approx(softened(labels).mean(), abs=0.02)


def test_logits_that_point_the_wrong_way_get_the_least_slope() -> None:
    logits, labels = drawn(0)
    line = fit_line(CalibrationKind.PLATT, -logits, labels)
    assert line.slope == LEAST_SLOPE
    assert expit(line.log_odds(-logits)).mean() == pytest.approx(softened(labels).mean(), abs=1e-6)
    assert fit_line(CalibrationKind.TEMPERATURE, -logits, labels).slope == LEAST_SLOPE
    beta = fit_curve(CalibrationKind.BETA, -logits, labels, FLAT)
    np.testing.assert_allclose(beta.log_odds(logits), line.log_odds(logits), atol=1e-9)
    assert len(fit_curve(CalibrationKind.ISOTONIC, np.sort(logits), ~np.sort(labels)).log_odds(logits)) == 4000


@settings(max_examples=25)
@given(SEEDS, st.floats(0.1, 3))
def test_an_intercept_alone_matches_the_share(seed: int, slope: float) -> None:
    logits, labels = drawn(seed, 50)
    line = line_with_slope(slope, logits, labels)
    assert line.slope == slope
    assert expit(line.log_odds(logits)).mean() == pytest.approx(softened(labels).mean(), abs=1e-6)


def test_a_rare_findings_count_mostly_cancels_out_at_the_assumed_prevalence() -> None:
    logits, labels = drawn(5, 4000, slope=1, intercept=-5)
    positive = np.flatnonzero(labels)
    fitted, assumed = [], []
    for kept in (positive, positive[::2]):
        fewer = np.isin(np.arange(len(labels)), kept)
        line = line_with_slope(1.0, logits, fewer)
        fitted.append(line.intercept)
        assumed.append(line.intercept + logit(0.01) - logit(softened(fewer).mean()))
    assert abs(fitted[0] - fitted[1]) > 0.7 > 0.2 > abs(assumed[0] - assumed[1])


def test_one_slope_is_shared_across_intercepts() -> None:
    columns = [drawn(k, 50_000, slope=0.7, intercept=b) for k, b in enumerate((-3.0, 0.0, 1.0))]
    logits, labels = (np.stack(part, axis=1) for part in zip(*columns, strict=True))
    assert shared_slope(logits, labels) == pytest.approx(0.7, abs=0.02)
    unknown = labels.astype(np.float64)
    unknown[:25_000, 1] = np.nan
    assert shared_slope(logits, unknown) == pytest.approx(0.7, abs=0.02)
    assert shared_slope(-logits, labels) == LEAST_SLOPE


def test_the_likelihood_is_scikit_learns() -> None:
    logits, labels = drawn(0, 100)
    assert negative_log_likelihood(labels, expit(logits)) == pytest.approx(log_loss(labels, expit(logits)), abs=1e-12)
    assert np.isfinite(negative_log_likelihood(np.asarray([True]), np.asarray([0.0])))
    unknown = np.where(np.arange(100) < 50, labels.astype(np.float64), np.nan)
    assert negative_log_likelihood(unknown, expit(logits)) == negative_log_likelihood(labels[:50], expit(logits[:50]))
    assert np.isnan(negative_log_likelihood(np.asarray([np.nan]), np.asarray([0.5])))
