"""Made-up cases for the tests of the results: headers of the factory, decisions and heatmaps out of the air."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset

from candor.dicom.report.document import build_report
from candor.dicom.shared.file import describe, write
from candor.dicom.shared.identity import fingerprint, reportable_images
from candor.dicom.write.key_objects import build_key_objects, select_key_objects
from candor.dicom.write.overlay import build_overlay, select_overlays
from candor.dicom.write.parametric_map import build_parametric_map
from candor.dicom.write.presentation_state import build_presentation_state, select_presentation_states
from candor.study.case import Case, CaseImage
from candor.study.findings import Finding
from candor.study.profile import Profile
from candor.study.provenance import Provenance
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason
from candor.study.result import (
    AnyAbnormality,
    Decision,
    FindingResult,
    Heatmap,
    Interval,
    LookFirst,
    Note,
    RuleOutAnswer,
    StudyAnswer,
)
from candor.study.result_object import KINDS, Kind, ResultObject
from candor.words.texts import ENGLISH, Texts
from tests.factory import chest_like, radiograph_dataset

PROVENANCE = Provenance(
    application_version="0.1.0",
    model_name="candor-chest14",
    model_version="1.0.0",
    bundle_sha256="ab" * 32,
    engine="onnxruntime-cpu",
    settings_sha256="cd" * 32,
    calibration="calibrated on 3000 images of 900 patients, at the prevalence of ChestX-ray14",
    gate="each finding misses at most 10 % of its positives, with 90 % confidence",
    familiarity="fitted to 3000 training images",
)
EVERYTHING = Profile(frozenset(KINDS), flag_deferrals=True)
"""The profile of a receiver that takes all there is."""

TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
_PROBABILITY = {Decision.PRESENT: 0.812, Decision.DEFERRED: 0.123, Decision.ABSENT: 0.0021}


def heatmap(row: int = 3, column: int = 3, peak: float = 1.8, region: str = "left lower zone") -> Heatmap:
    """A single smooth spot on a grid of 7 x 7."""
    y, x = np.mgrid[0:7, 0:7]
    spot = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2.0)
    return Heatmap((peak * np.where(spot > 0.05, spot, 0)).astype(np.float32), region)


def result(finding: Finding, decision: Decision, **changes: Any) -> FindingResult:
    """One answer; ``changes`` replace its other fields."""
    fields: dict[str, Any] = {
        "logit": 0.5,
        "probability": _PROBABILITY[decision],
        "prevalence": 0.05,
        "wrong": 0.125,
        "percentile": 97.0,
        "reason": Reason.BETWEEN_THRESHOLDS if decision is Decision.DEFERRED else None,
        "heatmap": heatmap(),
        "interval": Interval(0.8 * _PROBABILITY[decision], 1.1 * _PROBABILITY[decision]),
    }
    return FindingResult(finding=finding, decision=decision, **{**fields, **changes})


def all_results() -> tuple[FindingResult, ...]:
    """All 14 findings: present, deferred and absent by turns."""
    return tuple(
        result(finding, tuple(_PROBABILITY)[number % 3], heatmap=heatmap(1 + number % 5, 1 + number % 4))
        for number, finding in enumerate(Finding)
    )


def study_answer(any_abnormality: AnyAbnormality = AnyAbnormality.NOT_RULED_OUT, **changes: Any) -> StudyAnswer:
    """The answer for a study; ``changes`` replace its other fields."""
    looks = [
        LookFirst(finding, 4.53 - number, 0.2, 0.052, "left lower zone", "1.2.3")
        for number, finding in enumerate((Finding.MASS, Finding.NODULE))
    ]
    ruled_out = any_abnormality is AnyAbnormality.RULED_OUT
    fields: dict[str, Any] = {
        "score": None if any_abnormality is AnyAbnormality.NOT_JUDGED else 1.25,
        "priority": 87.43,
        "look_first": tuple(looks),
        "rule_outs": (RuleOutAnswer(0.05, 0.9, ruled_out), RuleOutAnswer(0.1, 0.9, ruled_out)),
        "max_missed": 0.05,
    }
    return StudyAnswer(any_abnormality, **{**fields, **changes})


def header_of(**arguments: Any) -> Dataset:
    """The header of a synthetic radiograph; see :func:`tests.factory.radiograph_dataset`."""
    dataset = radiograph_dataset(**arguments)
    del dataset.PixelData
    return dataset


def assessed(header: Dataset, name: str = "a.dcm", results: Iterable[FindingResult] | None = None) -> CaseImage:
    """An image with its results."""
    image = CaseImage(name, Path(name), header, fingerprint=fingerprint(header, "00"))
    image.radiograph = Radiograph((chest_like() / 4095).astype(np.float32))
    image.results = all_results() if results is None else tuple(results)
    return image


def refused(header: Dataset | None, reason: Reason, detail: str = "", name: str = "b.dcm") -> CaseImage:
    """An image that was not assessed."""
    return CaseImage(name, Path(name), header, refusal=Note(reason, detail))


def case_of(*images: CaseImage, time: datetime = TIME) -> Case:
    """The study of the first image that has a header."""
    uid = next((image.header.StudyInstanceUID for image in images if image.header is not None), "")
    return Case(uid, list(images), Path("study"), time)


def pa_and_lateral(**arguments: Any) -> Case:
    """A frontal image with notices, and a lateral of the same series that was refused."""
    shared = {"study": "s", "series": "s", **arguments}
    frontal = assessed(header_of(seed="1", **shared), "pa.dcm")
    frontal.notices.append(Note(Reason.NO_VOI, "the full range is 0 to 4095"))
    return case_of(frontal, refused(header_of(seed="2", view="LL", **shared), Reason.NOT_FRONTAL, name="ll.dcm"))


def positive(**arguments: Any) -> Case:
    """Findings of all decisions: present, deferred and absent by turns."""
    return _study(all_results(), **arguments)


def deferred(**arguments: Any) -> Case:
    """Every finding left to a radiologist."""
    return _study([result(finding, Decision.DEFERRED) for finding in Finding], **arguments)


def negative(**arguments: Any) -> Case:
    """Nothing found, and nothing left open."""
    return _study([result(finding, Decision.ABSENT) for finding in Finding], **arguments)


def not_assessed(**arguments: Any) -> Case:
    """A study of which no image was assessed."""
    return _study(None, **arguments)


CASES: dict[str, Callable[..., Case]] = {
    "positive": positive,
    "deferred": deferred,
    "negative": negative,
    "not assessed": not_assessed,
}
"""A study of every kind; each takes ``kind`` ("DX" or "CR"), ``monochrome1``, ``lateral`` (whether there is one, which
was refused), and any other argument of :func:`tests.factory.radiograph_dataset`."""


def _study(results: Iterable[FindingResult] | None, *, lateral: bool = False, **arguments: Any) -> Case:
    shared = {"study": "s", "series": "s", **arguments}
    header = header_of(seed="1", **shared)
    frontal = refused(header, Reason.NOT_CHEST, name="pa.dcm")
    if results is not None:
        frontal = assessed(header, "pa.dcm", results)
    others = [refused(header_of(seed="2", view="LL", **shared), Reason.NOT_FRONTAL, name="ll.dcm")] if lateral else []
    return case_of(frontal, *others)


def write_results(
    case: Case, folder: Path, overlays: int = 4, profile: Profile = EVERYTHING, texts: Texts = ENGLISH
) -> list[Path]:
    """Build and write all objects that a profile takes of a case, as the application does, and list the files.

    ``case.written`` names them all afterwards, the report first.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def store(kind: Kind, name: str, dataset: Dataset, **about: Any) -> ResultObject:
        write(dataset, folder / name)
        return describe(dataset, kind, name, **about)

    for kind, name, build, about in _objects_of_images(case, overlays, texts):
        if kind in profile.kinds:
            case.written.append(store(kind, name, build(), **about))
    of_profile = {"profiles": frozenset({profile.key})}
    if "sr" in profile.kinds:
        case.written.insert(0, store("sr", "sr.dcm", build_report(case, PROVENANCE, profile, texts), **of_profile))
    if "ko" in profile.kinds:
        documents = [
            (decision, build_key_objects(case, decision, PROVENANCE, profile, texts))
            for decision in select_key_objects(case, profile)
        ]
        case.written += [store("ko", f"ko-{decision.value}.dcm", each, **of_profile) for decision, each in documents]
    return sorted(folder.glob("*.dcm"))


def _objects_of_images(
    case: Case, overlays: int, texts: Texts
) -> Iterator[tuple[Kind, str, Callable[[], Dataset], dict[str, Any]]]:
    """Say of each object of an image its kind, its file, how it is built, and what it is about."""
    for number, (image, found) in enumerate(select_overlays(case, overlays), 1):
        about: dict[str, Any] = {"finding": found.finding, "source": image.sop_instance_uid}
        yield "sc", f"sc-{number}.dcm", partial(build_overlay, case, image, found, PROVENANCE, number, texts), about
    for number, image in enumerate(select_presentation_states(case), 1):
        about = {"source": image.sop_instance_uid}
        build = partial(build_presentation_state, case, image, PROVENANCE, number, texts)
        yield "gsps", f"gsps-{number}.dcm", build, about
    for number, image in enumerate((each for each in reportable_images(case) if each.results), 1):
        about = {"source": image.sop_instance_uid}
        yield "pm", f"pm-{number}.dcm", partial(build_parametric_map, case, image, PROVENANCE, number, texts), about
