"""Intervals of the calibrated probabilities: they hold the truth as often as they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from candor.decide.calibration import Band, CalibrationKind, Line, LogitMap, log_odds
from tests.bundles import THREE
from tests.training.calibration.test_calibrate import site
from training.calibration.choice import share_of
from training.calibration.intervals import intervals
from training.calibration.scaling import FLAT, fit_curve
from training.predictions.table import Predictions

ONE = THREE[:1]
TRUTH = Line(CalibrationKind.PLATT, 0.9, -0.8)


SHARE = float(expit(TRUTH.log_odds(np.random.default_rng(9).normal(0, 1.5, 100_000))).mean())
"""The prevalence at which the truth stands."""


def cases(seed: int, patients: int) -> Predictions:
    """Two images of each patient, of one finding whose true log-odds are a line."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (2 * patients, 1))
    labels = (rng.random(logits.shape) < expit(TRUTH.log_odds(logits))).astype(np.float64)
    names = np.asarray([f"i{k}" for k in range(len(logits))])
    return Predictions("made", ONE, names, np.asarray([f"p{k // 2}" for k in range(len(logits))]), labels, logits)


def fitted(given: Predictions, assumed: float | None = None) -> LogitMap:
    curve = fit_curve(CalibrationKind.PLATT, given.logits[:, 0], given.labels[:, 0])
    share = share_of(given.labels[:, 0])
    return LogitMap(curve, share, share if assumed is None else assumed)


def band(given: Predictions, m: LogitMap, kept: LogitMap | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found = intervals(given, [kept], {ONE[0]: m}, resamples=60)[ONE[0]]
    return tuple(np.asarray(found[name]) for name in ("logits", "low", "high"))  # type: ignore[return-value]


def test_the_truth_lies_within_about_as_often_as_is_said() -> None:
    inside = []
    for seed in range(40):
        given = cases(seed, 200)
        knots, low, high = band(given, fitted(given))
        truth = expit(TRUTH.log_odds(knots) + log_odds(share_of(given.labels[:, 0])) - log_odds(SHARE))
        inside.append((low <= truth) & (truth <= high))
    assert np.mean(inside) == pytest.approx(0.9, abs=0.08)


def test_it_holds_its_own_curve_rises_and_shrinks_with_more_patients() -> None:
    widths = []
    for patients in (60, 960):
        given = cases(1, patients)
        m = fitted(given)
        knots, low, high = band(given, m)
        own = expit(m.curve.log_odds(knots))
        assert ((low <= own) & (own <= high)).mean() > 0.9
        assert (np.diff(knots) > 0).all()
        assert (np.diff(low) >= 0).all()
        assert (np.diff(high) >= 0).all()
        assert ((low > 0) & (high < 1) & (low < high)).all()
        widths.append((high - low).mean())
    assert widths[1] < widths[0] / 2.5


def test_it_is_at_the_assumed_prevalence() -> None:
    given = cases(2, 300)
    m = fitted(given)
    rare = replace(m, assumed_prevalence=0.01)
    (_, low, high), (_, low_rare, high_rare) = band(given, m), band(given, rare)
    shift = log_odds(0.01) - log_odds(m.fitted_prevalence)
    centre = (logit(low) + logit(high)) / 2
    assert ((logit(low_rare) + logit(high_rare)) / 2 - centre).mean() == pytest.approx(shift, abs=0.05)


def test_a_kept_map_keeps_the_interval_of_its_own_fit() -> None:
    given = cases(3, 150)
    of_its_own = Band((-1.0, 0.0, 2.0), (0.1, 0.2, 0.4), (0.3, 0.2, 0.1))
    kept = LogitMap(TRUTH, 0.4, 0.1, of_its_own)
    m = replace(kept, assumed_prevalence=0.02)
    knots, low, high = band(given, m, kept)
    centre = TRUTH.log_odds(knots) + m.shift
    np.testing.assert_array_equal(knots, of_its_own.logits)
    np.testing.assert_allclose(centre - logit(low), of_its_own.below, atol=1e-3)
    np.testing.assert_allclose(logit(high) - centre, of_its_own.above, atol=1e-3)


def test_a_kept_map_without_one_has_as_wide_a_one_as_a_new_map() -> None:
    given = cases(3, 150)
    new = fitted(given)
    (_, low, high), (_, low_kept, high_kept) = band(given, new), band(given, replace(new), replace(new))
    np.testing.assert_array_equal(low, low_kept)
    np.testing.assert_array_equal(high, high_kept)


def test_few_positives_have_wide_intervals_and_unknown_findings_none() -> None:
    given = site()
    given.labels[:, 1] = np.nan
    maps = {
        f: LogitMap(fit_curve(CalibrationKind.PLATT, given.logits[:, k], given.labels[:, k], FLAT), 0.3, 0.3)
        for k, f in enumerate(THREE)
    }
    maps[THREE[2]] = LogitMap(Line(CalibrationKind.PLATT, 1.0, -5.0), share_of(given.labels[:, 2]), 0.01)
    found = intervals(given, [None] * 3, maps, resamples=30)
    assert set(found) == {THREE[0], THREE[2]}
    width = {f: np.mean(logit(found[f]["high"]) - logit(found[f]["low"])) for f in found}
    assert width[THREE[2]] > 2 * width[THREE[0]]
