"""Positives are counted as patients: many pictures of one patient give no figure, and are in no mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.training.measure.evaluation.samples import make_sample
from training.measure.evaluation.figures import answers, ranking, youden_out_of_fold
from training.measure.evaluation.populations import groups
from training.measure.evaluation.radiologists import Reads, beside_readers
from training.measure.evaluation.report import too_few
from training.measure.evaluation.sample import FEWEST_PATIENTS, Sample, positive_patients


def of_patients(count: int) -> Sample:
    """A sample whose hernias are 40 pictures of some patients, each above all others by its score."""
    sample = make_sample()
    labels, logits = sample.labels.copy(), sample.logits.copy()
    labels[:40, 2] = 1
    logits[:40, 2] = np.linspace(5, 6, 40)
    images = tuple(
        replace(image, patient=f"hernia {k % count}") if k < 40 else image for k, image in enumerate(sample.images)
    )
    return replace(sample, images=images, labels=labels, logits=logits)


def test_positive_patients_are_counted_once() -> None:
    labels = np.asarray([[1, 0], [1, 1], [0, np.nan], [1, 0]])
    assert positive_patients(labels, np.asarray(["a", "a", "b", "c"])).tolist() == [2, 1]


def test_forty_pictures_of_few_patients_give_no_figure_and_are_in_no_mean() -> None:
    sample = of_patients(FEWEST_PATIENTS - 1)
    figures: Any = ranking(sample)
    hernia = figures["findings"]["Hernia"]
    assert (hernia["positives"], hernia["positive_patients"]) == (40, 4)
    assert hernia["auc"] is hernia["average_precision"] is None
    others = [figures["findings"][name]["auc"]["value"] for name in ("Cardiomegaly", "Effusion")]
    assert figures["mean_auc"]["value"] == pytest.approx(np.mean(others))
    answered: Any = answers(sample, youden_out_of_fold(sample))
    assert answered["findings"]["Hernia"]["sensitivity"] is None
    assert answered["findings"]["Effusion"]["sensitivity"] is not None
    (sentence,) = too_few(figures)
    assert sentence.endswith("however many pictures they have: Hiatal hernia (4).")


def test_enough_patients_have_a_figure() -> None:
    figures: Any = ranking(of_patients(FEWEST_PATIENTS))
    assert figures["findings"]["Hernia"]["auc"]["value"] == 1.0
    assert figures["findings"]["Hernia"]["positive_patients"] == FEWEST_PATIENTS
    assert figures["mean_auc"]["value"] == pytest.approx(
        np.mean([of["auc"]["value"] for of in figures["findings"].values()])
    )
    assert not list(too_few(figures))


def test_groups_and_readers_leave_the_finding_out_too() -> None:
    for count, compared in ((FEWEST_PATIENTS - 1, False), (40, True)):
        sample = of_patients(count)
        views: Any = groups(sample)["view"]
        assert ("Hernia" in views["compared"]) == compared
        beside: Any = beside_readers(sample, Reads(sample.labels, {"1": sample.labels}), youden_out_of_fold(sample))
        assert ("Hernia" in beside["compared"]) == compared
        assert (beside["readers"]["1"]["Hernia"]["sensitivity"] is not None) == compared
        assert beside["readers"]["1"]["Hernia"]["positives"] == 40
