"""A study as its report describes it: the images and objects, with their labels, UIDs and texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from highdicom.sr import AlgorithmIdentification
from pydicom import Dataset
from pydicom.charset import convert_encodings, encode_string

from candor import RESEARCH_USE
from candor.dicom.report import content_items
from candor.dicom.report.content_items import Reference
from candor.dicom.report.references import evidence_of
from candor.dicom.shared import codes
from candor.dicom.shared.identity import can_be_referenced, carry_character_set, case_fingerprint, reportable_images
from candor.dicom.shared.values import plain, readable, valid_text
from candor.study.case import Case, CaseImage
from candor.study.findings import Finding
from candor.study.profile import Profile
from candor.study.provenance import APPLICATION_NAME, MANUFACTURER, NO_FAMILIARITY, Provenance
from candor.study.result_object import Kind, ResultObject
from candor.words.texts import Texts

_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class ReportedStudy:
    """A study as its report describes it.

    Parameters
    ----------
    case
        The study with its results.
    provenance
        What made the results.
    profile
        The profile of the report's receivers.
    texts
        The language of the texts.
    """

    case: Case
    provenance: Provenance
    profile: Profile
    texts: Texts

    @cached_property
    def images(self) -> list[CaseImage]:
        """The images that the report is about, in the order of their UIDs."""
        return reportable_images(self.case)

    @cached_property
    def sources(self) -> list[Dataset]:
        """The attributes of the instances that the report may refer to."""
        return self.headers(self.images)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the input, for all UIDs."""
        return case_fingerprint(self.case)

    @cached_property
    def algorithm(self) -> bytes:
        """The items of the algorithm's identification, which are in every group."""
        return _algorithm(self.provenance)

    @cached_property
    def foreign_fit(self) -> str:
        """That the answers rest on a fit to other patients, and why, as a sentence; "" where they do not."""
        fit = self.case.foreign_fit
        return self.texts.foreign_fit.format(fitted_to=fit.fitted_to, reason=fit.reason) if fit else ""

    @cached_property
    def objects(self) -> list[ResultObject]:
        """The overlays, outlines and heatmaps that the report refers to."""
        return evidence_of(self.case, self.profile)

    @cached_property
    def labels(self) -> dict[str, str]:
        """A short name for each image, by file name: its number and, where it is stated, its view."""
        return {image.name: self.texts.image(number, _view(image)) for number, image in enumerate(self.images, 1)}

    def headers(self, images: Iterable[CaseImage]) -> list[Dataset]:
        """Return the attributes of the images that the report may refer to, each instance once."""
        uid = self.case.study_instance_uid
        named = [image.header for image in images if can_be_referenced(image, uid) and image.header is not None]
        return list({header.SOPInstanceUID: header for header in named}.values())

    def references(self, images: Iterable[CaseImage]) -> list[Reference]:
        """Return references to the images that the report may refer to and that have pixels."""
        return [
            Reference(header.SOPClassUID, header.SOPInstanceUID) for header in self.headers(images) if "Rows" in header
        ]

    def written_for(self, kind: Kind, image: CaseImage, finding: Finding | None = None) -> list[ResultObject]:
        """Return the objects of one image that the report refers to.

        Parameters
        ----------
        kind
            The kind of object.
        image
            The image.
        finding
            The finding that they are about; None for objects about more than one.
        """
        of = (kind, image.sop_instance_uid, finding)
        return [written for written in self.objects if (written.kind, written.source, written.finding) == of]

    def tracking(self, label: str, *parts: str) -> list[bytes]:
        """Return a group's tracking items: its label, and a UID that is derived from ``parts``."""
        uid = self.provenance.result_uid("tracking", self.fingerprint, *parts)
        return [
            content_items.text("HAS OBS CONTEXT", codes.TRACKING_IDENTIFIER, self.encode(label)),
            content_items.uid_reference("HAS OBS CONTEXT", codes.TRACKING_UID, uid),
        ]

    def encode(self, sentence: str) -> bytes:
        """Return a sentence in the report's Specific Character Set, in one line.

        It may quote a header, which may hold control characters.
        """
        line = _CONTROL_CHARACTERS.sub(" ", sentence)
        return encode_string(readable(line, self._character_set), self._encodings)

    @cached_property
    def _character_set(self) -> Dataset:
        declared = Dataset()
        carry_character_set(declared, self.sources[0])
        return declared

    @cached_property
    def _encodings(self) -> list[str]:
        return convert_encodings(self._character_set.SpecificCharacterSet)


@lru_cache(maxsize=8)
def _algorithm(provenance: Provenance) -> bytes:
    """Return the identification of the algorithm (TID 4019), with everything that changes the numbers."""
    checked = [] if provenance.familiarity else [NO_FAMILIARITY]
    answered = [provenance.study_answer] if provenance.study_answer else []
    lines = (provenance.calibration, provenance.gate, *answered, *checked, f"engine {provenance.engine}", RESEARCH_USE)
    identification = AlgorithmIdentification(
        name=plain(f"{APPLICATION_NAME}, {provenance.model_name}"),
        version=provenance.software_versions,
        manufacturer=MANUFACTURER,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        parameters=[plain("; ".join(lines))],
    )
    return content_items.encoded(identification)


def _view(image: CaseImage) -> str:
    return valid_text(image.header, "ViewPosition") if image.header else ""
