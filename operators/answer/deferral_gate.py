"""Answers, or defers to a radiologist."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candor.decide.calibration import Calibration
from candor.decide.gate import Gate
from candor.decide.groups import Groups
from candor.decide.learned_gate import LearnedGate, p_wrong
from candor.decide.percentiles import Percentiles
from candor.dicom.shared.groups import header_groups
from candor.picture.lungs import LungField, implausible
from candor.study.case import CaseImage, assert_set
from candor.study.findings import Finding
from candor.study.reasons import Reason
from candor.study.result import Decision, FindingResult
from operators.graph.base import ImageOperator
from operators.graph.sdk import Fragment


class DeferralGate(ImageOperator):
    """Decides each finding: present, absent, or deferred with a reason.

    An image that a check deferred is deferred in every finding, for the first such reason.

    Named input:
        case: a study with logits, probabilities and heatmaps.

    Named output:
        case: the same with a result for each finding.

    Parameters
    ----------
    fragment
        The application.
    gate
        Thresholds of each finding.
    calibration
        The bundle's: it says at which prevalence the probabilities hold.
    learned_gate
        The learned gate; None where the bundle has none that earned its place, and confidence decides.
    lungs
        Finds the lung field for a learned gate that wants it.
    percentiles
        Ranks the scores among the bundle's test images; None where the bundle has none.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        gate: Gate,
        calibration: Calibration,
        learned_gate: LearnedGate | None = None,
        lungs: LungField | None = None,
        percentiles: Percentiles | None = None,
        **kwargs: Any,
    ) -> None:
        self._gate = gate if learned_gate is None else replace(gate, wrong_allowed=learned_gate.limit)
        self._calibration = calibration
        self._learned_gate = learned_gate
        self._lungs = lungs
        self._percentiles = percentiles
        super().__init__(fragment, *args, **kwargs)

    def work_on(self, image: CaseImage) -> None:
        """Decide every finding of one image."""
        wrong, groups = self._wrong(image), header_groups(assert_set(image.header))
        image.results = tuple(
            self._result(image, k, finding, None if wrong is None else float(wrong[k]), groups)
            for k, finding in enumerate(self._calibration.maps)
        )

    def _wrong(self, image: CaseImage) -> NDArray[np.float64] | None:
        """Ask the learned gate: P(wrong) of the likelier answer to each finding."""
        if self._learned_gate is None:
            return None
        even = [self._gate.even(finding) for finding in self._calibration.maps]
        return p_wrong(
            self._learned_gate,
            self._calibration,
            assert_set(image.logits),
            assert_set(image.activation),
            self._lung_field(image),
            assert_set(image.probabilities) >= even,
        )

    def _lung_field(self, image: CaseImage) -> NDArray[np.bool_] | None:
        if self._lungs is None or self._learned_gate is None or not self._learned_gate.lung_field:
            return None
        mask = self._lungs.mask(assert_set(image.radiograph))
        return None if implausible(mask) else mask

    def _result(self, image: CaseImage, k: int, finding: Finding, wrong: float | None, groups: Groups) -> FindingResult:
        probability, logit = float(assert_set(image.probabilities)[k]), float(assert_set(image.logits)[k])
        decision, reason = self._decide(image, finding, probability, wrong, groups)
        return FindingResult(
            finding=finding,
            logit=logit,
            probability=probability,
            prevalence=self._calibration.maps[finding].assumed_prevalence,
            wrong=self._gate.confidence_wrong(finding, probability) if wrong is None else wrong,
            percentile=None if self._percentiles is None else self._percentiles.rank(finding, logit),
            decision=decision,
            reason=reason,
            heatmap=image.heatmaps[k],
            interval=self._calibration.maps[finding].interval(logit),
        )

    def _decide(
        self, image: CaseImage, finding: Finding, probability: float, wrong: float | None, groups: Groups
    ) -> tuple[Decision, Reason | None]:
        if image.deferrals:
            return Decision.DEFERRED, image.deferrals[0].reason
        return self._gate.decide(finding, probability, wrong, groups)
