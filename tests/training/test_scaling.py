"""Fitting the calibration: against scikit-learn, against its own promises, and on patients left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from cxr.calibrate import CalibrationKind
from training.calibrate import calibration_figures, cross_validated, fit_lines
from training.scaling import (
    FEWEST_POSITIVES,
    LEAST_SLOPE,
    chosen_line,
    fit_line,
    folds_of,
    line_with_slope,
    negative_log_likelihood,
    shared_slope,
    softened,
)

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int, images: int = 4000, slope: float = 0.5, intercept: float = -1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels whose true log-odds are ``slope * logit + intercept``."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, images)
    return logits, rng.random(images) < expit(slope * logits + intercept)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(10, 200), st.floats(0.1, 5))
def test_platt_scaling_is_logistic_regression_on_softened_targets(seed: int, images: int, slope: float) -> None:
    logits, labels = drawn(seed, images, slope)
    line = fit_line(CalibrationKind.PLATT, logits, labels)
    if line.slope == LEAST_SLOPE:
        return
    soft = softened(labels)
    both, one = np.r_[logits, logits][:, np.newaxis], np.r_[np.ones(images), np.zeros(images)]
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(both, one, np.r_[soft, 1 - soft])
    assert line.slope == pytest.approx(theirs.coef_[0, 0], abs=1e-3)
    assert line.intercept == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_the_truth_is_found() -> None:
    logits, labels = drawn(0, 200_000)
    line = fit_line(CalibrationKind.PLATT, logits, labels)
    assert (line.slope, line.intercept) == pytest.approx((0.5, -1.0), abs=0.02)
    no_intercept = drawn(1, 200_000, slope=0.3, intercept=0)
    assert fit_line(CalibrationKind.TEMPERATURE, *no_intercept).slope == pytest.approx(0.3, abs=0.01)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(2, 80), st.floats(-5, 5), st.sampled_from(CalibrationKind))
def test_every_fit_is_finite_and_keeps_the_order(seed: int, images: int, slope: float, kind: CalibrationKind) -> None:
    logits, labels = drawn(seed, images, slope)
    line = fit_line(kind, logits, labels)
    assert np.isfinite([line.slope, line.intercept]).all()
    assert line.slope >= LEAST_SLOPE


@pytest.mark.parametrize("labels", [np.zeros(30, np.bool_), np.ones(30, np.bool_), np.arange(30) >= 15])
def test_one_class_and_separable_data_stay_finite(labels: np.ndarray) -> None:
    logits = np.linspace(-9, 9, 30)
    line = fit_line(CalibrationKind.PLATT, logits, labels)
    assert np.isfinite([line.slope, line.intercept]).all()
    assert line.probabilities(logits).mean() == pytest.approx(softened(labels).mean(), abs=1e-6)


def test_logits_that_point_the_wrong_way_get_the_least_slope() -> None:
    logits, labels = drawn(0)
    line = fit_line(CalibrationKind.PLATT, -logits, labels)
    assert line.slope == LEAST_SLOPE
    assert line.probabilities(-logits).mean() == pytest.approx(softened(labels).mean(), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(0.1, 3))
def test_an_intercept_alone_matches_the_share(seed: int, slope: float) -> None:
    logits, labels = drawn(seed, 50)
    line = line_with_slope(slope, logits, labels)
    assert line.slope == slope
    assert line.probabilities(logits).mean() == pytest.approx(softened(labels).mean(), abs=1e-6)


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


@pytest.mark.parametrize(
    ("slope", "intercept", "kind"),
    [(1.0, 0.0, CalibrationKind.IDENTITY), (0.3, 0.0, CalibrationKind.TEMPERATURE), (0.3, -2.0, CalibrationKind.PLATT)],
)
def test_the_kind_is_the_one_that_the_data_need(slope: float, intercept: float, kind: CalibrationKind) -> None:
    chosen = [chosen_line(*drawn(seed, 3000, slope, intercept), folds=np.arange(3000) % 5).kind for seed in range(15)]
    assert chosen.count(kind) > len(chosen) / 2


def test_the_likelihood_is_scikit_learns() -> None:
    logits, labels = drawn(0, 100)
    assert negative_log_likelihood(labels, expit(logits)) == pytest.approx(log_loss(labels, expit(logits)), abs=1e-12)
    assert np.isfinite(negative_log_likelihood(np.asarray([True]), np.asarray([0.0])))


def test_folds_keep_patients_together_and_do_not_depend_on_order() -> None:
    patients = np.asarray([f"p{k % 40}" for k in range(100)])
    folds = folds_of(patients)
    assert {len(set(folds[patients == p])) for p in patients} == {1}
    assert set(folds) == set(range(5))
    assert np.array_equal(folds_of(patients[::-1]), folds[::-1])


def test_cross_validated_probabilities_never_saw_their_patient() -> None:
    rng = np.random.default_rng(0)
    patients = np.asarray([f"p{k // 2}" for k in range(200)])
    logits = rng.normal(size=(200, 2))
    labels = rng.random((200, 2)) < 0.3
    before = cross_validated(logits, labels, patients)
    mine = patients == "p3"
    labels[mine] = ~labels[mine]
    after = cross_validated(logits, labels, patients)
    assert np.array_equal(before[mine], after[mine])
    assert not np.array_equal(before, after)


def test_a_rare_finding_takes_the_slope_of_the_others() -> None:
    common = drawn(0, 600, slope=0.4, intercept=0.3)
    rare = drawn(1, 600, slope=0.4, intercept=-9)
    logits, labels = (np.stack(part, axis=1) for part in zip(common, rare, strict=True))
    assert labels[:, 1].sum() < FEWEST_POSITIVES <= labels[:, 0].sum()
    patients = np.asarray([str(k) for k in range(600)])
    assert fit_lines(logits, labels, patients)[1].slope == shared_slope(logits[:, :1], labels[:, :1])
    assert fit_lines(logits[:, 1:], labels[:, 1:], patients)[0].slope == 1


def test_calibration_helps_where_the_network_is_too_sure() -> None:
    logits, labels = drawn(0, 2000, slope=0.3, intercept=0.0)
    after = cross_validated(logits[:, np.newaxis], labels[:, np.newaxis], np.arange(2000).astype(str))[:, 0]
    raw, calibrated = calibration_figures(labels, expit(logits)), calibration_figures(labels, after)
    assert all(calibrated[name] < raw[name] for name in ("nll", "ece", "brier"))


def partly_known(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of three findings; each is unknown on other pictures, and the last on all."""
    columns = [drawn(k, 400, slope=0.6, intercept=b) for k, b in enumerate((-2.0, 0.5, 0.0))]
    logits, labels = (np.stack(part, axis=1) for part in zip(*columns, strict=True))
    hidden = np.random.default_rng(seed).random(labels.shape) < [0.2, 0.5, 1.0]
    return logits, np.where(hidden, np.nan, labels)


