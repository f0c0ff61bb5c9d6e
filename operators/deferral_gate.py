"""Answers, or defers to a radiologist."""

from __future__ import annotations

from typing import Any

from cxr.calibrate import Calibration
from cxr.case import CaseImage, given
from cxr.defer import Gate
from cxr.findings import Finding
from cxr.result import FindingResult
from operators.base import ImageOperator
from operators.sdk import Fragment


class DeferralGate(ImageOperator):
    """Decides each finding: present, absent, or deferred with a reason.

    Named input:
        case: a study with logits, probabilities and heatmaps.

    Named output:
        case: the same with a result for each finding.
    """

    def __init__(self, fragment: Fragment, *args: Any, gate: Gate, calibration: Calibration, **kwargs: Any) -> None:
        self._gate = gate
        self._calibration = calibration
        super().__init__(fragment, *args, **kwargs)

    def work_on(self, image: CaseImage) -> None:
        """Decide every finding of one image."""
        image.results = tuple(self._result(image, k, finding) for k, finding in enumerate(self._calibration.maps))

    def _result(self, image: CaseImage, k: int, finding: Finding) -> FindingResult:
        probability = float(given(image.probabilities)[k])
        decision, reason = self._gate.thresholds[finding].decide(probability)
        return FindingResult(
            finding=finding,
            logit=float(given(image.logits)[k]),
            probability=probability,
            prevalence=self._calibration.maps[finding].assumed_prevalence,
            decision=decision,
            reason=reason,
            heatmap=image.heatmaps[k],
        )
