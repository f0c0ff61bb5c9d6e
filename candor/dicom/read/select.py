"""Select the images that can be assessed, by their headers: frontal chest radiographs for presentation.

Only attributes with defined terms are used. Study Description, Series Description and Protocol Name are free text that
often stays when the examination changes, so they do not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pydicom import Dataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from candor.dicom.shared.attributes import integer, is_uid, items, text, values
from candor.study.case import CaseImage
from candor.study.errors import Refused
from candor.study.provenance import MANUFACTURER
from candor.study.reasons import Reason
from candor.study.result import Note

_RADIOGRAPHS: Final = frozenset(
    {
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
    }
)
_MODALITIES: Final = frozenset({"CR", "DX", "RG", ""})  # RG: digitised film
_UIDS: Final = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")

_CHEST: Final = frozenset({"CHEST", "THORAX", "TORAX", "LUNG", "LUNGS"})
_CHEST_CODES: Final = frozenset(
    {
        ("SCT", "816094009"),  # thorax
        ("SCT", "51185008"),  # thoracic structure, the code before 2020
        ("SCT", "43799004"),  # thoracic cavity
        ("SCT", "39607008"),  # lung
        ("SRT", "T-D3000"),  # chest
        ("SRT", "T-D3200"),  # thoracic cavity
        ("SRT", "T-28000"),  # lung
    }
)
"""PS3.16 CID 4009 and annex L, without ribs and sternum, which are exposed for bone and often oblique."""

_FRONTAL: Final = frozenset({"PA", "AP", "FRONTAL"})
_FRONTAL_CODES: Final = frozenset(
    {
        ("SCT", "272479007"),  # postero-anterior
        ("SCT", "399348003"),  # antero-posterior
        ("SCT", "399033003"),  # frontal
        ("SRT", "R-10214"),  # postero-anterior
        ("SRT", "R-40888"),  # postero-anterior
        ("SRT", "R-10206"),  # antero-posterior
        ("SRT", "R-10202"),  # frontal
    }
)
"""PS3.16 CID 4010."""

_SCHEMES: Final = {"SCT": "SCT", "SRT": "SRT", "SNM3": "SRT", "99SDM": "SRT"}
"""SNOMED CT, and SNOMED RT by its three names (PS3.16 section 8)."""


def select(images: Iterable[CaseImage], minimum_side: int) -> None:
    """Refuse the images of one study that cannot be assessed, and add notices of what is assumed for others.

    Parameters
    ----------
    images
        The images; those that are refused already are not changed.
    minimum_side
        Least number of rows and of columns.
    """
    for image in images:
        if image.header is None or not image.assessed:
            continue
        try:
            image.notices.extend(check(image.header, minimum_side))
        except Refused as refused:
            image.refuse(refused.reason, refused.detail)


def check(header: Dataset, minimum_side: int) -> tuple[Note, ...]:
    """Check whether one image can be assessed.

    Parameters
    ----------
    header
        From :func:`candor.dicom.read.file.read_header`.
    minimum_side
        Least number of rows and of columns.

    Returns
    -------
    Notices of what is assumed: ``BODY_PART_BLANK``, ``VIEW_BLANK``.

    Raises
    ------
    Refused
        ``OWN_RESULT``, ``SAYS_OURS``, ``NOT_AN_IMAGE``, ``INVALID_IDENTIFIERS``, ``NOT_RADIOGRAPHY``,
        ``FOR_PROCESSING``, ``NOT_CHEST``, ``NOT_FRONTAL``, ``CONTRADICTION``, ``NO_PIXELS``, ``TOO_SMALL``;
        ``UNREADABLE`` where Rows or Columns are not numbers.
    """
    _check_object(header)
    _check_radiograph(header)
    notices = (_body_part(header), _view(header))
    _check_pixels(header, minimum_side)
    return tuple(notice for notice in notices if notice)


def _check_object(header: Dataset) -> None:
    """Refuse Candor's own results, objects that are not images, and images without valid UIDs.

    Candor makes no radiographs: one that says so may be a patient's, and so the report names it.
    """
    sop_class = _sop_class(header)
    if text(header, "Manufacturer") == MANUFACTURER.upper():
        reason = Reason.SAYS_OURS if sop_class in _RADIOGRAPHS else Reason.OWN_RESULT
        raise Refused(reason, "its Manufacturer is this application")
    if sop_class and sop_class not in _RADIOGRAPHS and "Rows" not in header:
        raise Refused(Reason.NOT_AN_IMAGE, f"{_class_name(sop_class)}, without Rows")
    bad = [keyword for keyword in _UIDS if not is_uid(header.get(keyword))]
    if bad:
        raise Refused(Reason.INVALID_IDENTIFIERS, f"{', '.join(bad)} missing or not a UID")


def _check_radiograph(header: Dataset) -> None:
    """Refuse other kinds of images, and images for processing.

    Secondary captures are refused even with Modality CR or DX: they are often photographs of screens and films, and
    the meaning of their grey values is lost.
    """
    sop_class = _sop_class(header)
    if sop_class not in _RADIOGRAPHS:
        raise Refused(Reason.NOT_RADIOGRAPHY, _class_name(sop_class))
    if text(header, "Modality") not in _MODALITIES:
        raise Refused(Reason.NOT_RADIOGRAPHY, "its Modality is not CR, DX or RG")
    intent = text(header, "PresentationIntentType")
    if sop_class == DigitalXRayImageStorageForProcessing or intent == "FOR PROCESSING":
        raise Refused(Reason.FOR_PROCESSING, "send the image for presentation of the same exposure")


def _check_pixels(header: Dataset, minimum_side: int) -> None:
    """Refuse files without pixel data, and small pictures."""
    if "PixelData" not in header:
        raise Refused(Reason.NO_PIXELS, "the file ends after its header")
    rows, columns = integer(header, "Rows") or 0, integer(header, "Columns") or 0
    if min(rows, columns) < minimum_side:
        raise Refused(Reason.TOO_SMALL, f"{rows} x {columns} pixels, and {minimum_side} a side are needed")


def _sop_class(header: Dataset) -> str:
    """Return the SOP Class UID; a DICOMDIR has it only in its File Meta Information (PS3.10 8.6)."""
    meta = getattr(header, "file_meta", {})
    return str(header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")


def _class_name(sop_class: str) -> str:
    """Return the name of a SOP Class, but not an undefined UID, which may hold anything."""
    name = UID(sop_class).name
    return "a SOP Class that DICOM does not define" if name == sop_class else name


def _body_part(header: Dataset) -> Note | None:
    """Refuse other body parts, and return a notice where none is stated.

    References
    ----------
    DICOM PS3.3 C.7.3.1.1.1 (Body Part Examined), 10.5 (Anatomic Region Sequence).
    """
    word = text(header, "BodyPartExamined")
    stated = {word in _CHEST} if word else set()
    stated |= _stated_codes(header, "AnatomicRegionSequence", _CHEST_CODES)
    if stated == {True, False}:
        raise Refused(Reason.CONTRADICTION, "Body Part Examined and Anatomic Region Sequence disagree on the chest")
    if stated == {False}:
        raise Refused(Reason.NOT_CHEST, "by Body Part Examined or Anatomic Region Sequence")
    return None if stated else Note(Reason.BODY_PART_BLANK)


def _view(header: Dataset) -> Note | None:
    """Refuse other views, and return a notice where none is stated.

    Patient Orientation can rule a frontal view out but not prove it: decubitus and lordotic pictures are in the same
    plane.

    References
    ----------
    DICOM PS3.3 C.8.1.1 and C.8.11.5 (View Position, View Code Sequence), C.7.6.1.1.1 (Patient Orientation).
    """
    word = text(header, "ViewPosition")
    stated = {word in _FRONTAL} if word else set()
    stated |= _stated_codes(header, "ViewCodeSequence", _FRONTAL_CODES)
    seen_from_side = _seen_from_side(header)
    if stated == {True, False}:
        raise Refused(Reason.CONTRADICTION, "View Position and View Code Sequence disagree on the frontal view")
    if stated == {True} and seen_from_side:
        raise Refused(Reason.CONTRADICTION, "the view is frontal, and Patient Orientation lateral or oblique")
    if stated == {False} or seen_from_side:
        raise Refused(Reason.NOT_FRONTAL, "by View Position, View Code Sequence or Patient Orientation")
    return None if stated else Note(Reason.VIEW_BLANK)


def _stated_codes(header: Dataset, keyword: str, wanted: frozenset[tuple[str, str]]) -> set[bool]:
    """Return, for the SNOMED codes in a sequence, whether they are wanted; other codes are ignored."""
    codes = {(text(item, "CodingSchemeDesignator"), text(item, "CodeValue")) for item in items(header, keyword)}
    return {(_SCHEMES[scheme], value) in wanted for scheme, value in codes if scheme in _SCHEMES and value}


def _seen_from_side(header: Dataset) -> bool:
    """Return whether rows or columns run partly to the front or back: the view is lateral or oblique."""
    directions = "".join(str(value).upper() for value in values(header, "PatientOrientation"))
    return not set("AP").isdisjoint(directions)
