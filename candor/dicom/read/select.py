"""Select the images that can be assessed, by their headers: frontal chest radiographs for presentation.

Body part, view and modality are read by the words of a table (:mod:`candor.study.selection`): a value without a known
word states nothing, and the checks of the picture judge. Study Description, Series Description and Protocol Name are
free text that often stays when the examination changes, so they do not count; a derived picture alone is asked by its
Series Description whether it is bone-suppressed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pydicom import Dataset
from pydicom.datadict import dictionary_description
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
from candor.study.selection import DEFAULT_WORDS, Words, found, shown, split

_RADIOGRAPHS: Final = frozenset(
    {
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
    }
)
_UIDS: Final = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")

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

_DECUBITUS_CODES: Final = frozenset(
    {
        ("SCT", "102536004"),  # left lateral decubitus
        ("SCT", "102535000"),  # right lateral decubitus
        ("SCT", "32185000"),  # lateral decubitus
        ("SRT", "F-10319"),
        ("SRT", "F-10317"),
        ("SRT", "F-10318"),
    }
)
"""PS3.16 CID 20."""

_ON_THE_SIDE: Final = frozenset({"HFDR", "HFDL", "FFDR", "FFDL"})
"""PS3.3 C.7.3.1.1.2 (Patient Position)."""

_UNKNOWN: Final = ("UNKNOWN", "NONE", "NA", "OTHER", "NOT STATED", "UNBEKANNT", "INCONNU", "DESCONOCIDO")
"""Words for the species that somebody had to fill in."""

_HUMAN_CODES: Final = frozenset({("SCT", "337915000"), ("SRT", "L-85B00"), ("SRT", "L-85003")})
"""Homo sapiens."""

_MAKING: Final = ("DerivationDescription", "AcquisitionDeviceProcessingDescription")
"""Texts that a device writes about the making of one picture."""

_SCHEMES: Final = {"SCT": "SCT", "SRT": "SRT", "SNM3": "SRT", "99SDM": "SRT"}
"""SNOMED CT, and SNOMED RT by its three names (PS3.16 section 8)."""


def select(images: Iterable[CaseImage], minimum_side: int, words: Words = DEFAULT_WORDS) -> None:
    """Refuse the images of one study that cannot be assessed, and add notices of what is assumed for others.

    Parameters
    ----------
    images
        The images; those that are refused already are not changed.
    minimum_side
        Least number of rows and of columns.
    words
        The table of words.
    """
    for image in images:
        if image.header is None or not image.assessed:
            continue
        try:
            image.notices.extend(check(image.header, minimum_side, words))
        except Refused as refused:
            image.refuse(refused.reason, refused.detail, refused.value)


def check(header: Dataset, minimum_side: int, words: Words = DEFAULT_WORDS) -> tuple[Note, ...]:
    """Check whether one image can be assessed.

    Parameters
    ----------
    header
        From :func:`candor.dicom.read.file.read_header`.
    minimum_side
        Least number of rows and of columns.
    words
        The table of words.

    Returns
    -------
    Notices of what is assumed: ``BODY_PART_BLANK``, ``VIEW_BLANK``.

    Raises
    ------
    Refused
        ``OWN_RESULT``, ``SAYS_OURS``, ``NOT_AN_IMAGE``, ``INVALID_IDENTIFIERS``, ``NOT_RADIOGRAPHY``,
        ``FOR_PROCESSING``, ``QUALITY_CONTROL``, ``SUBTRACTED``, ``NOT_HUMAN``, ``NOT_CHEST``, ``DECUBITUS``,
        ``NOT_FRONTAL``, ``CONTRADICTION``, ``NO_PIXELS``, ``TOO_SMALL``; ``UNREADABLE`` where Rows or Columns are not
        numbers.
    """
    _check_object(header)
    _check_radiograph(header, words)
    _check_making(header, words)
    _check_species(header, words)
    _check_decubitus(header, words)
    notices = (_body_part(header, words), _view(header, words))
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


def _check_radiograph(header: Dataset, words: Words) -> None:
    """Refuse other kinds of images, and images for processing.

    Secondary captures are refused even with Modality CR or DX: they are often photographs of screens and films, and
    the meaning of their grey values is lost.
    """
    sop_class = _sop_class(header)
    if sop_class not in _RADIOGRAPHS:
        raise Refused(Reason.NOT_RADIOGRAPHY, _class_name(sop_class))
    if found(words.other_modalities, _phrase(header, "Modality")):
        raise _refused(Reason.NOT_RADIOGRAPHY, header, "Modality")
    intent = _phrase(header, "PresentationIntentType")
    if sop_class == DigitalXRayImageStorageForProcessing or found(words.processing, intent):
        raise Refused(Reason.FOR_PROCESSING, "send the image for presentation of the same exposure")


def _check_making(header: Dataset, words: Words) -> None:
    """Refuse pictures of phantoms, and pictures from which bones or tissue were taken away.

    References
    ----------
    DICOM PS3.3 C.7.6.1 (Quality Control Image: YES, or BOTH where a phantom lies beside the patient).
    """
    if text(header, "QualityControlImage") in ("YES", "BOTH"):
        raise _refused(Reason.QUALITY_CONTROL, header, "QualityControlImage")
    for keyword in ("ImageType", *_MAKING, *(("SeriesDescription",) if _is_derived(header) else ())):
        if found(words.subtraction, _phrase(header, keyword)):
            # Not the value: a description may hold anything.
            raise Refused(Reason.SUBTRACTED, f"by {_title(keyword)}", "")


def _check_species(header: Dataset, words: Words) -> None:
    """Refuse animals; their species is mandatory (PS3.3 C.7.1.1), so any that is stated and not human is one.

    A breed is stated for animals alone. A value without letters, or one that says that nothing is known, states none.
    """
    if found(words.animals, _phrase(header, "BodyPartExamined")):
        raise _refused(Reason.NOT_HUMAN, header, "BodyPartExamined")
    species = _phrase(header, "PatientSpeciesDescription")
    if split(species) and not found((*words.human, *_UNKNOWN), species):
        raise _refused(Reason.NOT_HUMAN, header, "PatientSpeciesDescription")
    codes = _codes(header, "PatientSpeciesCodeSequence")
    if codes and not codes & _HUMAN_CODES:
        raise Refused(Reason.NOT_HUMAN, "by Patient Species Code Sequence")


def _check_decubitus(header: Dataset, words: Words) -> None:
    """Refuse pictures of a patient who lies on the side: fluid and air are elsewhere than in the training images.

    References
    ----------
    DICOM PS3.3 C.8.1.1 (View Position RLD, LLD), C.7.6.1.1 and PS3.16 CID 20 (Patient Orientation Modifier).
    """
    if found(words.decubitus, _phrase(header, "ViewPosition")):
        raise _refused(Reason.DECUBITUS, header, "ViewPosition")
    modifiers = [
        (orientation, "PatientOrientationModifierCodeSequence")
        for orientation in items(header, "PatientOrientationCodeSequence")
    ]
    modifiers += [(view, "ViewModifierCodeSequence") for view in items(header, "ViewCodeSequence")]
    if any(_codes(item, keyword) & _DECUBITUS_CODES for item, keyword in modifiers):
        raise Refused(Reason.DECUBITUS, "by the modifier of Patient Orientation or of the view")
    if text(header, "PatientPosition") in _ON_THE_SIDE:
        raise _refused(Reason.DECUBITUS, header, "PatientPosition")


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


def _body_part(header: Dataset, words: Words) -> Note | None:
    """Refuse other body parts, and return a notice where none is stated.

    References
    ----------
    DICOM PS3.3 C.7.3.1.1.1 (Body Part Examined), 10.5 (Anatomic Region Sequence).
    """
    stated = _stated(header, "BodyPartExamined", words.chest, words.other_body_parts)
    by_word = set(stated)
    stated |= _stated_codes(header, "AnatomicRegionSequence", _CHEST_CODES)
    if stated == {True, False}:
        detail = "Body Part Examined and Anatomic Region Sequence disagree on the chest"
        raise Refused(Reason.CONTRADICTION, detail, _shown(header, "BodyPartExamined"))
    if stated == {False}:
        if by_word:
            raise _refused(Reason.NOT_CHEST, header, "BodyPartExamined")
        raise Refused(Reason.NOT_CHEST, "by Anatomic Region Sequence")
    return None if stated else _unstated(Reason.BODY_PART_BLANK, header, "BodyPartExamined")


def _view(header: Dataset, words: Words) -> Note | None:
    """Refuse other views, and return a notice where none is stated.

    Patient Orientation can rule a frontal view out but not prove it: decubitus and lordotic pictures are in the same
    plane.

    References
    ----------
    DICOM PS3.3 C.8.1.1 and C.8.11.5 (View Position, View Code Sequence), C.7.6.1.1.1 (Patient Orientation).
    """
    stated = _stated(header, "ViewPosition", words.frontal, words.other_views)
    by_word = set(stated)
    stated |= _stated_codes(header, "ViewCodeSequence", _FRONTAL_CODES)
    seen_from_side = _seen_from_side(header)
    if stated == {True, False}:
        detail = "View Position and View Code Sequence disagree on the frontal view"
        raise Refused(Reason.CONTRADICTION, detail, _shown(header, "ViewPosition"))
    if stated == {True} and seen_from_side:
        raise Refused(Reason.CONTRADICTION, "the view is frontal, and Patient Orientation lateral or oblique")
    if by_word == {False}:
        raise _refused(Reason.NOT_FRONTAL, header, "ViewPosition")
    if stated == {False} or seen_from_side:
        raise Refused(Reason.NOT_FRONTAL, "by View Code Sequence or Patient Orientation")
    return None if stated else _unstated(Reason.VIEW_BLANK, header, "ViewPosition")


def _stated(header: Dataset, keyword: str, wanted: tuple[str, ...], others: tuple[str, ...]) -> set[bool]:
    """Return what an attribute states: that it is what is wanted, that it is something else, or nothing.

    A value that names both ("CHEST ABDOMEN") is something else.
    """
    value = _phrase(header, keyword)
    if found(others, value):
        return {False}
    return {True} if found(wanted, value) else set()


def _phrase(header: Dataset, keyword: str) -> str:
    """Return all values of an attribute in one line."""
    return " ".join(str(value) for value in values(header, keyword))


def _title(keyword: str) -> str:
    """Return the attribute's name, as people know it."""
    return dictionary_description(keyword)


