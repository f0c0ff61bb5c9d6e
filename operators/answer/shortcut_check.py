"""Looks whether an image's answers hang on marks or borders."""

from __future__ import annotations

from typing import Any

from candor.decide.calibration import Calibration
from candor.decide.gate import Gate
from candor.dicom.shared.groups import header_groups
from candor.model.outputs import Engine
from candor.picture.shortcut import Auditor, Blanked
from candor.study.case import CaseImage, assert_set
from candor.study.policy import Policy
from candor.study.reasons import Reason
from candor.study.result import Decision, ShortcutAudit
from operators.graph.batch import BatchOperator
from operators.graph.sdk import Fragment


class ShortcutCheck(BatchOperator):
    """Does what the site has set where blanking marks or borders moves an answer too far.

    A finding that the gate would leave to a radiologist anyway does not count, and an image of which none counts is
    not audited. Where costs decide, a learned gate may answer where the probability alone would not: there every
    finding counts.

    Named input:
        case: a study with network inputs, logits and probabilities.

    Named output:
        case: the same; an image that was audited has a shortcut audit. An image whose answer depends on marks or
            borders is refused, or has one deferral or notice more.

    Parameters
    ----------
    fragment
        The application.
    engine
        Runs the network.
    images_per_batch
        Most images at once.
    auditor
        Makes the inputs without marks and borders, and compares the answers.
    gate
        Thresholds of each finding: an image is checked only where one is answered.
    calibration
        The bundle's.
    limit
        How far an answer may change, in log-odds; None audits nothing.
    policy
        What follows from each reason.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        engine: Engine,
        images_per_batch: int,
        auditor: Auditor,
        gate: Gate,
        calibration: Calibration,
        limit: float | None,
        policy: Policy,
        **kwargs: Any,
    ) -> None:
        self._auditor = auditor
        self._gate = gate
        self._findings = tuple(calibration.maps)
        self._limit = limit
        self._policy = policy
        super().__init__(fragment, *args, engine=engine, images_per_batch=images_per_batch, **kwargs)

    def concerned(self, images: list[CaseImage]) -> list[CaseImage]:
        """Return the images with a finding that counts: the others are not searched for marks, nor classified again."""
        return [] if self._limit is None else [image for image in images if any(self._matters(image))]

    def work_on_batch(self, images: list[CaseImage]) -> None:
        """Classify again, at once, all images that have marks or borders, without those."""
        seen = [(image, self._auditor.blank(assert_set(image.network_input))) for image in images]
        pairs = [(image, blanked) for image, blanked in seen if blanked is not None]
        for (image, _), audit in zip(pairs, self._audits(pairs), strict=True):
            self._judge(image, audit)

    def _audits(self, pairs: list[tuple[CaseImage, Blanked]]) -> list[ShortcutAudit]:
        if not pairs:
            return []
        again = self.classify([blanked.network_input for _, blanked in pairs]).logits
        return [
            self._auditor.compare(blanked, assert_set(image.logits), logits)
            for (image, blanked), logits in zip(pairs, again, strict=True)
        ]

    def _judge(self, image: CaseImage, audit: ShortcutAudit) -> None:
        image.shortcut = audit
        detail = audit.judge(self._findings, self._matters(image), assert_set(self._limit))
        if detail is not None:
            image.follow(self._policy[Reason.SHORTCUT], Reason.SHORTCUT, detail)

    def _matters(self, image: CaseImage) -> list[bool]:
        """Return for each finding whether the gate may answer it."""
        groups = header_groups(assert_set(image.header))
        pairs = zip(self._findings, assert_set(image.probabilities), strict=True)
        return [
            finding in self._gate.costs
            or self._gate.decide(finding, float(probability), groups=groups)[0] is not Decision.DEFERRED
            for finding, probability in pairs
        ]
