"""Looks whether an image is like those that the network was trained on, and like an adult's where no age is stated."""

from __future__ import annotations

from typing import Any

from candor.dicom.shared.age import completed_years
from candor.ood.familiarity import Familiarity
from candor.study.case import CaseImage, assert_set
from candor.study.policy import Policy
from candor.study.reasons import Reason
from operators.graph.base import ImageOperator
from operators.graph.sdk import Fragment


class FamiliarityCheck(ImageOperator):
    """Refuses, defers or notices what is unlike the training images or looks like a child's, as the policy says.

    An age in the header is believed: how old a patient looks counts only where it states none.

    Named input:
        case: a study with features.

    Named output:
        case: the same; unfamiliar images are refused, or have a deferral or a notice more.

    Parameters
    ----------
    fragment
        The application.
    familiarity
        What the bundle knows of its training images; None where it has nothing, and then nothing is checked.
    policy
        What follows from each reason.
    """

    def __init__(
        self, fragment: Fragment, *args: Any, familiarity: Familiarity | None, policy: Policy, **kwargs: Any
    ) -> None:
        self._familiarity = familiarity
        self._policy = policy
        super().__init__(fragment, *args, **kwargs)

    def work_on(self, image: CaseImage) -> None:
        """Check one image."""
        if self._familiarity is None:
            return
        features = assert_set(image.features)
        judgement = self._familiarity.judge(features)
        if judgement is not None:
            reason, detail = judgement
            image.follow(self._policy[reason], reason, detail)
        if image.assessed and completed_years(assert_set(image.header)) is None:
            young = self._familiarity.judge_age(features)
            if young is not None:
                image.follow(self._policy[Reason.PAEDIATRIC], Reason.PAEDIATRIC, young)
