"""The answers: a decision and a heatmap for each finding of an image, and a disposition for the study."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candor.study.findings import Finding
from candor.study.reasons import Reason


@unique
class Decision(Enum):
    """The answer for one finding; the order is the order of the roll-up."""

    PRESENT = "present"
    DEFERRED = "deferred"
    ABSENT = "absent"
    NOT_ASSESSED = "not assessed"


@unique
class Disposition(Enum):
    """The answer for the study as a whole."""

    REPORTED = "reported"  # every finding was answered
    DEFERRED = "deferred"  # at least one finding is left to a radiologist
    NOT_ASSESSED = "not assessed"  # no image could be assessed


@dataclass(frozen=True, slots=True)
class Note:
    """A coded reason with one sentence for a person; it holds no patient's data.

    Parameters
    ----------
    value
        The value of the header that the reason is about, as :func:`candor.study.selection.shown` returns it; "" where
        there is none. The detail quotes it.
    """

    reason: Reason
    detail: str = ""
    value: str = ""

    @property
    def text(self) -> str:
        """The reason's meaning, and the detail where there is one."""
        return f"{self.reason.meaning}: {self.detail}" if self.detail else self.reason.meaning


@dataclass(frozen=True, slots=True, eq=False)
class Heatmap:
    """Where the evidence for one finding lies.

    Parameters
    ----------
    grid
        ``(height, width)`` float32, at least 0: the positive part of the class activation, in units of the
        logit (Grad-CAM for a linear head, times the number of cells). Rows and columns span the whole image.
    region
        The hottest cell in words, by the patient's own sides where they are known ("left lower zone").
    """

    grid: NDArray[np.float32]
    region: str

    @property
    def peak(self) -> float:
        """The hottest cell's value, in units of the logit."""
        return float(self.grid.max())


class Interval(NamedTuple):
    """The interval of a probability: two probabilities in [0, 1]."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class FindingResult:
    """The answer for one finding on one image.

    Parameters
    ----------
    probability
        Calibrated P(present) at the assumed prevalence, in [0, 1].
    prevalence
        The assumed prevalence, in [0, 1].
    wrong
        P(wrong) of the better answer, in [0, 1]: by the learned gate, or by the probability where there is none.
    percentile
        Share of the bundle's test images that score lower, in percent; None where the bundle does not say.
    reason
        Why the finding was deferred; None where it was answered.
    interval
        The 90% interval of the probability, by chance in the patients of the calibration; None where the bundle has
        none.
    """

    finding: Finding
    logit: float
    probability: float
    prevalence: float
    wrong: float
    percentile: float | None
    decision: Decision
    reason: Reason | None
    heatmap: Heatmap
    interval: Interval | None = None


@unique
class AnyAbnormality(Enum):
    """The answer to whether a study shows any abnormality. None of them says that the study is normal."""

    RULED_OUT = "ruled out"  # nothing that Candor looks for is likely; the promise is that of a rule-out
    NOT_RULED_OUT = "not ruled out"
    NOT_JUDGED = "not judged"  # no picture of it was judged


@dataclass(frozen=True, slots=True)
class LookFirst:
    """A finding that a reader should look at first, and why.

    Parameters
    ----------
    finding
        The finding.
    odds_ratio
        Its odds over those at the assumed prevalence.
    probability, prevalence
        Calibrated P(present) of the image where it is highest, and the assumed prevalence, in [0, 1].
    region
        Where the strongest evidence lies in that image (:attr:`Heatmap.region`).
    sop_instance_uid
        SOP Instance UID (0008,0018) of that image.
    """

    finding: Finding
    odds_ratio: float
    probability: float
    prevalence: float
    region: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class RuleOutAnswer:
    """Whether a study is ruled out under one promise.

    Parameters
    ----------
    max_missed
        Largest share of the abnormal studies that may be called unremarkable.
    confidence
        Probability that the fitted threshold keeps the promise.
    ruled_out
        Whether the study is called unremarkable under it.
    """

    max_missed: float
    confidence: float
    ruled_out: bool


@dataclass(frozen=True, slots=True)
class StudyAnswer:
    """The answer for a study as a whole: any abnormality, its place in the worklist, and what to look at first.

    Parameters
    ----------
    any_abnormality
        The answer under the promise that the site has set.
    score
        The highest score of its judged images, in log-odds; None where none was judged.
    priority
        Share of the calibration studies that score lower, from 0 to 100.
    look_first
        At most three findings, the first first; empty where the study is ruled out.
    rule_outs
        The answer under every promise that the bundle was fitted to.
    max_missed
        Which of them counts; None where the site rules nothing out.
    """

    any_abnormality: AnyAbnormality
    score: float | None
    priority: float
    look_first: tuple[LookFirst, ...]
    rule_outs: tuple[RuleOutAnswer, ...]
    max_missed: float | None

    @property
    def rule_out(self) -> RuleOutAnswer | None:
        """The answer under the promise that counts; None where there is none."""
        return next((answer for answer in self.rule_outs if answer.max_missed == self.max_missed), None)


def roll_up(decisions: Iterable[Decision]) -> Decision:
    """Return one finding's decision for a study, from those for its images.

    PRESENT if any image is, else DEFERRED if any, else ABSENT if any, else NOT_ASSESSED.
    """
    seen = set(decisions)
    return next((decision for decision in Decision if decision in seen), Decision.NOT_ASSESSED)


def disposition(results: Iterable[FindingResult]) -> Disposition:
    """Return the disposition of a study, from the results of all its assessed images."""
    decisions = {result.decision for result in results}
    if Decision.DEFERRED in decisions:
        return Disposition.DEFERRED
    return Disposition.REPORTED if decisions - {Decision.NOT_ASSESSED} else Disposition.NOT_ASSESSED


@dataclass(frozen=True, slots=True, eq=False)
class ShortcutAudit:
    """How much the answers change when marks and borders are blanked; see :mod:`candor.picture.shortcut`.

    Parameters
    ----------
    what
        What was blanked, in words: ``"the marks in the upper left corner and the borders"``.
    changes
        ``(findings,)`` float64: the calibrated log-odds with it blanked, minus those of the image as it is.
    """

    what: str
    changes: NDArray[np.float64]

    def judge(self, findings: Sequence[Finding], matters: Sequence[bool], limit: float) -> str | None:
        """Return a sentence about the answer that changes most; None where no answer changes by more than the limit.

        Parameters
        ----------
        findings
            The findings, in the order of ``changes``.
        matters
            For each finding, whether its answer matters.
        limit
            The largest change that is accepted, in log-odds.
        """
        moved = np.where(matters, np.abs(self.changes), 0.0)
        most = int(np.argmax(moved))
        if moved[most] <= limit:
            return None
        return f"blanking {self.what} changes {findings[most].display} by {self.changes[most]:+.1f} log-odds"
