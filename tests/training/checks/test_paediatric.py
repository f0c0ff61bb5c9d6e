"""The look of children keeps its limit, agrees with scikit-learn, and is left out if there is nothing to learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from candor.ood.familiarity import stabilised
from candor.study.findings import Finding
from training.checks.linear_score import INVERSE_REGULARISATION, quantile_limit
from training.checks.paediatric import learn_child, told_apart
from training.data.dataset import Dataset, LabelledImage
from training.data.splits import Subset

CHANNELS = 10


def people(ages: list[float | None], patients: list[str] | None = None) -> Dataset:
    """A data set of one picture for each age."""
    images = (
        LabelledImage(f"{k}.png", Path(f"{k}.png"), patients[k] if patients else str(k), frozenset(), Subset.TRAIN, age)
        for k, age in enumerate(ages)
    )
    return Dataset(tuple(images), tuple(Finding))


def features(ages: list[float | None], seed: int) -> NDArray[np.float32]:
    """Features whose square roots are normal; those of children lie a little higher, in channels of any scale."""
    rng = np.random.default_rng(seed)
    young = np.asarray([age is not None and age < 16 for age in ages])[:, np.newaxis]
    roots = 20 + (rng.normal(size=(len(ages), CHANNELS)) + young) * np.geomspace(0.1, 3, CHANNELS)
    return np.asarray(roots**2, np.float32)


AGES: list[float | None] = [7.0] * 40 + [40.0] * 160
ADULTS: list[float | None] = [50.0] * 400


def test_scores_are_those_of_scikit_learn() -> None:
    seen, unseen = features(AGES, 0), features(AGES, 1)
    look = learn_child(seen, people(AGES), features(ADULTS, 2), 0.01).look
    assert look is not None
    regression = LogisticRegression(C=INVERSE_REGULARISATION, class_weight="balanced")
    oracle = make_pipeline(StandardScaler(), regression).fit(np.sqrt(seen), np.arange(len(seen)) < 40)
    np.testing.assert_allclose(look.scores(stabilised(unseen)), oracle.decision_function(np.sqrt(unseen)), atol=1e-4)


def test_at_most_the_stated_share_of_adults_lies_over_the_limit() -> None:
    held_out = features(ADULTS, 2)
    for alarms in (0.0, 0.01, 0.1):
        look = learn_child(features(AGES, 0), people(AGES), held_out, alarms).look
        assert look is not None
        assert np.mean(look.scores(stabilised(held_out)) > look.limit) == alarms


def test_who_has_no_stated_age_teaches_nothing() -> None:
    unknown: list[float | None] = [None] * 30
    taught = learn_child(features(AGES, 0), people(AGES), features(ADULTS, 2), 0.01)
    more = np.concatenate([features(AGES, 0), features(unknown, 5)])
    same = learn_child(more, people(AGES + unknown), features(ADULTS, 2), 0.01)
    assert taught.look is not None
    assert same.look is not None
    assert same.look.limit == taught.look.limit
    assert same.facts == taught.facts == {"under_years": 16, "patients": 40, "images": 40}


@pytest.mark.parametrize(
    ("ages", "patients", "told"),
    [
        ([7.0] * 19 + [16.0] * 9, None, "19 patients are stated to be under 16 years, 9 pictures older"),
        ([7.0] * 30 + [40.0], ["same"] * 30 + ["other"], "1 patients are stated"),
        ([7.0] * 30 + [None], None, "30 patients are stated to be under 16 years, 0 pictures older"),
        ([None] * 50, None, "0 patients are stated"),
    ],
)
def test_too_few_children_or_no_adults_are_said(
    ages: list[float | None], patients: list[str] | None, told: str
) -> None:
    learnt = learn_child(features(ages, 0), people(ages, patients), features(ADULTS, 2), 0.01)
    assert learnt.look is None
    assert str(learnt.facts["left_out"]).startswith(told)


def test_the_area_is_that_of_scikit_learn_and_lies_in_its_interval() -> None:
    look = learn_child(features(AGES, 0), people(AGES), features(ADULTS, 2), 0.01).look
    assert look is not None
    children, adults = features([7.0] * 30, 3), features([40.0] * 90, 4)
    found = told_apart(look, children, adults, np.asarray([str(k) for k in range(120)]))
    scores = look.scores(stabilised(np.concatenate([children, adults])))
    area = found["auc"]
    assert isinstance(area, dict)
    assert area["value"] == pytest.approx(roc_auc_score(np.arange(120) < 30, scores))
    assert area["low"] < area["value"] < area["high"]
    none = told_apart(look, children[:0], adults, np.asarray([str(k) for k in range(90)]))
    assert none == {"children": 0, "adults": 90, "auc": None}


def test_the_limit_is_one_of_the_values() -> None:
    values = np.asarray([3.0, 1.0, 2.0, 5.0, 4.0])
    assert [quantile_limit(values, alarms) for alarms in (0.0, 0.19, 0.2, 0.5)] == [5.0, 5.0, 4.0, 3.0]
