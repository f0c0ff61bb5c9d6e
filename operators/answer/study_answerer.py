"""Answers for the study as a whole."""

from __future__ import annotations

from typing import Any

from candor.decide.study_answer import NOT_TO_BE_JUDGED, JudgedImage, StudyModel
from candor.dicom.shared.values import valid_text
from candor.study.case import Case, CaseImage, assert_set
from operators.graph.base import CaseOperator
from operators.graph.sdk import Fragment


class StudyAnswerer(CaseOperator):
    """Answers whether a study shows any abnormality, where it belongs in the worklist, and what to look at first.

    A picture counts as judged where it was assessed and no check left all its findings to a radiologist.

    Named input:
        case: a study with a result for each finding.

    Named output:
        case: the same with an answer for the study, where the bundle has a model for it.

    Parameters
    ----------
    fragment
        The application.
    model
        The bundle's; None where it has none, and then nothing is said.
    max_missed
        The promise of the rule-out that the site has set; None rules nothing out.
    """

    def __init__(
        self, fragment: Fragment, *args: Any, model: StudyModel | None, max_missed: float | None, **kwargs: Any
    ) -> None:
        self._model = model
        self._max_missed = max_missed
        super().__init__(fragment, *args, **kwargs)

    def work(self, case: Case) -> None:
        """Answer for one study."""
        model = self._model
        if model is None:
            return
        judged = [_judged(model, image) for image in case.assessed_images if not image.deferrals]
        due = [image for image in case.images if image.refusal is None or image.refusal.reason not in NOT_TO_BE_JUDGED]
        case.answer = model.answer(judged, not_judged=len(due) - len(judged), max_missed=self._max_missed)


def _judged(model: StudyModel, image: CaseImage) -> JudgedImage:
    return JudgedImage(
        sop_instance_uid=image.sop_instance_uid,
        view=valid_text(assert_set(image.header), "ViewPosition"),
        score=model.score(assert_set(image.logits), assert_set(image.features)),
        results=image.results,
    )
