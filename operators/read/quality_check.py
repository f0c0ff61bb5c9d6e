"""Looks at each picture before the network does, and does what the site has set for what it sees."""

from __future__ import annotations

from typing import Any

from candor.dicom.shared.age import completed_years
from candor.picture.orientation import OrientationCheck
from candor.picture.quality import check
from candor.study.case import CaseImage, assert_set
from candor.study.policy import Policy
from operators.graph.base import ImageOperator
from operators.graph.sdk import Fragment


class QualityCheck(ImageOperator):
    """Checks pixels, polarity, orientation, projection and age.

    Named input:
        case: a study with radiographs.

    Named output:
        case: the same; what a check saw is a refusal, a deferral or a notice of its image.

    Parameters
    ----------
    fragment
        The application.
    orientation
        Finds images that are turned or mirrored.
    policy
        What follows from each reason.
    """

    def __init__(
        self, fragment: Fragment, *args: Any, orientation: OrientationCheck, policy: Policy, **kwargs: Any
    ) -> None:
        self._orientation = orientation
        self._policy = policy
        super().__init__(fragment, *args, **kwargs)

    def work_on(self, image: CaseImage) -> None:
        """Check one image."""
        age = completed_years(assert_set(image.header))
        for flag in check(assert_set(image.radiograph), age, self._orientation):
            image.follow(self._policy[flag.reason], flag.reason, flag.detail)
