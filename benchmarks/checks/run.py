"""Send files through the application, and pictures through the checks that it is composed of."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom import Dataset

from app import ChestXrayApp, ResidentApplication
from benchmarks.checks.figures import Outcome
from benchmarks.checks.sets import Picture
from candor.dicom.read.file import read_pixels
from candor.model.bundle import Bundle
from candor.model.engine import open_engine
from candor.settings import Settings
from candor.study.case import Case, CaseImage
from candor.study.policy import Action
from candor.study.reasons import Reason
from candor.words.results_json import FileEntry, read_results
from operators.answer.calibrator import Calibrator
from operators.answer.classifier import Classifier
from operators.answer.familiarity_check import FamiliarityCheck
from operators.answer.preprocessor import Preprocessor
from operators.answer.shortcut_check import ShortcutCheck
from operators.graph.base import CaseOperator
from operators.graph.jobs import Job, JobQueue
from operators.read.quality_check import QualityCheck
from training.data.pictures import as_radiograph, read_picture

AT_ONCE: Final = 8
"""Pictures of one case."""

EVERY_FINDING_COUNTS: Final[dict[str, Any]] = {"deferral_cost": 0.25, "costs": None}
"""Settings by which the shortcut check audits every picture; how high the cost is does not matter."""

_CHECKS: Final = (QualityCheck, Preprocessor, Classifier, FamiliarityCheck, Calibrator, ShortcutCheck)
_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)


class ComposedApp(ChestXrayApp):
    """The application composed but never run: it keeps its operators, in the order in which a study meets them."""

    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        self.stages: list[CaseOperator] = []
        super().__init__(JobQueue(), bundle, open_engine(bundle, settings.engine), settings)

    def add_flow(self, before: Any, after: Any, ports: Any = None) -> None:
        """Keep an operator instead of connecting it to the next."""
        self.stages.append(before)

    def checks(self) -> list[CaseOperator]:
        """Compose, and pick the operators that lead from a radiograph to what the checks say of it."""
        self.compose()
        return [stage for stage in self.stages if isinstance(stage, _CHECKS)]


def audit_of_every_picture(bundle: Bundle, settings: Settings) -> CaseOperator:
    """Compose a shortcut check that audits pictures without an answer too, and stops none."""
    every = settings.model_copy(update={**EVERY_FINDING_COUNTS, "on_shortcut": Action.NOTICE.value})
    return next(check for check in ComposedApp(bundle, every).checks() if isinstance(check, ShortcutCheck))


def check_pictures(pictures: Sequence[Picture], checks: Sequence[CaseOperator]) -> Outcome:
    """Send pictures through the checks, each with a header that states its patient's age, or none."""
    reasons: list[frozenset[Reason]] = []
    moved: list[float] = []
    for start in range(0, len(pictures), AT_ONCE):
        images = [_image(picture) for picture in pictures[start : start + AT_ONCE]]
        _check(images, checks)
        reasons += [stopped_for(image) for image in images]
        moved += [np.nan if image.shortcut is None else float(np.abs(image.shortcut.changes).max()) for image in images]
    return Outcome(reasons, np.asarray([picture.patient for picture in pictures], np.str_), np.asarray(moved))


def check_pixels(path: Path, checks: Sequence[CaseOperator]) -> frozenset[Reason]:
    """Send a DICOM file's pixels through the checks, as if its header said that it is the chest of an adult.

    Raises
    ------
    Refused
        The pixels cannot be decoded, or are no grey picture.
    """
    image = CaseImage(path.name, path, _header("050Y"), radiograph=read_pixels(path).radiograph)
    _check([image], checks)
    return stopped_for(image)


def _check(images: list[CaseImage], checks: Sequence[CaseOperator]) -> None:
    case = Case("", images, Path(), _DAY)
    for check in checks:
        check.work(case)


def _header(age: str) -> Dataset:
    header = Dataset()
    header.PatientAge = age
    return header


def _image(picture: Picture) -> CaseImage:
    radiograph = as_radiograph(read_picture(picture.path))
    return CaseImage(picture.path.name, picture.path, _header(picture.age), radiograph=radiograph)


def stopped_for(image: CaseImage) -> frozenset[Reason]:
    """Collect why an image was refused, or deferred as a whole.

    Raises
    ------
    RuntimeError
        It failed, which is no answer of a check.
    """
    notes = [*image.deferrals, *([image.refusal] if image.refusal else [])]
    if any(note.reason is Reason.PROCESSING_FAILED for note in notes):
        raise RuntimeError(f"{image.name}: {image.refusal.detail if image.refusal else ''}; no figure is worth it")
    return frozenset(note.reason for note in notes)


def run_application(folder: Path, models: Path, settings: Settings) -> list[FileEntry]:
    """Run the whole application over a folder: ``files`` of its ``results.json``."""
    with tempfile.TemporaryDirectory() as output, ResidentApplication(models, settings) as application:
        result = application.submit(Job(folder, Path(output))).result()
        return read_results(result.index).files
