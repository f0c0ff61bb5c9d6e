"""Copy the patient and the study of a source into its results, and set their dates.

A result has the identity of its source as the source wrote it, so that the PACS files both under one patient and one
study. A value that its Value Representation does not allow (PS3.5 section 6.2) would make the result invalid as well,
so it is left empty; no archive takes an empty value for another patient's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from pydicom import Dataset
from pydicom.charset import python_encoding

from candor.dicom.shared.attributes import is_uid, items
from candor.dicom.shared.issuers import carry_designator, carry_issuers
from candor.dicom.shared.values import all_values, can_hold, carry, carry_where_valid, valid_text, valid_values
from candor.study.case import Case, CaseImage
from candor.study.provenance import study_fingerprint
from candor.study.reasons import Reason

_TYPE_2: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
)
"""Present in every result, empty where the source has no valid value (PS3.3 C.7.1.1, C.7.2.1)."""

_TYPE_3: Final = ("PatientAge", "StudyDescription", "TimezoneOffsetFromUTC")
_TEXT_VRS: Final = frozenset({"LO", "SH", "UT"})
_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")

_OF_THE_PICTURE: Final = (
    "BodyPartExamined",
    "PatientOrientation",
    "ViewPosition",
    "BurnedInAnnotation",
)
"""The history of compression is not among them: two encodings of the same pixels may differ in it."""

IDENTITY: Final = (*_UIDS, *_TYPE_2, *_TYPE_3, *_OF_THE_PICTURE)
"""Keywords of the attributes that a result copies from its source, and that distinguish sources.

