"""The results of one study for Python programs, as ``candor.assess`` returns them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from candor import RESEARCH_USE
from candor.study.case import Case, CaseImage, assert_set
from candor.study.findings import Finding
from candor.study.result import (
    Decision,
    Disposition,
    FindingResult,
    Note,
    ShortcutAudit,
    StudyAnswer,
    disposition,
    roll_up,
)


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that was not assessed.

    Parameters
    ----------
    name
        The file's path below the input folder, with ``/``.
    sop_instance_uid
        SOP Instance UID (0008,0018); "" where the file has no readable one.
    note
        The coded reason, with one sentence.
    """

    name: str
    sop_instance_uid: str
    note: Note


@dataclass(frozen=True, slots=True, eq=False)
class ImageResult:
    """The results of one assessed image.

    Parameters
    ----------
    name
        The file's path below the input folder, with ``/``.
    sop_instance_uid
        SOP Instance UID (0008,0018).
    findings
        One result for each finding of the bundle, in the bundle's order: logit, calibrated probability, decision with
        its reason, heatmap.
    notices
        Remarks about the image.
    deferrals
        Why every finding of the image is left to a radiologist, whatever the gate says; empty for most images.
    shortcut
        The result of blanking marks and borders; None where there are none, or no finding is answered.
    """

    name: str
    sop_instance_uid: str
    findings: tuple[FindingResult, ...]
    notices: tuple[Note, ...]
    deferrals: tuple[Note, ...]
    shortcut: ShortcutAudit | None

    @property
    def logits(self) -> NDArray[np.float64]:
        """The network's logits, ``(findings,)``."""
        return np.array([result.logit for result in self.findings])

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The calibrated probabilities, ``(findings,)`` in [0, 1]."""
        return np.array([result.probability for result in self.findings])


@dataclass(frozen=True, slots=True, eq=False)
class StudyResult:
    """The results of one study. Research use only, not for diagnosis.

    Parameters
    ----------
    study_instance_uid
        Study Instance UID (0020,000D); "" for the files without a readable one.
    images
        The assessed images, in the order of their names.
    refused
        The files that were not assessed, in the order of their names.
    answer
        The answer for the study as a whole; None where the bundle has no model for it.
    objects
        The result objects that were written; empty where no output folder was given.
    failure
        Why the result objects could not be written; None where nothing failed.
    """

    study_instance_uid: str
    images: tuple[ImageResult, ...]
    refused: tuple[RefusedFile, ...]
    answer: StudyAnswer | None = None
    objects: tuple[Path, ...] = ()
    failure: str | None = None
    notice: ClassVar[str] = RESEARCH_USE

    @property
    def disposition(self) -> Disposition:
        """The answer for the study as a whole."""
        return disposition(result for image in self.images for result in image.findings)

    @property
    def decisions(self) -> dict[Finding, Decision]:
        """The decision of each finding for the study; empty where no image was assessed."""
        results = [result for image in self.images for result in image.findings]
        return {
            finding: roll_up(result.decision for result in results if result.finding is finding)
            for finding in dict.fromkeys(result.finding for result in results)
        }


def study_result(case: Case) -> StudyResult:
    """Return the results of a study that has passed all stages."""
    return StudyResult(
        study_instance_uid=case.study_instance_uid,
        images=tuple(_image(image) for image in case.assessed_images),
        refused=tuple(
            RefusedFile(image.name, image.sop_instance_uid, assert_set(image.refusal))
            for image in case.images
            if not image.assessed
        ),
        answer=case.answer,
        objects=tuple(case.output.parent / written.file for written in case.written),
        failure=case.failure,
    )


def _image(image: CaseImage) -> ImageResult:
    return ImageResult(
        name=image.name,
        sop_instance_uid=image.sop_instance_uid,
        findings=image.results,
        notices=tuple(image.notices),
        deferrals=tuple(image.deferrals),
        shortcut=image.shortcut,
    )
