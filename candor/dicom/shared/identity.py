"""Whose results they are, and when they were made.

A result carries the identity of its source as the source wrote it, so that the PACS files both under one patient
and one study. A value that its Value Representation does not allow (PS3.5 section 6.2) cannot be carried without
making the result invalid as well: it is left empty, which no archive takes for another patient's.
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
"""Without the history of compression, in which two encodings of the same pixels may differ."""

IDENTITY: Final = (*_UIDS, *_TYPE_2, *_TYPE_3, *_OF_THE_PICTURE)
"""Keywords of what a result carries of its source, and by which one source is told from another.

Issuers, other patient IDs and the order, which have items, count too as far as they are carried.
"""


def fingerprint(header: Dataset, pixel_sha256: str) -> str:
    """Hash what an instance is: its pixels and the identity that its results carry.

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


def case_fingerprint(case: Case) -> str:
    """Hash what a study's results rest on, for all their UIDs.

    An image that was refused before it was decoded counts with its identity alone.
    """
    instances: dict[str, list[str]] = {}
    for image in reportable_images(case):
        content = image.fingerprint or fingerprint(image.header or Dataset(), "")
        instances.setdefault(image.sop_instance_uid, []).append(content)
    return study_fingerprint({uid: " ".join(sorted(contents)) for uid, contents in instances.items()})


def outcome(case: Case) -> str:
    """Say what became of each image: the report's UID rests on it too.

    An image that could not be processed once and can be the next time makes another report, which must not come
    under the UID of the first.
    """
    said = []
    for image in reportable_images(case):
        codes = sorted(note.reason.code for note in (image.refusal, *image.deferrals, *image.notices) if note)
        said.append(",".join((image.sop_instance_uid, *codes)))
    return ";".join(sorted(said))


def reportable_images(case: Case) -> list[CaseImage]:
    """List the files that a report is about, by SOP Instance UID, whatever their names and order.

    The application's own results are not among them: they may come back from the archive without making a new
    version of the report that they are part of. Nor are further files of an instance that is assessed, whole or
    broken: the report is about instances.
    """
    assessed = {image.sop_instance_uid for image in case.assessed_images}
    images = [image for image in case.images if image.assessed or not _unreported(image, assessed)]
    return sorted(images, key=lambda image: (image.sop_instance_uid, image.name))


def _unreported(image: CaseImage, assessed: set[str]) -> bool:
    reason = image.refusal.reason if image.refusal else None
    return reason in (Reason.OWN_RESULT, Reason.DUPLICATE) or image.sop_instance_uid in assessed


def can_be_referenced(image: CaseImage, study_instance_uid: str) -> bool:
    """Tell whether a result of the study may name the instance: four UIDs, and of this study."""
    header = image.header
    return (
        header is not None
        and all(is_uid(header.get(keyword)) for keyword in _UIDS)
        and header.StudyInstanceUID == study_instance_uid
    )


def carry_character_set(target: Dataset, source: Dataset) -> None:
    """Declare the Specific Character Set (0008,0005) that holds the source's text, and the results' own.

    The source's own declaration where it is one that PS3.3 knows, so that names keep their bytes. ISO_IR 100 where
    the source declares nothing: text beyond ASCII is then read as Latin-1, which keeps its bytes too, and words of
    our own find their letters. UTF-8 where the declaration is none, or a text could not be written again in it.

    References
    ----------
    DICOM PS3.3 C.12.1.1.2.
    """
    declared = all_values(source, "SpecificCharacterSet")
    if not any(declared) or declared == ["ISO_IR 6"]:
        declared = ["ISO_IR 100"]
    if not (_is_character_set(declared) and all(can_hold(declared, text) for text in _carried_texts(source))):
        declared = ["ISO_IR 192"]
    target.SpecificCharacterSet = declared if len(declared) > 1 else declared[0]


def carry_over(target: Dataset, source: Dataset, *, image: bool) -> None:
    """Give a result the patient and the study of its source.

    Type 2 attributes are there and empty where the source has no valid value; others are there only with one.

    Parameters
    ----------
    target
        The result; changed in place.
    source
        The source's attributes.
    image
        Whether the result is an image and carries its anatomy and its history of compression as well; a
        Structured Report has neither.

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
    """Make the Referenced Request Sequence item (PS3.3 C.17.2) of the order that the source was made for.

    Returns
    -------
    None where the source names no Requested Procedure ID.
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
    """Date the result: instance, content and series, and the secondary capture where it is one.

    The dates stand in the target's Timezone Offset From UTC where it has one, and else in the zone of ``time``,
    without a Timezone Offset From UTC: that attribute would speak for the source's dates too, and of these nobody
    knows the zone.

    Parameters
    ----------
    target
        The result, after :func:`carry_over`; changed in place.
    time
        The job's time, with a time zone.

    Raises
    ------
    ValueError
        ``time`` has no time zone, so that it means another moment on another machine.

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
    """Carry what General Image (PS3.3 C.7.6.1) and General Series (C.7.3.1) say of the picture."""
    orientation = valid_values(source, "PatientOrientation")
    target.PatientOrientation = orientation if len(orientation) == 2 else ""
    for keyword in ("BodyPartExamined", "BurnedInAnnotation", "LossyImageCompression"):
        carry_where_valid(target, source, keyword)
    if target.get("LossyImageCompression") == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            carry_where_valid(target, source, keyword)
    if "BodyPartExamined" not in target:
        # Nobody says whether the body part is a paired one, so Laterality is there and empty (type 2C).
        target.Laterality = ""


def _is_character_set(names: list[str]) -> bool:
    """Tell whether PS3.3 knows the sets, and lets them stand together (tables C.12-2 to C.12-5)."""
    if any(name not in python_encoding for name in names):
        return False
    extended = len(names) > 1
    return not extended or all(
        name.startswith("ISO 2022 IR ") or not (name or place) for place, name in enumerate(names)
    )


def _with_items(source: Dataset) -> Dataset:
    """Collect what results carry of the source's sequences."""
    carried = Dataset()
    carry_issuers(carried, source)
    request = referenced_request(source)
    if request is not None:
        carried.ReferencedRequestSequence = [request]
    return carried


def _carried_texts(source: Dataset) -> Iterator[str]:
    """Go through the source's text that results carry; a person's name by its components, which are encoded alone."""
    for keyword in (*_TYPE_2, *_TYPE_3):
        yield from re.split("[=^]", valid_text(source, keyword))
    for element in _with_items(source).iterall():
        if element.VR in _TEXT_VRS:
            yield str(element.value)
