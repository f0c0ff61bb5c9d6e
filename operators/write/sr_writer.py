"""Writes the report as a Structured Report."""

from __future__ import annotations

from candor.dicom.report.document import build_report
from candor.study.case import Case
from operators.write.object_writer import ProfileObjectWriter


class SRWriter(ProfileObjectWriter):
    """Writes a report (TID 1500) for every study, whatever became of its images: one for each distinct profile.

    Named input:
        case: a study with results and with all objects that a report refers to.

    Named output:
        case: the same; ``written`` names the reports first, or ``failure`` says why there are none.
    """

    makes = "sr"
    what = "report"

    def write_all(self, case: Case) -> None:
        """Write the reports of one study."""
        reports = ((profile, build_report(case, self.provenance, profile, self.texts)) for profile in self.profiles)
        case.written[:0] = self.write_once_each(case, reports, "sr")
