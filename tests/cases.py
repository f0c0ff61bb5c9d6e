"""Made-up cases for the tests of the results: headers of the factory, decisions and heatmaps out of the air."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset

from cxr.case import Case, CaseImage, WrittenObject
from cxr.dicom.identity import fingerprint
from cxr.dicom.sc import build_overlay, select_overlays
from cxr.dicom.sr import build_report
from cxr.dicom.write import write
from cxr.findings import Finding
from cxr.provenance import Provenance
from cxr.radiograph import Radiograph
from cxr.reasons import Reason
from cxr.result import Decision, FindingResult, Heatmap, Note
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
    }
    return FindingResult(finding=finding, decision=decision, **{**fields, **changes})


def all_results() -> tuple[FindingResult, ...]:
    """All 14 findings: present, deferred and absent by turns."""
    return tuple(
        result(finding, tuple(_PROBABILITY)[number % 3], heatmap=heatmap(1 + number % 5, 1 + number % 4))
        for number, finding in enumerate(Finding)
    )


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


def write_results(case: Case, folder: Path, overlays: int = 4) -> list[Path]:
    """Build and write a case's overlays and its report, as the application does."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (image, found) in enumerate(select_overlays(case, overlays), 1):
        overlay = build_overlay(case, image, found, PROVENANCE, number)
        write(overlay, folder / f"sc-{number}.dcm")
        uid = overlay.SOPInstanceUID
        case.written.append(WrittenObject("sc", f"sc-{number}.dcm", uid, found.finding, image.sop_instance_uid))
    write(build_report(case, PROVENANCE), folder / "sr.dcm")
    return sorted(folder.glob("*.dcm"))
