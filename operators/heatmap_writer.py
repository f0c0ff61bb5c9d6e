"""Writes heatmap overlays as Secondary Captures."""

from __future__ import annotations

from typing import Any

from cxr.case import Case, CaseImage, WrittenObject
from cxr.dicom.sc import build_overlay, select_overlays
from cxr.dicom.write import write
from cxr.provenance import Provenance
from cxr.result import FindingResult
from operators.base import CaseOperator, attempt, refuse
from operators.publish import staging
from operators.sdk import Fragment


class HeatmapWriter(CaseOperator):
    """Writes an overlay for the findings that are present or deferred, at most ``max_overlays`` a study.

    Named input:
        case: a study with results.

    Named output:
        case: the same; ``written`` names the overlays.
    """

    def __init__(
        self, fragment: Fragment, *args: Any, provenance: Provenance, max_overlays: int, **kwargs: Any
    ) -> None:
        self._provenance = provenance
        self._max_overlays = max_overlays
        super().__init__(fragment, *args, **kwargs)

    def work(self, case: Case) -> None:
        """Write the overlays of one study; an image whose overlay fails is refused, and its overlays go."""
        for number, (image, result) in enumerate(select_overlays(case, self._max_overlays), start=1):
            self._attempt(case, image, result, number)
        kept = {image.sop_instance_uid for image in case.assessed_images}
        for lost in [written for written in case.written if written.source not in kept]:
            (staging(case) / lost.file.rpartition("/")[2]).unlink()
            case.written.remove(lost)

    def _attempt(self, case: Case, image: CaseImage, result: FindingResult, number: int) -> None:
        attempt(
            lambda: self._write(case, image, result, number),
            on_failure=lambda error: refuse(image, self.name, error),
        )

    def _write(self, case: Case, image: CaseImage, result: FindingResult, number: int) -> None:
        overlay = build_overlay(case, image, result, self._provenance, number=number)
        name = f"sc-{number}-{result.finding.label.lower()}.dcm"
        write(overlay, staging(case) / name)
        case.written.append(
            WrittenObject(
                kind="sc",
                file=f"{case.output.name}/{name}",
                sop_instance_uid=overlay.SOPInstanceUID,
                finding=result.finding,
                source=image.sop_instance_uid,
            )
        )
