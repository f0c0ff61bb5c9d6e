"""Writes heatmap overlays as Secondary Captures."""

from __future__ import annotations

from functools import partial
from typing import Any

from highdicom.sc import SCImage

from candor.dicom.write.overlay import build_overlay, select_overlays
from candor.evidence.overlay import Canvas
from candor.study.case import Case, CaseImage, assert_set
from candor.study.result import FindingResult
from operators.graph.sdk import Fragment
from operators.write.object_writer import ImageObjectWriter


class OverlayWriter(ImageObjectWriter):
    """Writes an overlay for the findings that are present or deferred, at most ``max_overlays`` a study.

    The study's are chosen once, whatever findings a receiver takes: an overlay is the same for all.

    Named input:
        case: a study with results.

    Named output:
        case: the same; ``written`` names the overlays.

    Parameters
    ----------
    fragment
        The application.
    max_overlays
        Most overlays of a study.
    """

    makes = "sc"

    def __init__(self, fragment: Fragment, *args: Any, max_overlays: int, **kwargs: Any) -> None:
        self._max_overlays = max_overlays
        super().__init__(fragment, *args, **kwargs)

    def write_all(self, case: Case) -> None:
        """Write the overlays of one study; those of an image are drawn on one canvas."""
        canvases: dict[str, Canvas] = {}
        for number, (image, result) in enumerate(select_overlays(case, self._max_overlays), start=1):
            build = partial(self._build, case, image, result, number, canvases)
            self.attempt_object(case, image, build, f"sc-{number}-{result.finding.label.lower()}.dcm", result.finding)

    def _build(
        self, case: Case, image: CaseImage, result: FindingResult, number: int, canvases: dict[str, Canvas]
    ) -> SCImage:
        uid = image.sop_instance_uid
        if uid not in canvases:
            canvases[uid] = Canvas.of(assert_set(image.radiograph))
        return build_overlay(case, image, result, self.provenance, number, self.texts, canvases[uid])
