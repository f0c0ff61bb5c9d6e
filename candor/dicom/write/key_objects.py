"""Key objects: documents that flag the images with a finding, and those with a deferral, for the worklist."""

from __future__ import annotations

from typing import Final

from highdicom.ko import KeyObjectSelectionDocument
from pydicom import Dataset

from candor import RESEARCH_USE
from candor.dicom.shared import codes
from candor.dicom.shared.identity import can_be_referenced, case_fingerprint, reportable_images
from candor.dicom.write.key_object_document import Identity, Named, Statement, build_document
from candor.study.case import Case, CaseImage, assert_set
from candor.study.errors import ReportError
from candor.study.findings import Finding
from candor.study.profile import Profile
from candor.study.provenance import Provenance
from candor.study.result import Decision
from candor.study.result_object import ResultObject
from candor.words.texts import ENGLISH, Texts

SERIES_NUMBER: Final = 9104
SERIES_DESCRIPTION: Final = f"Candor key objects: {RESEARCH_USE}"
_FLAGGED: Final = (Decision.PRESENT, Decision.DEFERRED)
"""The decisions that have a document, in the order of its Instance Number."""


def select_key_objects(case: Case, profile: Profile) -> list[Decision]:
    """Return the decisions that get a document: present, and deferred where the profile asks for it.

    A decision only gets one where an image that a result may refer to has a finding with it.

    Parameters
    ----------
    case
        The study with its results.
    profile
        The profile of the receivers.
    """
    wanted = _FLAGGED if profile.flag_deferrals else _FLAGGED[:1]
    return [decision for decision in wanted if _images(case, decision)]


def build_key_objects(
    case: Case, decision: Decision, provenance: Provenance, profile: Profile | None = None, texts: Texts = ENGLISH
) -> KeyObjectSelectionDocument:
    """Return the document for one decision.

    It refers to each image that has a finding with the decision. Of the objects that the profile holds it refers to the
    report, the overlays of these findings, the outlines of positive ones, and the heatmaps of these images.

    Parameters
    ----------
    case
        The study with its results, and with the other objects that were written for it.
    decision
        One of :func:`select_key_objects`.
    provenance
        What made the results.
    profile
        The profile of the receivers; None for the default one.
    texts
        The language of the description.

    Returns
    -------
    A document "Of Interest". The same case, decision and profile give the same bytes.

    Raises
    ------
    ReportError
        No image that a result may refer to has a finding with the decision.

    References
    ----------
    DICOM PS3.3 A.35.4, PS3.16 TID 2010, CID 7010; IHE RAD TF-2 4.29 (Key Image Note).
    """
    images = _images(case, decision)
    if not images:
        raise ReportError(f"key objects name at least one image; none has a finding that is {decision.value}")
    named = _named(case, images, decision, profile or Profile())
    description = _describe(images, decision, texts)
    fingerprint = case_fingerprint(case)
    uids = (item.sop_instance_uid for item in named)
    identity = Identity(
        sop_instance_uid=provenance.result_uid("key-objects", fingerprint, decision.name, description, *uids),
        instance_number=_FLAGGED.index(decision) + 1,
        series_instance_uid=provenance.result_uid("key-objects-series", fingerprint),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
    )
    source = assert_set(images[0].header)
    statement = Statement(codes.OF_INTEREST, description, codes.concept(texts.code))
    return build_document(source, named, statement, identity, provenance, case.time)


def _images(case: Case, decision: Decision) -> list[CaseImage]:
    """Return the images that a result may refer to and that have a finding with the decision, sorted by UID."""
    return [
        image
        for image in reportable_images(case)
        if image.assessed and _decided(image, decision) and can_be_referenced(image, case.study_instance_uid)
    ]


def _decided(image: CaseImage, decision: Decision) -> set[Finding]:
    return {result.finding for result in image.results if result.decision is decision}


def _named(case: Case, images: list[CaseImage], decision: Decision, profile: Profile) -> list[Named]:
    """Return the references: the images, then the objects of the profile, in the order of writing."""
    found = {image.sop_instance_uid: _decided(image, decision) for image in images}
    held = [written for written in profile.of(case.written) if _belongs(written, found, decision)]
    return [_source(assert_set(image.header)) for image in images] + [Named.of(written) for written in held]


def _belongs(written: ResultObject, found: dict[str, set[Finding]], decision: Decision) -> bool:
    """Return whether an object is the report, or shows evidence for one of the findings."""
    if written.kind == "sr":
        return True
    if written.kind == "ko" or written.source not in found:
        return False
    if written.kind == "gsps":
        return decision is Decision.PRESENT  # it only outlines positive findings
    return written.finding is None or written.finding in found[written.source]


def _describe(images: list[CaseImage], decision: Decision, texts: Texts) -> str:
    """Return one line with the findings that have the decision on these images."""
    found = set[Finding]().union(*(_decided(image, decision) for image in images))
    names = ", ".join(texts.finding(finding) for finding in Finding if finding in found)
    return f"{texts.decisions[decision]}: {names}. {texts.research_use}."


def _source(header: Dataset) -> Named:
    return Named(header.SOPInstanceUID, header.SOPClassUID, header.SeriesInstanceUID, is_image=True)
