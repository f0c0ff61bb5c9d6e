"""Looks whether an image's answers hang on marks or borders."""

from __future__ import annotations

from typing import Any

from cxr.calibrate import Calibration
from cxr.case import CaseImage, given
from cxr.defer import Gate
from cxr.findings import Finding
from cxr.policy import Policy
from cxr.reasons import Reason
from cxr.result import Decision
from operators.base import ImageOperator
from operators.sdk import Fragment


class ShortcutCheck(ImageOperator):
    """Does what the site has set where blanking marks or borders moves an answer too far.

    A finding that the gate would leave to a radiologist anyway does not count. Where costs decide, a learned gate may
    answer where the probability alone would not: there every finding counts.

    Named input:
        case: a study with probabilities and shortcut audits.

    Named output:
        case: the same; what hangs on marks or borders is refused, or has a deferral or a notice more.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        gate: Gate,
        calibration: Calibration,
        limit: float | None,
        policy: Policy,
        **kwargs: Any,
    ) -> None:
        """Take the largest change that is none, ``limit``, in log-odds; without one nothing is checked."""
        self._gate = gate
        self._findings = tuple(calibration.maps)
        self._limit = limit
        self._policy = policy
        super().__init__(fragment, *args, **kwargs)

    def work_on(self, image: CaseImage) -> None:
        """Check one image."""
        if image.shortcut is None or self._limit is None:
            return
        pairs = zip(self._findings, given(image.probabilities), strict=True)
        matters = [self._matters(finding, float(probability)) for finding, probability in pairs]
        detail = image.shortcut.judge(self._findings, matters, self._limit)
        if detail is not None:
            image.follow(self._policy[Reason.SHORTCUT], Reason.SHORTCUT, detail)

    def _matters(self, finding: Finding, probability: float) -> bool:
        return finding in self._gate.costs or self._gate.decide(finding, probability)[0] is not Decision.DEFERRED
