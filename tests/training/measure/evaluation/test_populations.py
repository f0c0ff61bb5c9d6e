"""Figures of samples and of their groups, against scikit-learn on the same rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, recall_score, roc_auc_score

from candor.decide.calibration import sigmoid
from tests.training.measure.evaluation.samples import THREE, make_sample
from training.data.groups import age_group
from training.measure.evaluation.figures import answers, calibration, ranking, youden_out_of_fold
from training.measure.evaluation.populations import groups, modes
from training.measure.evaluation.sample import RESAMPLES, Sample
from training.predictions.cross_fitting import folds_of
from training.statistics.decisions import youden_thresholds
from training.statistics.metrics import aucs


def auc(sample: Sample, k: int, rows: np.ndarray) -> float:
    """Scikit-learn's area on some rows."""
    return float(roc_auc_score(sample.labels[rows, k], sample.logits[rows, k]))


def test_the_ranking_is_scikit_learns_and_its_interval_that_of_resampled_rows() -> None:
    sample = make_sample()
    figures: Any = ranking(sample)
    effusion = figures["findings"]["Effusion"]
    everything = np.arange(len(sample.images))
    assert effusion["positives"] == sample.labels[:, 1].sum()
    assert effusion["auc"]["value"] == pytest.approx(auc(sample, 1, everything), abs=1e-12)
    precision = average_precision_score(sample.labels[:, 1], sample.logits[:, 1])
    assert effusion["average_precision"]["value"] == pytest.approx(precision, abs=1e-12)
    assert figures["findings"]["Hernia"]["auc"] is None
    assert figures["mean_auc"]["value"] == pytest.approx(np.mean([auc(sample, k, everything) for k in (0, 1)]))
    drawn = aucs(sample.labels, sample.logits, sample.weights())[:, 1]
    assert len(drawn) == RESAMPLES
    rows = [auc(sample, 1, np.repeat(everything, row.astype(int))) for row in sample.weights()[:50]]
    np.testing.assert_allclose(drawn[:50], rows, atol=1e-12)
    ends = effusion["auc"]["low"], effusion["auc"]["high"]
    np.testing.assert_allclose(ends, np.quantile(drawn, (0.025, 0.975)), atol=1e-12)


def test_calibration_is_measured_before_and_after() -> None:
    sample = make_sample()
    sample.labels[:40, 0] = np.nan
    sample.labels[:, 2] = np.nan
    figures: Any = calibration(sample)
    for when, probabilities in (("before", sigmoid(sample.logits)), ("after", sample.probabilities)):
        brier = brier_score_loss(sample.labels[40:, 0], probabilities[40:, 0])
        assert figures["Cardiomegaly"][when]["brier"]["value"] == pytest.approx(brier, abs=1e-12)
    assert figures["Hernia"]["after"] == {"nll": None, "ece": None, "brier": None}


def test_answers_are_scikit_learns_on_other_patients_than_the_thresholds() -> None:
    sample = make_sample()
    thresholds, folds = youden_out_of_fold(sample), folds_of(sample.patients)
    for fold in set(folds):
        others = sample.take(folds != fold)
        expected = youden_thresholds(others.labels, others.probabilities)
        np.testing.assert_array_equal(thresholds[folds == fold], np.tile(expected, ((folds == fold).sum(), 1)))
    figures: Any = answers(sample, thresholds)
    called, truth = sample.probabilities[:, :2] >= thresholds[:, :2], sample.labels[:, :2] > 0
    for k, finding in enumerate(THREE[:2]):
        ours = figures["findings"][finding.label]
        assert ours["sensitivity"]["value"] == pytest.approx(recall_score(truth[:, k], called[:, k]))
        assert ours["specificity"]["value"] == pytest.approx(recall_score(~truth[:, k], ~called[:, k]))
        assert ours["f1"]["value"] == pytest.approx(f1_score(truth[:, k], called[:, k]))
    for average in ("micro", "macro", "weighted", "samples"):
        theirs = f1_score(truth, called, average=average, zero_division=np.nan)
        assert figures["f1"][average]["value"] == pytest.approx(theirs)
    assert figures["findings"]["Hernia"] == dict.fromkeys(("threshold", "sensitivity", "specificity", "f1"))


def test_each_group_is_its_own_rows() -> None:
    sample = make_sample()
    figures: Any = groups(sample)
    women = np.flatnonzero([image.sex == "F" for image in sample.images])
    assert list(figures["sex"]["groups"]) == ["F", "M"]
    assert figures["sex"]["compared"] == ["Cardiomegaly", "Effusion"]
    found = figures["sex"]["groups"]["F"]
    assert found["images"] == len(women)
    assert found["findings"]["Effusion"]["auc"]["value"] == pytest.approx(auc(sample, 1, women), abs=1e-12)
    assert found["mean_auc"]["value"] == pytest.approx(np.mean([auc(sample, k, women) for k in (0, 1)]))
    assert sorted([*figures["age"]["groups"], *figures["age"]["too_small"]]) == [
        "18 to 39",
        "40 to 59",
        "60 and over",
        "under 18",
    ]


def test_a_finding_that_is_rare_in_one_group_is_compared_in_none() -> None:
    sample = make_sample()
    women = np.asarray([image.sex == "F" for image in sample.images])
    sample.labels[women, 1] = np.arange(women.sum()) < 3
    figures: Any = groups(sample)["sex"]
    assert figures["compared"] == ["Cardiomegaly"]
    assert (
        figures["groups"]["M"]["mean_auc"]["value"]
        == figures["groups"]["M"]["findings"]["Cardiomegaly"]["auc"]["value"]
    )


def test_what_is_not_known_of_the_patients_is_in_no_group() -> None:
    sample = make_sample(60)
    blank = tuple(replace(image, age=None, sex="", view="") for image in sample.images)
    for figures in groups(replace(sample, images=blank)).values():
        assert figures == {"compared": [], "too_small": {}, "groups": {}}


@pytest.mark.parametrize(("age", "group"), [(0, "under 18"), (17.9, "under 18"), (18, "18 to 39"), (65, "60 and over")])
def test_age_groups_include_their_lower_end(age: float, group: str) -> None:
    assert age_group(replace(make_sample(3).images[1], age=age)) == group


def test_a_picture_that_is_not_known_to_be_normal_is_no_normal_one() -> None:
    sample = make_sample()
    labels = sample.labels.copy()
    labels[:, 2] = np.nan  # a finding that the data set does not know says nothing of any picture
    labels[::3, 0] = np.nan
    figures: Any = modes(sample.labelled(labels))["one_vs_normal"]
    normal = (labels[:, 0] == 0) & (labels[:, 1] == 0)
    kept = np.flatnonzero((labels[:, 1] > 0) | normal)
    assert figures["findings"]["Effusion"]["auc"]["value"] == pytest.approx(auc(sample, 1, kept), abs=1e-12)


def test_the_modes_differ_in_their_negatives_alone() -> None:
    sample = make_sample()
    figures: Any = modes(sample)
    ill = sample.labels.any(axis=1)
    rows = {
        "one_vs_all": np.arange(len(ill)),
        "one_vs_normal": np.flatnonzero((sample.labels[:, 1] > 0) | ~ill),
        "disease_only": np.flatnonzero(ill),
    }
    for mode, kept in rows.items():
        found = figures[mode]["findings"]["Effusion"]
        assert found["positives"] == sample.labels[:, 1].sum()
        assert found["auc"]["value"] == pytest.approx(auc(sample, 1, kept), abs=1e-12)
