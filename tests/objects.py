"""All result objects of one image, on disk, as the application writes them one after another."""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset

from candor.dicom.report.document import build_report
from candor.dicom.shared.file import describe, write
from candor.dicom.write.key_objects import build_key_objects
from candor.dicom.write.overlay import build_overlay
from candor.dicom.write.parametric_map import build_parametric_map
from candor.dicom.write.presentation_state import build_presentation_state
from candor.study.case import Case
from candor.study.findings import Finding
from candor.study.profile import Profile
from candor.study.result import Decision
from candor.study.result_object import KINDS, Kind
from candor.words.texts import ENGLISH, Texts
from tests.cases import PROVENANCE, assessed, case_of, result

EVERYTHING = Profile(frozenset(KINDS))


def case_with(header: Dataset) -> Case:
    """The case of one image with a positive and a deferred finding."""
    results = result(Finding.EFFUSION, Decision.PRESENT), result(Finding.EDEMA, Decision.DEFERRED)
    return case_of(assessed(header, results=results))


def write_objects(header: Dataset, folder: Path, texts: Texts = ENGLISH) -> dict[Kind, Path]:
    """Write one object of each kind about an image; returns their files by kind."""
    case = case_with(header)
    (image,) = case.images
    files: dict[Kind, Path] = {}

    def add(kind: Kind, dataset: Dataset, finding: Finding | None = None) -> None:
        files[kind] = folder / f"{kind}.dcm"
        write(dataset, files[kind])
        source = None if kind in ("sr", "ko") else image.sop_instance_uid
        case.written.append(describe(dataset, kind, files[kind].name, finding=finding, source=source))

    add("sc", build_overlay(case, image, image.results[0], PROVENANCE, texts=texts), image.results[0].finding)
    add("gsps", build_presentation_state(case, image, PROVENANCE, texts=texts))
    add("pm", build_parametric_map(case, image, PROVENANCE, texts=texts))
    add("sr", build_report(case, PROVENANCE, EVERYTHING, texts))
    add("ko", build_key_objects(case, Decision.PRESENT, PROVENANCE, EVERYTHING, texts))
    return files
