"""Thresholds, costs and groups: promises against a simulation of known risk, the rest by loops."""

from __future__ import annotations

import numpy as np
import pytest

from candor.decide.gate import Thresholds
from candor.study.findings import Finding
from training.gate.guarantee import Promise
from training.gate.out_of_fold import called_each
from training.gate.thresholds import guaranteed
from training.measure.selective.costs import cost_curve
from training.measure.selective.groups import group_figures
from training.measure.selective.promises import decided, promise_record
from training.statistics.metrics import Floats, patient_weights
from training.statistics.signals import closeness, of_image, p_wrong


def drawn(rng: np.random.Generator, images: int) -> tuple[Floats, Floats]:
    """One finding whose probabilities are the true ones."""
    probabilities = rng.beta(1.0, 2.0, (images, 1))
    return (rng.random((images, 1)) < probabilities).astype(np.float64), probabilities


def fitted(labels: Floats, probabilities: Floats, promise: Promise) -> Thresholds:
    """The thresholds of one finding, fitted to one image of each patient."""
    return guaranteed(probabilities, labels, np.arange(len(labels)), {}, promise)[0]


def true_risks(pair: Thresholds) -> tuple[float, float]:
    """The share of positives under lo, and of negatives from hi up, by integrating the density 2 (1 - p)."""
    p = np.linspace(0, 1, 20001)
    density = 2 * (1 - p)
    missed = (density * p)[p <= (pair.lo or 0.0)].sum() / (density * p).sum()
    above = p >= (pair.hi if pair.hi is not None else 2)
    return float(missed), float((density * p)[above].sum() / density[above].sum()) if above.any() else 1.0


def test_the_promises_hold_as_often_as_they_say_where_the_risk_is_known() -> None:
    rng, promise = np.random.default_rng(0), Promise(max_missed=0.10, min_precision=0.6, confidence=0.90)
    pairs = [fitted(*drawn(rng, 300), promise) for _ in range(400)]
    risks = np.asarray([true_risks(pair) for pair in pairs])
    assert sum(pair.lo is not None for pair in pairs) > 350  # the promise is not kept by silence
    slack = 3 * np.sqrt(0.1 * 0.9 / 400)
    assert (risks[:, 0] > promise.max_missed).mean() <= 0.1 + slack
    assert (risks[:, 1] < promise.min_precision).mean() <= 0.1 + slack
    assert (risks[:, 0] > 0.8 * promise.max_missed).mean() > 0.1  # and it is used


def test_images_without_a_known_label_fit_nothing() -> None:
    labels, probabilities = drawn(np.random.default_rng(1), 300)
    more = np.concatenate([labels, np.full((50, 1), np.nan)]), np.concatenate([probabilities, np.zeros((50, 1))])
    assert fitted(*more, Promise()) == fitted(labels, probabilities, Promise())


def test_decisions_by_hand() -> None:
    labels = np.array([[0.0, 1], [1, np.nan], [1, 0], [0, 0]])
    probabilities = np.array([[0.1, 0.9], [0.2, 0.1], [0.8, 0.5], [0.9, 0.4]])
    found = decided(labels, *called_each(probabilities, [Thresholds(0.2, 0.8), Thresholds(None, 0.6)], {}))
    assert found.missed_share[0].tolist() == pytest.approx([1 / 2, 0, 1 / 3])
    assert found.npv[0, 0] == pytest.approx(1 / 2)
    assert np.isnan(found.npv[0, 1])
    assert found.prior_npv[0].tolist() == pytest.approx([1 / 2, 2 / 3, 4 / 7])
    assert found.ppv[0].tolist() == pytest.approx([1 / 2, 1, 2 / 3])
    assert found.present_share[0].tolist() == pytest.approx([1 / 2, 1 / 3, 3 / 7])
    assert found.deferred_share[0].tolist() == pytest.approx([0, 2 / 3, 2 / 7])
    assert found.accuracy[0].tolist() == pytest.approx([1 / 2, 1, 3 / 5])
    assert found.answered_in_full[0] == pytest.approx(1 / 2)


def test_the_record_holds_null_where_nothing_is_called() -> None:
    labels, probabilities = drawn(np.random.default_rng(2), 100)
    patients = np.arange(100).astype(np.str_)
    pairs = [Thresholds(None, None)]
    record = promise_record([Finding.MASS], labels, *called_each(probabilities, pairs, {}), pairs, patients)
    mass = record["findings"]["Mass"]  # type: ignore[index]
    assert (mass["npv"], mass["lo"], mass["deferred_share"]["value"]) == (None, None, 1)
    assert record["pooled"]["answered_in_full"]["value"] == 0  # type: ignore[index]


