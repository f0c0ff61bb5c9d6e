"""Example objects of every kind, from synthetic sources that differ in everything that a result may copy.

What is the same in all of them is fixed; what changes with the source, and is there, is copied; the rest is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite

from candor.dicom.report.document import SOP_CLASSES, build_report
from candor.dicom.shared.file import describe
from candor.dicom.shared.identity import fingerprint
from candor.dicom.write.key_objects import build_key_objects, select_key_objects
from candor.dicom.write.overlay import build_overlay, select_overlays
from candor.dicom.write.parametric_map import build_parametric_map
from candor.dicom.write.presentation_state import build_presentation_state, select_presentation_states
from candor.dicom.write.rejection_note import Rejection, build_rejection_note
from candor.study.case import Case, CaseImage
from candor.study.findings import Finding
from candor.study.profile import Profile, ReportClass
from candor.study.provenance import Provenance, derived_uid
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason
from candor.study.result import Decision, FindingResult, Heatmap, Interval, Note
from candor.study.result_object import KINDS, Kind, Predecessor, ResultObject
from candor.words.texts import ENGLISH, GERMAN, Texts
from tools.conformance.sources import BARE, FILLED, source

_DECISIONS: Final = (Decision.PRESENT, Decision.DEFERRED, Decision.ABSENT)
_REPORT_CLASSES: Final = (
    ReportClass.ENHANCED,
    ReportClass.COMPREHENSIVE_3D,
    ReportClass.COMPREHENSIVE,
    ReportClass.COMPREHENSIVE_3D,
)
_ZONES: Final = (UTC, timezone(timedelta(hours=1)), UTC, timezone(timedelta(hours=-5)))


@dataclass(frozen=True)
class Made:
    """A result as it was read back from its file.

    Parameters
    ----------
    kind
        The rejection note counts among the key objects.
    sources
        The images that it is about, as they stand in their files.
    texts
        The language that it was made in.
    """

    kind: Kind
    dataset: Dataset
    sources: tuple[Dataset, ...]
    texts: Texts


@cache
def results() -> tuple[Made, ...]:
    """Return results of every kind: of each source, in each language, about assessed and refused images."""
    made = [result for number in (*FILLED, BARE) for result in _results_of(_case(number), number, ENGLISH)]
    made += _results_of(_not_assessed(BARE), BARE, ENGLISH)
    made += _results_of(_case(FILLED[0]), FILLED[0], GERMAN)
    return tuple(made)


def _results_of(case: Case, number: int, texts: Texts) -> Iterator[Made]:
    sources = tuple(image.header for image in case.images if image.header is not None)
    provenance = _provenance(number)

    def read_back(kind: Kind, dataset: Dataset) -> Made:
        file = BytesIO()
        dcmwrite(file, dataset, enforce_file_format=True)
        file.seek(0)
        return Made(kind, dcmread(file), sources, texts)

    for kind, about, build in _of_images(case, provenance, texts):
        made = read_back(kind, build())
        case.written.append(_written(made, **about))
        yield made
    profile = Profile(frozenset(KINDS), _REPORT_CLASSES[number], flag_deferrals=True)
    report = read_back("sr", build_report(case, provenance, profile, texts))
    case.written.append(_written(report))
    yield report
    for decision in select_key_objects(case, profile):
        yield read_back("ko", build_key_objects(case, decision, provenance, profile, texts))
    for rejection in Rejection:
        note = build_rejection_note(sources[0], case.written, rejection, "Withdrawn.", provenance, case.time)
        yield read_back("ko", note)


def _of_images(
    case: Case, provenance: Provenance, texts: Texts
) -> Iterator[tuple[Kind, dict[str, Any], Callable[[], Dataset]]]:
    """Yield the kind, the finding and the builder of each object of an image."""
    for number, (image, found) in enumerate(select_overlays(case, 2), 1):
        about: dict[str, Any] = {"source": image.sop_instance_uid, "finding": found.finding}
        yield "sc", about, partial(build_overlay, case, image, found, provenance, number, texts)
    for number, image in enumerate(select_presentation_states(case), 1):
        about = {"source": image.sop_instance_uid}
        yield "gsps", about, partial(build_presentation_state, case, image, provenance, number, texts)
    for number, image in enumerate((image for image in case.images if image.results), 1):
        about = {"source": image.sop_instance_uid}
        yield "pm", about, partial(build_parametric_map, case, image, provenance, number, texts)


def _written(made: Made, **about: Any) -> ResultObject:
    return describe(made.dataset, made.kind, f"{made.kind}.dcm", **about)


def _provenance(number: int) -> Provenance:
    return Provenance(
        application_version=f"1.{number}.0",
        model_name=f"model-{number}",
        model_version=f"2.{number}.0",
        bundle_sha256=f"{number}f" * 32,
        engine="onnxruntime-cpu",
        settings_sha256="0" * 64,
        calibration=f"calibrated on {number}000 images",
        gate=f"gate {number}",
        familiarity=None if number == BARE else f"fitted to {number}000 images",
    )


def _case(number: int) -> Case:
    """Return a study of two frontal images, with findings of each decision, and a refused lateral."""
    images = [_assessed(source(number, place), number) for place in (1, 2)]
    images[1].notices = [Note(Reason.NO_VOI, "it shows nothing")]
    images.append(_refused(source(number, 3), Reason.NOT_FRONTAL, "the view is lateral"))
    case = _case_of(images, number)
    if number != BARE:
        series, instance = (derived_uid("earlier", kind, str(number)) for kind in ("series", "instance"))
        report = SOP_CLASSES[_REPORT_CLASSES[number]]
        case.predecessors = (Predecessor(case.study_instance_uid, series, str(report), instance),)
    return case


def _not_assessed(number: int) -> Case:
    return _case_of([_refused(source(number, 4), Reason.NOT_CHEST, "the body part is ABDOMEN")], number)


def _case_of(images: list[CaseImage], number: int) -> Case:
    time = datetime(2026, 1, 2 + number, 3, 4, 5, 678900 + number, tzinfo=_ZONES[number])
    uid = images[0].header.StudyInstanceUID if images[0].header else ""
    return Case(uid, images, Path("study"), time)


def _assessed(header: Dataset, number: int) -> CaseImage:
    image = CaseImage(header.SOPInstanceUID, Path("image.dcm"), header, fingerprint=fingerprint(header, "0"))
    ramp = np.linspace(0, 1, header.Rows * header.Columns, dtype=np.float32)
    image.radiograph = Radiograph(ramp.reshape(header.Rows, header.Columns))
    image.notices = [Note(Reason.VIEW_BLANK, "the view is empty")]
    image.deferrals = [Note(Reason.MUCH_TEXT, "a fifth of the picture")]
    found = list(Finding)[: 14 - 3 * number]
    image.results = tuple(_result(finding, place, number) for place, finding in enumerate(found))
    return image


def _refused(header: Dataset, reason: Reason, detail: str) -> CaseImage:
    return CaseImage(header.SOPInstanceUID, Path("image.dcm"), header, refusal=Note(reason, detail))


def _result(finding: Finding, place: int, number: int) -> FindingResult:
    decision = _DECISIONS[place % 3]
    grid = np.zeros((7 + number, 7 + number), np.float32)
    grid[2 + place % 3, 3] = 1.0 + number
    grid[2 + place % 3, 4] = 0.5
    return FindingResult(
        finding=finding,
        decision=decision,
        logit=0.5,
        probability=(0.81, 0.12, 0.002)[place % 3],
        prevalence=0.05,
        wrong=0.125,
        percentile=None if number == BARE else 97.0,
        reason=Reason.BETWEEN_THRESHOLDS if decision is Decision.DEFERRED else None,
        heatmap=Heatmap(grid, "left lower zone"),
        interval=None if number == BARE else Interval(0.001, 0.85),
    )
