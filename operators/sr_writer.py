"""Writes the report as a Structured Report."""

from __future__ import annotations

from typing import Any

from cxr.case import Case, WrittenObject
from cxr.dicom.sr import build_report
from cxr.dicom.write import write
from cxr.provenance import Provenance
from operators.base import CaseOperator, kind
from operators.publish import staging
from operators.sdk import Fragment

REPORT = "sr.dcm"


class SRWriter(CaseOperator):
    """Writes one Comprehensive 3D SR (TID 1500) for every study, whatever became of its images.

    Named input:
        case: a study with results and overlays.

    Named output:
        case: the same; ``written`` names the report, or ``failure`` says why there is none.
    """

    def __init__(self, fragment: Fragment, *args: Any, provenance: Provenance, **kwargs: Any) -> None:
        self._provenance = provenance
        super().__init__(fragment, *args, **kwargs)

    def work(self, case: Case) -> None:
        """Write the report of one study; files without a study get none."""
        if not case.study_instance_uid:
            return
        report = build_report(case, self._provenance)
        write(report, staging(case) / REPORT)
        case.written.insert(
            0, WrittenObject(kind="sr", file=f"{case.output.name}/{REPORT}", sop_instance_uid=report.SOPInstanceUID)
        )

    def fail(self, case: Case, error: Exception) -> None:
        """Record that the study has no report."""
        case.failure = f"the report could not be written: {kind(error)}"
