"""The message that flows through the operators: one study with what each stage added to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from candor.study.errors import ObjectIncomplete
from candor.study.findings import Finding
from candor.study.policy import Action
from candor.study.provenance import ForeignFit
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason
from candor.study.result import (
    Decision,
    Disposition,
    FindingResult,
    Heatmap,
    Note,
    ShortcutAudit,
    StudyAnswer,
    disposition,
    roll_up,
)
from candor.study.result_object import Predecessor, ResultObject

T = TypeVar("T")


def assert_set(value: T | None) -> T:
    """Return a value that an earlier stage must have set.

    Raises
    ------
    RuntimeError
        The value is None: the stages do not run in their order.
    """
    if value is None:
        raise RuntimeError("a stage ran before the one that it builds on")
    return value


@dataclass(slots=True)
class CaseImage:
    """One input file of a study, with its results.

    Parameters
    ----------
    name
        The file's path below the job's input folder, with ``/``.
    path
        The file.
    header
        All attributes except the pixel data; None where the file could not be read.
    refusal
        Why the image is not assessed; None while it can be.
    notices
        Remarks about an image that is assessed.
    deferrals
        Why every finding of the image is left to a radiologist, whatever the gate says; empty for most images.
    fingerprint
        SHA-256 of pixels and identity (:func:`candor.dicom.shared.identity.fingerprint`), in hexadecimal.
    radiograph
        Set by reading.
    network_input
        Set by preprocessing: ``(sizes, side, side)`` float32.
    logits, activation, features
        Set by classifying: ``(findings,)``, ``(findings, height, width)`` and ``(channels,)`` float32.
    shortcut
        The result of blanking marks and borders; None where there are none, or no finding is answered.
    heatmaps
        Set by explaining, one for each finding.
    probabilities
        Set by calibrating: ``(findings,)`` float64.
    results
        Set by the gate, one for each finding.
    """

    name: str
    path: Path
    header: Dataset | None = field(default=None, repr=False)  # a repr may end in a log line
    refusal: Note | None = None
    notices: list[Note] = field(default_factory=list)
    deferrals: list[Note] = field(default_factory=list)
    fingerprint: str = ""
    radiograph: Radiograph | None = None
    network_input: NDArray[np.float32] | None = None
    logits: NDArray[np.float32] | None = None
    activation: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None
    shortcut: ShortcutAudit | None = None
    heatmaps: tuple[Heatmap, ...] = ()
    probabilities: NDArray[np.float64] | None = None
    results: tuple[FindingResult, ...] = ()

    @property
    def assessed(self) -> bool:
        """Whether the image has not been refused so far."""
        return self.refusal is None

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID (0008,0018); "" where the file has no readable one."""
        return str(self.header.get("SOPInstanceUID", "")) if self.header is not None else ""

    def release(self) -> None:
        """Free the pixels, which nothing needs once the results are written."""
        self.radiograph = None
        self.network_input = None

    def refuse(self, reason: Reason, detail: str, value: str = "") -> None:
        """Refuse the image; a reason that it was refused for before stays.

        Parameters
        ----------
        reason
            The coded reason.
        detail
            One sentence for a person; it holds no patient's data.
        value
            The value of the header that the reason is about (:class:`candor.study.result.Note`).
        """
        if self.refusal is None:
            self.refusal = Note(reason, detail, value)
            self.results = ()

    def follow(self, action: Action, reason: Reason, detail: str) -> None:
        """Refuse the image, defer it, or add a notice.

        Parameters
        ----------
        action
            What to do.
        reason
            The coded reason of the check.
        detail
            One sentence for a person; it holds no patient's data.
        """
        if action is Action.REFUSE:
            self.refuse(reason, detail)
        elif action is Action.DEFER:
            self.deferrals.append(Note(reason, detail))
        else:
            self.notices.append(Note(reason, detail))


@dataclass(slots=True)
class Case:
    """One study on its way through the application.

    Parameters
    ----------
    study_instance_uid
        Study Instance UID (0020,000D); "" for files without a readable one, which get no report.
    images
        Every input file of the study.
    output
        Folder for the study's result objects.
    time
        The job's time, with a time zone; all times in the results derive from it.
    predecessors
        The reports of earlier versions of the study's results, oldest first.
    answer
        The answer for the study as a whole; None where the bundle has no model for it.
    foreign_fit
        The permission to answer by a fit to other patients, which the report names; None where there is none.
    written
        The result objects that have been written.
    failure
        Why the study's results could not be written; None while nothing failed.
    incomplete
        The failure, where an object of the study lacks what it must have: the same images give it again.
    seconds
        How long each stage took, by the stage's name. It is in no result, because results must be reproducible.
    """

    study_instance_uid: str
    images: list[CaseImage]
    output: Path
    time: datetime
    predecessors: tuple[Predecessor, ...] = ()
    answer: StudyAnswer | None = None
    foreign_fit: ForeignFit | None = None
    written: list[ResultObject] = field(default_factory=list)
    failure: str | None = None
    incomplete: ObjectIncomplete | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def assessed_images(self) -> list[CaseImage]:
        """The images that have not been refused so far."""
        return [image for image in self.images if image.assessed]

    @property
    def disposition(self) -> Disposition:
        """The answer for the study as a whole, from the results of its images."""
        return disposition(result for image in self.assessed_images for result in image.results)

    def decision(self, finding: Finding) -> Decision:
        """Return one finding's decision for the study."""
        return roll_up(
            result.decision for image in self.assessed_images for result in image.results if result.finding is finding
        )