def _shown(header: Dataset, keyword: str) -> str:
    return shown(_phrase(header, keyword))


def _refused(reason: Reason, header: Dataset, keyword: str) -> Refused:
    """Return a refusal that shows the value, so that a site can mend its table of words."""
    value = _shown(header, keyword)
    return Refused(reason, f'{_title(keyword)} is "{value}"', value)


def _unstated(reason: Reason, header: Dataset, keyword: str) -> Note:
    """Return the notice that nothing is stated, which shows the value that says nothing."""
    value = _shown(header, keyword)
    return Note(reason, f'{_title(keyword)} is "{value}", which is not known', value) if value else Note(reason)


def _is_derived(header: Dataset) -> bool:
    return text(header, "ImageType") == "DERIVED"


def _stated_codes(header: Dataset, keyword: str, wanted: frozenset[tuple[str, str]]) -> set[bool]:
    """Return, for the SNOMED codes in a sequence, whether they are wanted; other codes are ignored."""
    return {code in wanted for code in _codes(header, keyword)}


def _codes(header: Dataset, keyword: str) -> set[tuple[str, str]]:
    """Return the SNOMED codes in a sequence."""
    codes = {(text(item, "CodingSchemeDesignator"), text(item, "CodeValue")) for item in items(header, keyword)}
    return {(_SCHEMES[scheme], value) for scheme, value in codes if scheme in _SCHEMES and value}


def _seen_from_side(header: Dataset) -> bool:
    """Return whether rows or columns run partly to the front or back: the view is lateral or oblique."""
    directions = "".join(str(value).upper() for value in values(header, "PatientOrientation"))
    return not set("AP").isdisjoint(directions)