def test_a_shared_slope_with_unknown_labels_is_logistic_regression_on_the_known_places() -> None:
    logits, labels = (part[:, :2] for part in partly_known())
    known = ~np.isnan(labels)
    own = [np.full((known[:, k].sum(), 2), np.eye(2)[k]) for k in range(2)]  # each finding's intercept
    features = np.concatenate([np.c_[logits[known[:, k], k], own[k]] for k in range(2)])
    soft = np.concatenate([softened(labels[known[:, k], k]) for k in range(2)])
    both, one = np.r_[features, features], np.r_[np.ones(len(soft)), np.zeros(len(soft))]
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000, fit_intercept=False)
    theirs.fit(both, one, np.r_[soft, 1 - soft])
    assert shared_slope(logits, labels) == pytest.approx(theirs.coef_[0, 0], abs=1e-4)


def test_every_finding_is_fitted_to_its_known_pictures_alone() -> None:
    logits, labels = partly_known()
    patients = np.asarray([str(k) for k in range(len(labels))])
    lines = fit_lines(logits, labels, patients)
    for k in range(2):
        known = ~np.isnan(labels[:, k])
        alone = fit_lines(logits[known][:, [k]], labels[known][:, [k]] > 0, patients[known])
        assert lines[k] == alone[0]
    assert lines[2] is None


def test_what_nobody_knows_keeps_the_networks_own_probabilities() -> None:
    logits, labels = partly_known()
    after = cross_validated(logits, labels, np.asarray([str(k) for k in range(len(labels))]))
    np.testing.assert_allclose(after[:, 2], expit(logits[:, 2]))
    assert not np.allclose(after[:, 0], expit(logits[:, 0]), atol=1e-2)


def test_softened_targets_leave_unknown_labels_unknown() -> None:
    labels = np.asarray([1.0, np.nan, 0.0, 0.0])
    np.testing.assert_allclose(softened(labels), [2 / 3, np.nan, 1 / 4, 1 / 4])
