"""Calibrated probabilities: the formulas against independent ones, and what must hold for every map."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from candor.decide.calibration import (
    IDENTITY,
    Band,
    Beta,
    Calibration,
    CalibrationKind,
    Curve,
    Isotonic,
    Line,
    LogitMap,
    Origin,
    log_odds,
    sigmoid,
)
from candor.study.findings import Finding

SHARES = st.floats(1e-4, 1 - 1e-4)
SLOPES = st.floats(0.05, 20)
LOGITS = st.floats(-40, 40)


def calibration(*maps: LogitMap) -> Calibration:
    """A calibration of as many findings as there are maps."""
    return Calibration(dict(zip(Finding, maps, strict=False)), "made up")


def platt(slope: float, intercept: float, fitted: float, assumed: float) -> LogitMap:
    """A Platt map."""
    return LogitMap(Line(CalibrationKind.PLATT, slope, intercept), fitted, assumed)


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
    plain = expit(slope * logits.astype(np.float64) + intercept)
    np.testing.assert_allclose(given_back, plain, rtol=1e-12, atol=1e-300)  # subnormal numbers are not exact


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


STEPS = Isotonic((-3.0, -1.0, 0.5, 4.0), (-4.0, -2.5, -2.0, 3.0))
CURVES = (IDENTITY, Line(CalibrationKind.TEMPERATURE, 0.3, 0.0), Beta(0.7, 2.0, -1.0), Beta(0.0, 1.5, 0.2), STEPS)


@given(st.floats(-15, 15), st.floats(0.0, 5), st.floats(0.01, 5), st.floats(-5, 5))
def test_a_beta_curve_is_kulls_formula(z: float, a: float, b: float, c: float) -> None:
    p = expit(z)
    exact = a * np.log(p) - b * np.log1p(-p) + c
    assert Beta(a, b, c).log_odds(np.asarray([z]))[0] == pytest.approx(exact, rel=1e-6, abs=1e-6)


def test_an_isotonic_curve_is_straight_between_its_knots_and_level_beyond() -> None:
    given_back = STEPS.log_odds(np.asarray([[-9.0, -3.0, -2.0], [0.5, 2.25, 9.0]]))
    np.testing.assert_allclose(given_back, [[-4.0, -4.0, -3.25], [-2.0, 0.5, 3.0]], rtol=1e-12)


@pytest.mark.parametrize("curve", CURVES)
def test_every_curve_keeps_the_order_strictly_between_its_ends(curve: Curve) -> None:
    logits = np.linspace(-2.9, 3.9, 400)
    assert np.all(np.diff(curve.log_odds(logits)) > 0)
    assert np.all(np.diff(curve.log_odds(np.linspace(-700, 700, 400))) >= 0)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("assumed", [1e-4, 0.1, 1 - 1e-4])
def test_every_curve_gives_a_probability_at_any_prevalence(curve: Curve, assumed: float) -> None:
    logits = np.asarray([[-700.0], [-1.0], [0.0], [3.0], [700.0]])
    said = calibration(LogitMap(curve, 0.3, assumed)).probabilities(logits)
    assert np.all((said >= 0) & (said <= 1))
    exact = expit(curve.log_odds(logits) + logit(assumed) - logit(0.3))
    np.testing.assert_allclose(said, exact, rtol=1e-9, atol=1e-300)


def test_all_kinds_stand_side_by_side() -> None:
    maps = calibration(*(LogitMap(curve, 0.2, 0.2) for curve in CURVES))
    logits = np.random.default_rng(0).normal(size=(3, 7, len(CURVES)))
    for k, curve in enumerate(CURVES):
        np.testing.assert_array_equal(maps.log_odds(logits)[..., k], curve.log_odds(logits[..., k]))
    assert [m.kind.value for m in maps.maps.values()] == ["identity", "temperature", "beta", "beta", "isotonic"]


def test_the_shift_holds_where_the_prevalence_was_changed_by_drawing_the_images() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(400_000) < 0.3
    logits = rng.normal(np.where(truth, 1.0, -1.0), 1.0)[:, np.newaxis]
    exact = Line(CalibrationKind.PLATT, 2.0, float(logit(0.3)))  # of two normal curves two apart
    rare = ~truth | (rng.random(len(truth)) < 0.1)
    share = float(truth[rare].mean())
    said = calibration(LogitMap(exact, 0.3, share)).probabilities(logits[rare])[:, 0]
    for low, high in ((0, 0.02), (0.02, 0.1), (0.1, 0.4), (0.4, 0.9)):
        chosen = (said >= low) & (said < high)
        assert said[chosen].mean() == pytest.approx(truth[rare][chosen].mean(), rel=0.05)


@pytest.mark.parametrize("values", [(-1, 1, 0), (1, -0.1, 0), (0, 0, 0), (math.nan, 1, 0), (1, 1, math.inf)])
def test_a_beta_curve_that_turns_the_order_is_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="a and b must be 0 or more"):
        Beta(*values)


@pytest.mark.parametrize(
    ("logits", "values", "problem"),
    [
        ((), (), "as many logits"),
        ((0.0,), (0.0, 1.0), "as many logits"),
        ((0.0, 0.0), (0.0, 1.0), "finite and rise"),
        ((0.0, 1.0), (0.0, 0.0), "finite and rise"),
        ((1.0, 0.0), (0.0, 1.0), "finite and rise"),
        ((0.0, 1.0), (0.0, math.inf), "finite and rise"),
        ((math.nan, 1.0), (0.0, 1.0), "finite and rise"),
    ],
)
def test_knots_that_do_not_rise_are_refused(logits: tuple[float, ...], values: tuple[float, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Isotonic(logits, values)


def test_a_line_is_no_other_kind() -> None:
    with pytest.raises(ValueError, match="a line is identity, temperature or platt, not beta"):
        Line(CalibrationKind.BETA, 1.0, 0.0)


def test_an_origin_reads_as_site_day_and_number() -> None:
    assert str(Origin("St Elsewhere", date(2026, 1, 2), 1234)) == "St Elsewhere, 2026-01-02, 1,234 images"


KNOTS = (-2.0, 0.0, 3.0)
BAND = Band(KNOTS, (0.5, 0.2, 1.0), (0.4, 0.3, 2.0))


@given(st.floats(-30, 30), SHARES)
def test_an_interval_holds_its_probability_at_any_prevalence(z: float, assumed: float) -> None:
    map_ = LogitMap(Line(CalibrationKind.PLATT, 0.8, -0.3), 0.2, assumed, BAND)
    interval = map_.interval(z)
    assert interval is not None
    assert 0 <= interval.low <= calibration(map_).probabilities(np.float64([[z]]))[0, 0] <= interval.high <= 1


@given(st.sampled_from(range(3)), SHARES)
def test_at_a_knot_an_interval_reaches_as_far_as_it_says(k: int, assumed: float) -> None:
    map_ = LogitMap(IDENTITY, 0.2, assumed, BAND)
    interval = map_.interval(KNOTS[k])
    assert interval is not None
    centre = KNOTS[k] + map_.shift
    assert interval.low == pytest.approx(float(expit(centre - BAND.below[k])), rel=1e-9)
    assert interval.high == pytest.approx(float(expit(centre + BAND.above[k])), rel=1e-9)


def test_an_interval_is_interpolated_and_keeps_its_width_beyond_its_knots() -> None:
    assert BAND.around(1.5, 0.0) == pytest.approx((float(expit(-0.6)), float(expit(1.15))))
    assert BAND.around(99.0, 4.0) == pytest.approx((float(expit(3.0)), float(expit(6.0))))
    assert LogitMap(IDENTITY, 0.2, 0.2).interval(1.0) is None


@pytest.mark.parametrize(
    ("knots", "below", "above", "says"),
    [
        ((), (), (), "at least one"),
        ((0.0, 1.0), (0.1,), (0.1, 0.1), "as many"),
        ((1.0, 1.0), (0.1, 0.1), (0.1, 0.1), "must rise"),
        ((0.0,), (math.inf,), (0.1,), "finite"),
        ((0.0,), (-0.1,), (0.1,), "hold its probability"),
    ],
)
def test_an_interval_that_cannot_be_is_refused(
    knots: tuple[float, ...], below: tuple[float, ...], above: tuple[float, ...], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Band(knots, below, above)


def test_a_site_sets_the_prevalence_of_the_findings_that_it_names() -> None:
    shipped = calibration(platt(0.7, -0.2, 0.3, 0.1), platt(0.7, -0.2, 0.3, 0.1))
    first, second = shipped.maps
    site = shipped.at_prevalence({first: 0.4, Finding.HERNIA: 0.5})
    assert site.maps[first].assumed_prevalence == 0.4
    assert site.maps[second] == shipped.maps[second]
    logits = np.float64([[1.2, 1.2]])
    before, after = shipped.probabilities(logits)[0], site.probabilities(logits)[0]
    odds = [p / (1 - p) for p in (before[0], after[0])]
    assert odds[1] / odds[0] == pytest.approx((0.4 / 0.6) / (0.1 / 0.9))
    assert after[1] == before[1]
    assert site.description == f"made up; the site sets that of {first.label} (40%)"
    assert shipped.at_prevalence({Finding.HERNIA: 0.5}) is shipped
