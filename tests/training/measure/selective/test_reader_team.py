"""The team, against a loop over drawn deferrals and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score

from candor.study.errors import DataError
from candor.study.findings import Finding
from training.measure.selective.reader_team import deferred_share, simulated_reader, teams
from training.measure.selective.team_intervals import cross_fitted, team_record
from training.predictions.cross_fitting import folds_of
from training.statistics.metrics import Floats, patient_weights

LABELS = np.array([[1.0], [1], [0], [0], [0], [np.nan]])
CALLED = np.array([[True], [False], [True], [False], [False], [True]])
UNCERTAIN = np.array([[0.1], [0.9], [0.8], [0.2], [0.3], [1.0]])
READER = np.array([[1.0], [1], [0], [0], [1], [1]])


def test_the_least_sure_are_deferred_and_ties_by_their_part() -> None:
    asked = np.ones((4, 1), np.bool_)
    uncertainty = np.array([[3.0], [2], [2], [1]])
    assert deferred_share(uncertainty, asked, 0.5)[:, 0].tolist() == [1, 0.5, 0.5, 0]
    assert deferred_share(uncertainty, asked, 0.0).sum() == 0
    assert deferred_share(uncertainty, asked, 1.0).sum() == 4
    asked[0] = False
    assert deferred_share(uncertainty, asked, 1 / 3)[:, 0] == pytest.approx([0, 0.5, 0.5, 0])
    assert deferred_share(uncertainty, np.zeros((4, 1), np.bool_), 0.5).sum() == 0


def test_each_finding_defers_the_same_share_unless_they_are_taken_together() -> None:
    uncertainty = np.array([[4.0, 1], [3, 2]])
    asked = np.ones((2, 2), np.bool_)
    assert deferred_share(uncertainty, asked, 0.5).tolist() == [[1, 0], [0, 1]]
    assert deferred_share(uncertainty, asked, 0.5, together=True).tolist() == [[1, 0], [1, 0]]


def test_the_team_at_every_workload_by_hand() -> None:
    found = teams(LABELS, CALLED, UNCERTAIN, READER, workloads=(0, 0.4, 1))
    assert (found.model.sensitivity[0, 0], found.model.specificity[0, 0]) == pytest.approx((1 / 2, 2 / 3))
    assert (found.reader.sensitivity[0, 0], found.reader.specificity[0, 0]) == pytest.approx((1, 2 / 3))
    none, some, everything = found.teams
    assert none.team.balanced_accuracy[0, -1] == pytest.approx(found.model.balanced_accuracy[0, 0])
    assert everything.team.balanced_accuracy[0, -1] == pytest.approx(found.reader.balanced_accuracy[0, 0])
    assert some.team.balanced_accuracy[0, 0] == pytest.approx(1)  # better than both
    assert (some.deferred, some.images_spared) == pytest.approx((0.4, 0.6))
    assert some.team.accuracy[0, 0] == pytest.approx(1)
    assert some.team.always_absent[0, 0] == pytest.approx(3 / 5)
    assert some.random.sensitivity[0, 0] == pytest.approx(0.6 / 2 + 0.4)


def made(images: int = 200) -> tuple[Floats, Floats, np.ndarray]:
    rng = np.random.default_rng(2)
    labels = (rng.random((images, 2)) < 0.4).astype(np.float64)
    logits = np.round(rng.normal(size=labels.shape) + 2 * labels - 1, 1)
    return labels, logits, np.asarray([f"p{k // 2}" for k in range(images)])


def test_a_resample_is_the_images_repeated_with_the_same_deferrals() -> None:
    labels, logits, patients = made(40)
    reader = simulated_reader(labels, 1.0, 0.0)
    weights = patient_weights(patients, 3, seed=1)
    found = teams(labels, logits > 0, -np.abs(logits), reader, weights, workloads=(0.25,)).teams[0].team
    deferred = deferred_share(-np.abs(logits), np.ones_like(labels, np.bool_), 0.25)
    called = deferred * reader + (1 - deferred) * (logits > 0)
    for k, drawn in enumerate(weights):
        rows = np.repeat(np.arange(40), drawn.astype(int))
        truth, yes = labels[rows, 0] > 0, called[rows, 0]
        both = [np.concatenate([truth, truth]), np.repeat([True, False], len(rows))]
        weight = np.concatenate([yes, 1 - yes])
        assert found.sensitivity[k, 0] == pytest.approx(recall_score(*both, sample_weight=weight))
        expected = balanced_accuracy_score(*both, sample_weight=weight)
        assert found.balanced_accuracy[k, 0] == pytest.approx(expected)


def test_a_simulated_reader_is_as_good_as_said_whoever_is_asked() -> None:
    labels, logits, _ = made()
    reader = simulated_reader(labels, 0.8, 0.9)
    found = teams(labels, logits > 0, -np.abs(logits), reader)
    assert found.reader.sensitivity[0] == pytest.approx(0.8)
    assert found.reader.specificity[0] == pytest.approx(0.9)
    assert np.isnan(simulated_reader(np.array([[np.nan]]), 0.8, 0.9)).all()
    with pytest.raises(ValueError, match="lie in"):
        simulated_reader(labels, 1.1, 0.9)


def test_what_nobody_read_is_measured_for_nobody() -> None:
    reader = np.where(np.arange(6)[:, np.newaxis] == 0, np.nan, READER)
    found = teams(LABELS, CALLED, UNCERTAIN, reader, workloads=(0.5,))
    assert found.model.size[0, 0] == found.reader.size[0, 0] == 4
    nothing = teams(LABELS, CALLED, UNCERTAIN, np.full_like(READER, np.nan), workloads=(0.5,)).teams[0]
    assert np.isnan([nothing.deferred, nothing.images_spared, nothing.team.accuracy[0, 0]]).all()


def test_answers_are_fitted_to_the_other_part_alone() -> None:
    labels, logits, patients = made()
    first = folds_of(patients) == 2
    operated = cross_fitted(labels, logits, patients)
    turned = np.where(first[:, np.newaxis], 1 - labels, labels)
    again = cross_fitted(turned, logits, patients)
    np.testing.assert_array_equal(again.probabilities[first], operated.probabilities[first])
    np.testing.assert_array_equal(again.thresholds[first], operated.thresholds[first])
    assert (again.probabilities[~first] != operated.probabilities[~first]).any()
    nearest = np.argmax(operated.uncertainty, axis=0)
    distance = np.abs(operated.probabilities - operated.thresholds)
    assert all(distance[nearest[k], k] == distance[:, k].min() for k in range(2))
    assert operated.take(first).called.sum() == operated.called[first].sum()


def test_without_a_threshold_nothing_is_called_and_nothing_is_less_sure() -> None:
    labels, logits, patients = made(40)
    labels[:, 1] = 0
    operated = cross_fitted(labels, logits, patients)
    assert np.isnan(operated.thresholds[:, 1]).all()
    assert not operated.called[:, 1].any()
    assert (operated.uncertainty[:, 1] == 0).all()
    labels[folds_of(patients) != 2, 1] = np.nan
    with pytest.raises(DataError, match="no known label"):
        cross_fitted(labels, logits, patients)


def test_the_record_compares_with_both_and_with_chance() -> None:
    labels, logits, patients = made()
    operated = cross_fitted(labels, logits, patients)
    record = team_record(
        [Finding.EFFUSION, Finding.MASS],
        patients,
        labels,
        operated,
        {"perfect": labels, "inverse": 1 - labels},
        "made",
    )
    assert record["positives"] == {"Effusion": int(labels[:, 0].sum()), "Mass": int(labels[:, 1].sum())}
    perfect, inverse = (record["readers"][name] for name in ("perfect", "inverse"))  # type: ignore[index]
    last = perfect["answers"]["workloads"][-1]
    assert last["figures"]["pooled"]["balanced_accuracy"] == {"value": 1, "low": 1, "high": 1}
    assert last["saved"] == 0
    half = perfect["images"]["workloads"][4]
    assert half["images_spared"] == pytest.approx(0.5, abs=0.01)
    assert half["figures"]["pooled"]["less_random"]["low"] > 0
    worse = inverse["answers"]["workloads"][4]["figures"]["Mass"]
    assert worse["less_better"]["high"] < 0
    assert worse["less_better"]["value"] == pytest.approx(worse["less_model"]["value"])
