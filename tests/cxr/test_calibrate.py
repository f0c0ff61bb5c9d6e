"""Calibrated probabilities: the formulas against independent ones, and what must hold for every map."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from cxr.calibrate import Calibration, CalibrationKind, LogitMap, log_odds, sigmoid
from cxr.findings import Finding

SHARES = st.floats(1e-4, 1 - 1e-4)
SLOPES = st.floats(0.05, 20)
LOGITS = st.floats(-40, 40)


def calibration(*maps: LogitMap) -> Calibration:
    """A calibration of as many findings as there are maps."""
    return Calibration(dict(zip(Finding, maps, strict=False)), "made up")


def platt(slope: float, intercept: float, fitted: float, assumed: float) -> LogitMap:
    """A Platt map."""
    return LogitMap(CalibrationKind.PLATT, slope, intercept, fitted, assumed)


@given(st.floats(1e-12, 1 - 1e-12))
def test_log_odds_are_scipys_logit(probability: float) -> None:
    assert log_odds(probability) == pytest.approx(float(logit(probability)), rel=1e-12, abs=1e-12)


@given(st.floats(-800, 800))
def test_sigmoid_is_scipys_expit_and_never_overflows(odds: float) -> None:
    with np.errstate(all="raise", under="ignore"):
        assert sigmoid(np.asarray([odds]))[0] == pytest.approx(float(expit(odds)), rel=1e-12, abs=1e-300)


@given(LOGITS, SLOPES, st.floats(-5, 5), SHARES, SHARES)
def test_the_prior_shift_is_bayes_rule(z: float, slope: float, intercept: float, fitted: float, assumed: float) -> None:
    before = float(expit(slope * z + intercept))
    present, absent = before * assumed / fitted, (1 - before) * (1 - assumed) / (1 - fitted)
    after = calibration(platt(slope, intercept, fitted, assumed)).probabilities(np.float32([[z]]))
    exact = float(expit(slope * float(np.float32(z)) + intercept))
    if 1e-9 < exact < 1 - 1e-9:
        assert after[0, 0] == pytest.approx(present / (present + absent), rel=1e-4)


@given(LOGITS, SLOPES, st.floats(-5, 5), SHARES)
def test_an_equal_prevalence_shifts_nothing(z: float, slope: float, intercept: float, share: float) -> None:
    logits = np.float32([[z]])
    given_back = calibration(platt(slope, intercept, share, share)).probabilities(logits)
    np.testing.assert_allclose(given_back, expit(slope * logits.astype(np.float64) + intercept), rtol=1e-12)


@given(st.lists(LOGITS, min_size=2, max_size=9), SLOPES, SHARES, SHARES)
def test_the_order_of_images_stays(logits: list[float], slope: float, fitted: float, assumed: float) -> None:
    column = np.sort(np.float32(logits))[:, np.newaxis]
    probabilities = calibration(platt(slope, 0.5, fitted, assumed)).probabilities(column)
    assert np.all(np.diff(probabilities[:, 0]) >= 0)
    assert np.all((probabilities >= 0) & (probabilities <= 1))


def test_each_finding_has_its_own_map() -> None:
    maps = calibration(platt(1, 0, 0.5, 0.5), platt(2, 1, 0.5, 0.1))
    logits = np.float32([[[0.3, -0.4]], [[1.0, 2.0]]])
    probabilities = maps.probabilities(logits)
    assert probabilities.shape == logits.shape
    assert probabilities.dtype == np.float64
    for k, (slope, offset) in enumerate(((1, 0), (2, 1 + math.log(1 / 9)))):
        expected = expit(slope * logits[..., k].astype(np.float64) + offset)
        np.testing.assert_allclose(probabilities[..., k], expected, rtol=1e-12)


@pytest.mark.parametrize("slope", [0.0, -1.0, math.nan, math.inf])
def test_a_slope_that_turns_the_order_is_refused(slope: float) -> None:
    with pytest.raises(ValueError, match="slope must be positive and finite"):
        platt(slope, 0, 0.5, 0.5)


@pytest.mark.parametrize("intercept", [math.nan, math.inf])
def test_an_intercept_that_is_no_number_is_refused(intercept: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        platt(1, intercept, 0.5, 0.5)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, math.nan])
@pytest.mark.parametrize("position", [0, 1])
def test_a_prevalence_without_odds_is_refused(share: float, position: int) -> None:
    shares = [0.5, 0.5]
    shares[position] = share
    with pytest.raises(ValueError, match="a prevalence lies between 0 and 1"):
        platt(1, 0, *shares)