Issuers, other patient IDs and the order, which are sequences, count too as far as they are copied.
"""


def fingerprint(header: Dataset, pixel_sha256: str) -> str:
    """Return the hash of an instance's pixels and of the identity that its results copy.

    Parameters
    ----------
    header
        The instance's attributes; how they are encoded makes no difference.
    pixel_sha256
        Hash of the pixels, in hexadecimal; "" where they were not decoded.

    Returns
    -------
    SHA-256 in hexadecimal.
    """
    parts = [pixel_sha256, *(f"{keyword}={all_values(header, keyword)}" for keyword in IDENTITY)]
    parts += [f"{element.keyword}={element.value}" for element in _with_items(header).iterall() if element.VR != "SQ"]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


_PATIENT: Final = ("PatientID", "PatientName")
"""What is the same, or missing in both, where two files are of one patient."""


def stated(header: Dataset) -> dict[str, list[str]]:
    """Return the attributes of :data:`IDENTITY` that are not blank, by keyword."""
    found = {keyword: all_values(header, keyword) for keyword in IDENTITY}
    return {keyword: values for keyword, values in found.items() if any(value.strip() for value in values)}


def states_all_of(fuller: Dataset, other: Dataset) -> bool:
    """Return whether a header states all that another one of the same instance and patient states, and maybe more.

    Parameters
    ----------
    fuller, other
        The headers.
    """
    ours, theirs = stated(fuller), stated(other)
    same_patient = all(ours.get(keyword) == theirs.get(keyword) for keyword in _PATIENT)
    sequences = [
        [f"{element.keyword}={element.value}" for element in _with_items(header).iterall() if element.VR != "SQ"]
        for header in (fuller, other)
    ]
    return (
        same_patient
        and all(ours.get(keyword) == values for keyword, values in theirs.items())
        and set(sequences[0]) >= {each for each in sequences[1] if not each.endswith(("=", "=None"))}
    )


def case_fingerprint(case: Case) -> str:
    """Return the hash of all images of a study, from which the UIDs of its results are derived.

    For an image that was refused before it was decoded, only the identity counts.
    """
    instances: dict[str, list[str]] = {}
    for image in reportable_images(case):
        content = image.fingerprint or fingerprint(image.header or Dataset(), "")
        instances.setdefault(image.sop_instance_uid, []).append(content)
    return study_fingerprint({uid: " ".join(sorted(contents)) for uid, contents in instances.items()})


def outcome(case: Case) -> str:
    """Return the reasons of each image as text, from which the report's UID is derived as well.

    An image that cannot be processed once but can be the next time gives another report, which needs another UID.
    """
    said = []
    for image in reportable_images(case):
        codes = sorted(note.reason.code for note in (image.refusal, *image.deferrals, *image.notices) if note)
        said.append(",".join((image.sop_instance_uid, *codes)))
    return ";".join(sorted(said))


def reportable_images(case: Case) -> list[CaseImage]:
    """Return the files that a report is about, sorted by SOP Instance UID.

    The application's own results are left out: they may come back from the archive, and must not make a new version of
    the report. Further files of an assessed instance are left out too, because the report is about instances.
    """
    assessed = {image.sop_instance_uid for image in case.assessed_images}
    images = [image for image in case.images if image.assessed or not _unreported(image, assessed)]
    return sorted(images, key=lambda image: (image.sop_instance_uid, image.name))


def _unreported(image: CaseImage, assessed: set[str]) -> bool:
    reason = image.refusal.reason if image.refusal else None
    return reason in (Reason.OWN_RESULT, Reason.DUPLICATE) or image.sop_instance_uid in assessed


def can_be_referenced(image: CaseImage, study_instance_uid: str) -> bool:
    """Return whether a result may refer to an image: it needs four valid UIDs and must be of the study.

    Parameters
    ----------
    image
        The image.
    study_instance_uid
        Study Instance UID of the result.
    """
    header = image.header
    return (
        header is not None
        and all(is_uid(header.get(keyword)) for keyword in _UIDS)
        and header.StudyInstanceUID == study_instance_uid
    )


_MULTI_BYTE: Final = frozenset({"ISO 2022 IR 87", "ISO 2022 IR 159", "ISO 2022 IR 149", "ISO 2022 IR 58"})
"""Sets that PS3.3 C.12.1.1.2 does not allow as the first: ASCII, and an empty name, cannot be written in them."""


def carry_character_set(target: Dataset, source: Dataset) -> None:
    """Set the Specific Character Set (0008,0005) of a result, for the source's text and its own.

    It is the source's own where PS3.3 defines it, so that names keep their bytes. It is ISO_IR 100 where the source
    has none: text beyond ASCII is then read as Latin-1, which keeps its bytes too and has the letters of the result's
    own text. It is UTF-8 where the source's is not valid, or cannot encode the text again.

    Parameters
    ----------
    target
        The result; changed in place.
    source
        The source's attributes.

    References
    ----------
    DICOM PS3.3 C.12.1.1.2.
    """
    declared = all_values(source, "SpecificCharacterSet")
    if not any(declared) or declared == ["ISO_IR 6"]:
        declared = ["ISO_IR 100"]
    if not (
        declared[0] not in _MULTI_BYTE
        and _is_character_set(declared)
        and all(can_hold(declared, text) for text in _carried_texts(source))
    ):
        declared = ["ISO_IR 192"]
    target.SpecificCharacterSet = declared if len(declared) > 1 else declared[0]


def carry_over(target: Dataset, source: Dataset, *, image: bool) -> None:
    """Copy the patient and the study of a source into its result.

    Type 2 attributes are empty where the source has no valid value; others are left out.

    Parameters
    ----------
    target
        The result; changed in place.
    source
        The source's attributes.
    image
        Whether the result is an image, and gets the anatomy and the history of compression as well.

    References
    ----------
    DICOM PS3.3 C.7.1.1 (Patient), C.7.2.1 and C.7.2.2 (General and Patient Study), C.12.1 (SOP Common).
    """
    carry_character_set(target, source)
    target.StudyInstanceUID = source.StudyInstanceUID
    for keyword in _TYPE_2:
        carry(target, source, keyword)
    for keyword in _TYPE_3:
        carry_where_valid(target, source, keyword)
    carry_issuers(target, source)
    if image:
        _carry_image_attributes(target, source)


def referenced_request(source: Dataset) -> Dataset | None:
    """Return the Referenced Request Sequence item (PS3.3 C.17.2) of the source's order.

    Returns
    -------
    None where the source has no Requested Procedure ID.
    """
    requests = [*items(source, "RequestAttributesSequence"), source]
    request = next((request for request in requests if valid_text(request, "RequestedProcedureID")), None)
    if request is None:
        return None
    item = Dataset()
    uid = source.get("StudyInstanceUID")
    item.StudyInstanceUID = uid if is_uid(uid) else ""
    item.ReferencedStudySequence = []
    item.PlacerOrderNumberImagingServiceRequest = item.FillerOrderNumberImagingServiceRequest = ""
    item.RequestedProcedureCodeSequence = []
    carry(item, source, "AccessionNumber")
    carry_designator(item, source, "IssuerOfAccessionNumberSequence")
    carry(item, request, "RequestedProcedureID")
    carry(item, request, "RequestedProcedureDescription")
    return item


def stamp(target: Dataset, time: datetime) -> None:
    """Set the dates of a result: of instance, content and series, and of the secondary capture where it is one.

    They are in the zone of the target's Timezone Offset From UTC where it has one, else in that of ``time``. In that
    case Timezone Offset From UTC is not added: it would apply to the source's dates too, whose zone is not known.

    Parameters
    ----------
    target
        The result, after :func:`carry_over`; changed in place.
    time
        The job's time, with a time zone.

    Raises
    ------
    ValueError
        ``time`` has no time zone.

    References
    ----------
    DICOM PS3.3 C.12.1.1.8 (Timezone Offset From UTC).
    """
    if time.tzinfo is None:
        raise ValueError("the job's time has no time zone; give an aware datetime")
    if "TimezoneOffsetFromUTC" in target:
        time = time.astimezone(datetime.strptime(target.TimezoneOffsetFromUTC, "%z").tzinfo)
    date, clock = time.strftime("%Y%m%d"), time.strftime("%H%M%S.%f")
    target.InstanceCreationDate = target.ContentDate = target.SeriesDate = date
    target.InstanceCreationTime = target.ContentTime = target.SeriesTime = clock
    if "DateOfSecondaryCapture" in target:
        target.DateOfSecondaryCapture, target.TimeOfSecondaryCapture = date, clock


def _carry_image_attributes(target: Dataset, source: Dataset) -> None:
    """Copy the attributes of General Image (PS3.3 C.7.6.1) and General Series (C.7.3.1) about the picture."""
    orientation = valid_values(source, "PatientOrientation")
    target.PatientOrientation = orientation if len(orientation) == 2 else ""
    for keyword in ("BodyPartExamined", "BurnedInAnnotation", "LossyImageCompression"):
        carry_where_valid(target, source, keyword)
    if target.get("LossyImageCompression") == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            carry_where_valid(target, source, keyword)
    if "BodyPartExamined" not in target:
        # It is not known whether the body part is a paired one, so Laterality is empty (type 2C).
        target.Laterality = ""


def _is_character_set(names: list[str]) -> bool:
    """Return whether PS3.3 defines the sets and allows them together (tables C.12-2 to C.12-5)."""
    if names[0] in _MULTI_BYTE or any(name not in python_encoding for name in names):
        return False
    extended = len(names) > 1
    return not extended or all(
        name.startswith("ISO 2022 IR ") or not (name or place) for place, name in enumerate(names)
    )


def _with_items(source: Dataset) -> Dataset:
    """Return the parts of the source's sequences that results copy."""
    carried = Dataset()
    carry_issuers(carried, source)
    request = referenced_request(source)
    if request is not None:
        carried.ReferencedRequestSequence = [request]
    return carried


def _carried_texts(source: Dataset) -> Iterator[str]:
    """Yield the source's texts that results copy; a person's name by components, which are encoded separately."""
    for keyword in (*_TYPE_2, *_TYPE_3):
        yield from re.split("[=^]", valid_text(source, keyword))
    for element in _with_items(source).iterall():
        if element.VR in _TEXT_VRS:
            yield str(element.value)
