"""What is unlike the training images is done to an image as the policy says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from candor.ood.familiarity import Familiarity, fit_tensors
from candor.ood.linear_score import LinearScore
from candor.study.case import CaseImage
from candor.study.policy import DEFAULT_POLICY, Action
from candor.study.reasons import Reason
from operators.answer.familiarity_check import FamiliarityCheck
from operators.graph.sdk import Fragment

FEATURES = np.random.default_rng(0).normal(5, 1, (60, 8)).astype(np.float32) ** 2
FAMILIARITY = Familiarity(fit_tensors(FEATURES, 3), 2.0, 6.0, "made up for a test")
EVERYBODY = LinearScore({"weight": np.zeros(8, np.float32), "bias": np.float32([1])}, 0.0)
KNOWS_CHILDREN = replace(FAMILIARITY, child=EVERYBODY)
"""Takes everybody for a child."""


def check(
    features: np.ndarray, familiarity: Familiarity | None = FAMILIARITY, age: str = "060Y", **actions: Action
) -> CaseImage:
    """Run the operator on one image."""
    header = Dataset()
    header.PatientAge = age
    image = CaseImage("one.dcm", Path("one.dcm"), header, features=features)
    policy = {**DEFAULT_POLICY, **{Reason[name]: action for name, action in actions.items()}}
    FamiliarityCheck(Fragment(), familiarity=familiarity, policy=policy).work_on(image)
    return image


def away(roots: float) -> np.ndarray:
    """Features that lie so far from the mean, in square roots."""
    return np.asarray((np.sqrt(FEATURES).mean(axis=0) + roots) ** 2, np.float32)


def test_a_familiar_image_passes_without_a_word() -> None:
    image = check(away(0.0))
    assert image.assessed
    assert not image.notices
    assert not image.deferrals


def test_what_is_unlike_the_training_images_is_deferred() -> None:
    image = check(away(3.0))
    assert image.assessed
    assert [note.reason for note in image.deferrals] == [Reason.UNLIKE_TRAINING]


def test_what_is_no_chest_is_refused() -> None:
    image = check(away(40.0))
    assert image.refusal is not None
    assert image.refusal.reason is Reason.UNLIKE_CHEST


def test_the_policy_decides() -> None:
    image = check(away(40.0), UNLIKE_CHEST=Action.NOTICE)
    assert image.assessed
    assert [note.reason for note in image.notices] == [Reason.UNLIKE_CHEST]


@pytest.mark.parametrize("age", ["", "999Y", "about six"])
def test_what_looks_like_a_child_is_deferred_where_no_usable_age_is_stated(age: str) -> None:
    image = check(away(0.0), KNOWS_CHILDREN, age)
    assert image.assessed
    (note,) = image.deferrals
    assert note.reason is Reason.PAEDIATRIC
    assert "the age is not stated, and the picture looks like a child's" in note.detail


def test_an_age_in_the_header_is_believed() -> None:
    assert not check(away(0.0), KNOWS_CHILDREN, "060Y").deferrals


def test_the_look_of_a_child_comes_on_top_of_what_is_unfamiliar_but_not_of_no_chest() -> None:
    reasons = [note.reason for note in check(away(3.0), KNOWS_CHILDREN, "").deferrals]
    assert reasons == [Reason.UNLIKE_TRAINING, Reason.PAEDIATRIC]
    assert not check(away(40.0), KNOWS_CHILDREN, "").deferrals


def test_the_policy_decides_on_children_too() -> None:
    image = check(away(0.0), KNOWS_CHILDREN, "", PAEDIATRIC=Action.REFUSE)
    assert image.refusal is not None
    assert image.refusal.reason is Reason.PAEDIATRIC


def test_without_the_look_nobody_is_taken_for_a_child() -> None:
    assert not check(away(0.0), FAMILIARITY, "").deferrals


@pytest.mark.parametrize("roots", [0.0, 40.0])
def test_a_bundle_without_the_check_stops_nothing(roots: float) -> None:
    image = check(away(roots), None)
    assert image.assessed
    assert not image.deferrals