def test_the_cost_is_that_of_a_loop_over_the_answers() -> None:
    rng = np.random.default_rng(3)
    labels = np.where(rng.random((40, 2)) < 0.1, np.nan, rng.random((40, 2)) < 0.3)
    p = rng.random((40, 2))
    weights = patient_weights(np.arange(40).astype(np.str_), 2, seed=0)
    found = cost_curve(labels, p >= 0.5, p_wrong(p), np.array([0.1, 0.3]), weights, missed=5)
    for r, k in np.ndindex(2, 2):
        cost, total, c = 0.0, 0.0, (0.1, 0.3)[k]
        for i, j in np.ndindex(40, 2):
            if not np.isnan(labels[i, j]):
                total += weights[r, i]
                error = 5.0 * (p[i, j] < 0.5) if labels[i, j] else float(p[i, j] >= 0.5)
                cost += weights[r, i] * (c if min(p[i, j], 1 - p[i, j]) > c else error)
        assert found[r, k] == pytest.approx(cost / total)
    with pytest.raises(ValueError, match="not at"):
        cost_curve(labels, p >= 0.5, p_wrong(p), np.array([0.5]))


def test_deferring_by_the_true_probability_never_costs_more_than_any_of_the_plain_ways() -> None:
    labels, p = drawn(np.random.default_rng(4), 20_000)
    costs = np.array([0.05, 0.2, 0.4])
    found = cost_curve(labels, p >= 0.5, p_wrong(p), costs)[0]
    assert (found < np.minimum(costs, labels.mean())).all()


def test_a_group_is_measured_behind_the_border_of_all() -> None:
    rng = np.random.default_rng(5)
    labels, p = drawn(rng, 200)
    sex = np.where(np.arange(200) < 100, "F", np.where(np.arange(200) < 190, "M", ""))
    ages = np.where(np.arange(200) < 60, "under 18", np.where(np.arange(200) < 120, "18 to 39", "60 and over"))
    uncertainty = p_wrong(p) + (sex == "F")[:, np.newaxis]  # all women are deferred before any man
    weights = patient_weights(np.arange(200).astype(np.str_), 50, seed=0)
    found = group_figures(labels, p >= 0.5, uncertainty, {"sex": sex, "age": ages, "ward": sex[::-1]}, weights, 0.5)
    women, men = found["sex"]["F"], found["sex"]["M"]  # type: ignore[index]
    assert (women["images"], men["images"]) == (100, 90)
    assert (women["kept"]["value"], women["accuracy"]) == (0, None)
    assert men["kept"]["value"] == 1
    man = sex == "M"
    assert men["accuracy"]["value"] == pytest.approx(((p >= 0.5) == (labels > 0))[man].mean())
    assert men["always_absent"]["value"] == pytest.approx((labels == 0)[man].mean())
    missed = ((labels > 0) & (p < 0.5))[man].sum() / (labels > 0)[man].sum()
    assert men["missed"]["value"] == pytest.approx(missed)
    assert list(found["age"]) == ["under 18", "18 to 39", "60 and over"]  # type: ignore[call-overload]


def test_closeness_is_confidence_after_the_shift_of_the_prevalence() -> None:
    p = np.random.default_rng(6).random(50)
    odds = p / (1 - p) * (0.8 / 0.2)  # a threshold at 0.2 becomes one at 0.5
    shifted = odds / (1 + odds)
    assert np.argsort(closeness(p, np.float64(0.2))).tolist() == np.argsort(p_wrong(shifted)).tolist()


def test_a_number_for_an_image_is_one_for_each_finding() -> None:
    assert of_image(np.array([1.0, 2.0]), 2).tolist() == [[1, 1], [2, 2]]


@pytest.mark.parametrize("seed", range(3))
def test_the_lower_threshold_is_at_least_as_sharp_as_that_of_mapie(seed: int) -> None:
    """MAPIE tests the same fixed sequence with Hoeffding-Bentkus p-values, which lie over the exact ones."""
    control = pytest.importorskip("mapie.risk_control", reason="MAPIE is the oracle")
    labels, probabilities = drawn(np.random.default_rng(seed), 400)
    controller = control.BinaryClassificationController(
        lambda p: np.concatenate([1 - p, p], axis=1),
        "recall",
        0.9,
        confidence_level=0.9,
        list_predict_params=np.linspace(0.01, 0.5, 99),
        fwer_method="fixed_sequence",
    )
    controller.calibrate(probabilities, labels[:, 0].astype(int))
    theirs = probabilities[labels > 0] < np.max(controller.valid_predict_params)
    ours = probabilities[labels > 0] <= fitted(labels, probabilities, Promise()).lo
    assert 0 <= ours.sum() - theirs.sum() <= 4
    assert theirs.any()
