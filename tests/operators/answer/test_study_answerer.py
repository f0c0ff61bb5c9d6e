"""The operator of the answer for a study: which pictures count as judged, and which should have been."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from candor.decide.percentiles import POINTS
from candor.decide.study_answer import RuleOut, StudyModel
from candor.study.case import CaseImage
from candor.study.reasons import Reason
from candor.study.result import AnyAbnormality, Note, StudyAnswer
from operators.answer.study_answerer import StudyAnswerer
from operators.graph.sdk import Application
from tests.cases import case_of

MODEL = StudyModel(
    inputs="features",
    weights=np.array([1.0, 1.0]),
    intercept=0.0,
    normal=np.linspace(-4, 0, POINTS),
    abnormal=np.linspace(-1, 3, POINTS),
    prevalence=0.5,
    rule_outs=(RuleOut(0.05, 0.9, -2.0),),
    views=frozenset({"PA"}),
    description="made up",
)
FRAGMENT = Application()  # it must outlive its operators


def image(score: float = -3.0, view: str = "PA", refusal: Reason | None = None) -> CaseImage:
    header = Dataset()
    header.SOPInstanceUID, header.StudyInstanceUID, header.ViewPosition = "1.2.3", "1.2", view
    made = CaseImage("a.dcm", Path("a.dcm"), header, refusal=Note(refusal) if refusal else None)
    made.features, made.logits = np.array([score, 0.0], np.float32), np.zeros(1, np.float32)
    return made


def answer(*images: CaseImage, model: StudyModel | None = MODEL) -> StudyAnswer | None:
    case = case_of(*images)
    StudyAnswerer(FRAGMENT, name="answer study", model=model, max_missed=0.05).work(case)
    return case.answer


def test_a_bundle_without_a_model_says_nothing() -> None:
    assert answer(image(), model=None) is None


def test_a_judged_picture_is_ruled_out_by_its_score_and_view() -> None:
    said = answer(image())
    assert said is not None
    assert (said.score, said.any_abnormality) == (-3.0, AnyAbnormality.RULED_OUT)
    assert answer(image(view="AP")).any_abnormality is AnyAbnormality.NOT_RULED_OUT


@pytest.mark.parametrize("reason", [Reason.NOT_FRONTAL, Reason.DUPLICATE, Reason.OWN_RESULT, Reason.NOT_AN_IMAGE])
def test_a_file_that_is_no_frontal_chest_radiograph_does_not_matter(reason: Reason) -> None:
    assert answer(image(), image(refusal=reason)).any_abnormality is AnyAbnormality.RULED_OUT


@pytest.mark.parametrize("reason", [Reason.UNDECODABLE, Reason.UNLIKE_CHEST, Reason.PROCESSING_FAILED, Reason.DAMAGED])
def test_a_picture_that_should_have_been_judged_prevents_a_rule_out(reason: Reason) -> None:
    said = answer(image(), image(refusal=reason))
    assert said.any_abnormality is AnyAbnormality.NOT_RULED_OUT
    assert said.priority == MODEL.priority_of_not_judged


def test_a_picture_that_a_check_deferred_is_not_judged() -> None:
    unlike = image(score=-9.0)
    unlike.deferrals.append(Note(Reason.UNLIKE_TRAINING))
    said = answer(unlike)
    assert (said.any_abnormality, said.score, said.look_first) == (AnyAbnormality.NOT_JUDGED, None, ())
    assert said.priority == MODEL.priority_of_not_judged


def test_a_study_without_a_radiograph_gets_a_priority_too() -> None:
    said = answer(image(refusal=Reason.NOT_CHEST))
    assert (said.any_abnormality, said.priority) == (AnyAbnormality.NOT_JUDGED, MODEL.priority_of_not_judged)
