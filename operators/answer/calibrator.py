"""Turns logits into calibrated probabilities."""

from __future__ import annotations

from typing import Any

from candor.decide.calibration import Calibration
from candor.study.case import CaseImage, assert_set
from operators.graph.base import ImageOperator
from operators.graph.sdk import Fragment


class Calibrator(ImageOperator):
    """Applies the bundle's calibration at the prevalence of the site, or at the one that the bundle assumes.

    Named input:
        case: a study with logits.

    Named output:
        case: the same with probabilities ``(findings,)`` in [0, 1].

    Parameters
    ----------
    fragment
        The application.
    calibration
        The bundle's, at that prevalence.
    """

    def __init__(self, fragment: Fragment, *args: Any, calibration: Calibration, **kwargs: Any) -> None:
        self._calibration = calibration
        super().__init__(fragment, *args, **kwargs)

    def work_on(self, image: CaseImage) -> None:
        """Calibrate one image."""
        image.probabilities = self._calibration.probabilities(assert_set(image.logits))
