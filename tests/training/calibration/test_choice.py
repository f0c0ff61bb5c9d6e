"""Choosing the kind of a calibration: what the data need, on patients left out, and nothing where nothing helps."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.special import expit

from candor.decide.calibration import IDENTITY, Beta, CalibrationKind, Curve, Line, LogitMap
from tests.training.calibration.test_scaling import drawn
from training.calibration.choice import (
    FEWEST_DONORS,
    FEWEST_POSITIVES,
    GOAL,
    chosen_map,
    cross_validated,
    enough,
    fit_maps,
    has_slope_of_others,
)
from training.calibration.scaling import FLAT, PRIOR, fit_curve, line_with_slope, shared_slope
from training.statistics.metrics import calibration_errors, calibration_floors

TEMPERED = Line(CalibrationKind.TEMPERATURE, 0.4, 0.0)


def names(count: int) -> np.ndarray:
    """As many patients, each with one image."""
    return np.asarray([str(k) for k in range(count)])


def floats(labels: np.ndarray) -> np.ndarray:
    """Labels as numbers."""
    return labels.astype(np.float64)


@pytest.mark.parametrize(
    ("truth", "kinds"),
    [
        (IDENTITY, {CalibrationKind.IDENTITY}),
        (TEMPERED, {CalibrationKind.TEMPERATURE}),
        (Line(CalibrationKind.PLATT, 0.3, -2.0), {CalibrationKind.PLATT}),
        (Beta(0.2, 3.0, -1.0), {CalibrationKind.BETA, CalibrationKind.ISOTONIC}),
    ],
)
def test_the_kind_chosen_most_often_is_the_one_that_the_data_need(truth: Curve, kinds: set[CalibrationKind]) -> None:
    chosen = []
    for seed in range(9):
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 2, 3000)
        labels = floats(rng.random(3000) < expit(truth.log_odds(logits)))
        chosen.append(chosen_map(logits, labels, names(3000)).kind)
    assert Counter(chosen).most_common(1)[0][0] in kinds


def test_slack_takes_what_fits_less() -> None:
    order = list(CalibrationKind)
    strict, lax = [], []
    for seed in range(6):
        logits, labels = drawn(seed, 400, 0.8, -0.2)
        for slack, kinds in ((0.0, strict), (2.0, lax)):
            kinds.append(order.index(chosen_map(logits, floats(labels), names(400), slack=slack).kind))
    assert all(a >= b for a, b in zip(strict, lax, strict=True))
    assert sum(strict) > sum(lax)


def test_cross_validated_probabilities_never_saw_their_patient() -> None:
    rng = np.random.default_rng(0)
    patients = np.asarray([f"p{k // 2}" for k in range(200)])
    logits = rng.normal(size=(200, 2))
    labels = floats(rng.random((200, 2)) < 0.3)
    before = cross_validated(logits, labels, patients, [None, None])
    mine = patients == "p3"
    labels[mine] = 1 - labels[mine]
    after = cross_validated(logits, labels, patients, [None, None])
    assert np.array_equal(before[mine], after[mine])
    assert not np.array_equal(before, after)


def test_few_of_either_are_not_enough_and_unknown_ones_do_not_count() -> None:
    labels = np.zeros((60, 4))
    labels[:FEWEST_POSITIVES] = 1
    labels[0, 1] = 0
    labels[:, 2] = 1 - labels[:, 1]
    labels[0, 3] = np.nan
    assert enough(labels).tolist() == [True, False, False, False]


def site(donors: int, slope: float, rare_slope: float, rare: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequent findings with one true slope, and rare ones with another: logits, labels, patients."""
    columns = [drawn(k, 900, slope, 0.3) for k in range(donors)]
    columns += [drawn(50 + k, 900, rare_slope, -4.7 - 1.3 * rare_slope) for k in range(rare)]
    logits, labels = (np.stack(part, axis=1) for part in zip(*columns, strict=True))
    labels = floats(labels)
    assert all(0 < labels[:, donors + k].sum() < FEWEST_POSITIVES for k in range(rare))
    return logits, labels, names(900)


def test_a_rare_finding_keeps_its_curve_or_shares_the_slope_of_three_others() -> None:
    logits, labels, patients = site(FEWEST_DONORS, 0.4, 0.4)
    kept = LogitMap(TEMPERED, 0.3, 0.01)
    maps = fit_maps(logits, labels, patients, [None, None, None, None, kept])
    slope = shared_slope(logits[:, :3], labels[:, :3])
    assert maps[4] is kept
    assert isinstance(maps[3].curve, Line)
    assert maps[3].curve.slope == slope
    assert has_slope_of_others(maps[3])
    nobody_knows = fit_maps(logits[:, :1], np.full((900, 1), np.nan), patients, [None])
    assert nobody_knows[0].curve is IDENTITY


def test_fewer_donors_lend_no_slope_however_steep_theirs_is() -> None:
    for donors in (0, 1, FEWEST_DONORS - 1):
        logits, labels, patients = site(donors, 30.0, 1.0)
        maps = fit_maps(logits, labels, patients, [None] * (donors + 2))[donors:]
        for m, logit, label in zip(maps, logits.T[donors:], labels.T[donors:], strict=True):
            assert m.curve.slope == 1
            assert not has_slope_of_others(m)
            assert expit(m.curve.log_odds(logit)).mean() == pytest.approx(label.mean(), abs=0.002)


def test_a_shift_is_kept_where_the_slope_of_the_others_does_worse() -> None:
    logits, labels, patients = site(FEWEST_DONORS, 8.0, 1.0)
    assert [m.curve.slope for m in fit_maps(logits, labels, patients, [None] * 5)[3:]] == [1, 1]
    after = cross_validated(logits, labels, patients, [None] * 5)[:, 3:]
    steep = shared_slope(logits[:, :3], labels[:, :3])
    assert steep > 4
    rare = [(logits[:, k], labels[:, k]) for k in (3, 4)]
    borrowed = expit(np.stack([line_with_slope(steep, *column).log_odds(column[0]) for column in rare], axis=1))
    ours, theirs = (calibration_errors(labels[:, 3:], p).mean() for p in (after, borrowed))
    assert ours < theirs
    assert ours <= GOAL * calibration_floors(labels[:, 3:], after).mean()


def test_a_finding_that_is_fitted_leaves_what_it_had() -> None:
    logits, labels = drawn(0, 2000, slope=0.4, intercept=-2)
    patients = np.asarray([str(k) for k in range(2000)])
    before = LogitMap(IDENTITY, 0.5, 0.5)
    curve = fit_maps(logits[:, np.newaxis], floats(labels)[:, np.newaxis], patients, [before])[0].curve
    assert curve == fit_curve(curve.kind, logits, labels, PRIOR) != fit_curve(curve.kind, logits, labels, FLAT)


def test_what_a_finding_has_stays_at_the_prevalence_of_the_images_where_nothing_does_better() -> None:
    before = LogitMap(Beta(0.2, 3.0, -1.0), 0.5, 0.02)
    stayed = []
    for seed in range(7):
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 2, 800)
        labels = floats(rng.random(800) < expit(before.curve.log_odds(logits)))
        share = labels.mean()
        m = chosen_map(logits, labels, names(800), LogitMap(before.curve, float(share), 0.02))
        stayed.append(m.curve is before.curve)
        assert m.assumed_prevalence == pytest.approx(share, abs=0.01)
    assert sum(stayed) > len(stayed) / 2
