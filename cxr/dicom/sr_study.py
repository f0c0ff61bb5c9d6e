"""A study as its report sees it: which images, under which names, with which UIDs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from highdicom.sr import AlgorithmIdentification, SourceImageForMeasurementGroup, TrackingIdentifier
from pydicom import Dataset

from cxr import RESEARCH_USE
from cxr.case import Case, CaseImage, WrittenObject
from cxr.dicom import codes
from cxr.dicom.carried import plain, valid_text
from cxr.dicom.identity import can_be_referenced, case_fingerprint, reportable_images
from cxr.provenance import APPLICATION_NAME, MANUFACTURER, NO_FAMILIARITY, Provenance


@dataclass(frozen=True)
class ReportedStudy:
    """A case as the report sees it: its images in the order of their UIDs, and one place for names and UIDs."""

    case: Case
    provenance: Provenance

    @cached_property
    def images(self) -> list[CaseImage]:
        """What the report is about."""
        return reportable_images(self.case)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the input, for all UIDs."""
        return case_fingerprint(self.case)

    @cached_property
    def algorithm(self) -> AlgorithmIdentification:
        """The algorithm's identification; all groups share its content items, which nobody changes."""
        return _algorithm(self.provenance)

    @property
    def overlays(self) -> list[WrittenObject]:
        """The overlays that were written for the study."""
        return [written for written in self.case.written if written.kind == "sc"]

    @cached_property
    def labels(self) -> dict[str, str]:
        """A short name for each image, by file name: its number and, where it is stated, its view."""
        return {image.name: _label(number, image) for number, image in enumerate(self.images, 1)}

    def headers(self, images: Iterable[CaseImage]) -> list[Dataset]:
        """List the attributes of those of the files that the report may name, each instance once."""
        uid = self.case.study_instance_uid
        named = [image.header for image in images if can_be_referenced(image, uid) and image.header is not None]
        return list({header.SOPInstanceUID: header for header in named}.values())

    def sources(self, images: Iterable[CaseImage]) -> list[SourceImageForMeasurementGroup]:
        """Refer to those of the files that are images and that the report may name."""
        return [
            SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)
            for header in self.headers(images)
            if "Rows" in header
        ]

    def tracking(self, label: str, *parts: str) -> TrackingIdentifier:
        """Give a group its label and its deterministic UID."""
        uid = self.provenance.result_uid("tracking", self.fingerprint, *parts)
        return TrackingIdentifier(uid=uid, identifier=label)


def _algorithm(provenance: Provenance) -> AlgorithmIdentification:
    """Identify the algorithm (TID 4019), with all that changes the numbers as its parameters, in one line."""
    checked = [] if provenance.familiarity else [NO_FAMILIARITY]
    lines = (provenance.calibration, provenance.gate, *checked, f"engine {provenance.engine}", RESEARCH_USE)
    return AlgorithmIdentification(
        name=plain(f"{APPLICATION_NAME}, {provenance.model_name}"),
        version=provenance.software_versions,
        manufacturer=MANUFACTURER,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        parameters=[plain("; ".join(lines))],
    )


def _label(number: int, image: CaseImage) -> str:
    view = valid_text(image.header, "ViewPosition") if image.header else ""
    return f"image {number} ({view})" if view else f"image {number}"
