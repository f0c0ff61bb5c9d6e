"""The outlines as Grayscale Softcopy Presentation States: over the image itself, with a layer for each finding.

The presentation state shows the image with its own grey-scale pipeline, as the application read it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from highdicom import PresentationLUTTransformation
from highdicom.pr import GrayscaleSoftcopyPresentationState
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from candor import RESEARCH_USE
from candor.dicom.read.greyscale import GreyScale
from candor.dicom.read.lut import Lut, Rescale, Window
from candor.dicom.shared.attributes import items
from candor.dicom.shared.file import general_equipment, sign
from candor.dicom.shared.identity import carry_character_set, carry_over, case_fingerprint, stamp
from candor.dicom.shared.values import carry_where_valid, readable, valid_text
from candor.dicom.write.graphics import Subject, graphics
from candor.evidence.outline import is_localised
from candor.study.case import Case, CaseImage
from candor.study.errors import ReportError
from candor.study.provenance import APPLICATION_NAME, Provenance
from candor.study.reasons import Reason
from candor.words.texts import ENGLISH, Texts

SERIES_NUMBER: Final = 9103
SERIES_DESCRIPTION: Final = f"Candor outlines: {RESEARCH_USE}"
_LABEL: Final = "CANDOR OUTLINES"
_LUT_BITS: Final = 16
_UNSPECIFIED: Final = "US"
"""The Modality LUT Type or Rescale Type of unspecified units (PS3.3 C.11.1.1.2)."""


def select_presentation_states(case: Case) -> list[CaseImage]:
    """Return the images with a finding that can be outlined, sorted by SOP Instance UID."""
    images = [image for image in case.assessed_images if any(map(is_localised, image.results))]
    return sorted(images, key=lambda image: image.sop_instance_uid)


def presentation_state_uid(provenance: Provenance, study_fingerprint: str, image: CaseImage) -> str:
    """Return the SOP Instance UID of an image's presentation state.

    Parameters
    ----------
    provenance
        What made the results.
    study_fingerprint
        :func:`candor.dicom.shared.identity.case_fingerprint` of the study.
    image
        The image.
    """
    return provenance.result_uid("presentation-state", study_fingerprint, image.sop_instance_uid)


def presentation_state_series_uid(provenance: Provenance, study_fingerprint: str) -> str:
    """Return the Series Instance UID of all presentation states of a study.

    Parameters
    ----------
    provenance
        What made the results.
    study_fingerprint
        :func:`candor.dicom.shared.identity.case_fingerprint` of the study.
    """
    return provenance.result_uid("presentation-state-series", study_fingerprint)


def build_presentation_state(
    case: Case, image: CaseImage, provenance: Provenance, number: int = 1, texts: Texts = ENGLISH
) -> GrayscaleSoftcopyPresentationState:
    """Return outlines of the evidence for an image's positive findings, to be shown over the image.

    Each finding has its own graphic layer with its outlines, and its name and probability at the side of the picture.
    They have the Tracking ID and UID of the finding's group in the report.

    Parameters
    ----------
    case
        The study with its results; the object has its time.
    image
        One of :func:`select_presentation_states`.
    provenance
        What made the results.
    number
        Instance Number (0020,0013) in the series of presentation states, from 1.
    texts
        The language of the texts.

    Returns
    -------
    A presentation state in Explicit VR Little Endian. The same case gives the same bytes.

    Raises
    ------
    ReportError
        The image has no header, or no finding that can be outlined.

    References
    ----------
    DICOM PS3.3 A.33.1 (Grayscale Softcopy Presentation State), C.10.5 (Graphic Annotation), C.11.8 (Softcopy VOI
    LUT), C.11.6 (Softcopy Presentation LUT).
    """
    source = image.header
    if source is None:
        raise ReportError("outlines need the attributes of their image, and the file could not be read")
    if not any(map(is_localised, image.results)):
        raise ReportError("outlines need a finding that is present, with evidence that has a place")
    fingerprint = case_fingerprint(case)
    reference = _reference(source)
    grey = GreyScale.of(source)
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[reference],
        series_instance_uid=presentation_state_series_uid(provenance, fingerprint),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        sop_instance_uid=presentation_state_uid(provenance, fingerprint, image),
        instance_number=number,
        content_label=_LABEL,
        content_description=readable(texts.research_use, reference)[:64],
        content_creator_name=f"{APPLICATION_NAME}^",
        presentation_lut_transformation=PresentationLUTTransformation("INVERSE" if grey.inverse else "IDENTITY"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set=None,  # copied below: highdicom refuses "" as the first of several sets
        **general_equipment(provenance),
    )
    subject = Subject(case, image, reference, provenance, fingerprint, texts)
    state.GraphicLayerSequence, state.GraphicAnnotationSequence = graphics(subject)
    has_voi = grey.voi is not None and not any(note.reason is Reason.NO_VOI for note in image.notices)
    grey = _in_one_lut(grey) if has_voi else grey
    _add_modality_lut(state, grey, source)
    if has_voi:
        _add_voi_lut(state, grey)
    _finish(state, case, source, provenance)
    return state


def _finish(state: GrayscaleSoftcopyPresentationState, case: Case, source: Dataset, provenance: Provenance) -> None:
    """Set what highdicom does not: the source's identity and body part, equipment, times."""
    carry_over(state, source, image=False)
    carry_where_valid(state, source, "BodyPartExamined")
    if "BodyPartExamined" not in state:
        state.Laterality = ""  # it is not known whether the body part is a paired one (type 2C)
    sign(state, provenance, case.time)
    stamp(state, case.time)
    date, clock = state.ContentDate, state.ContentTime
    del state.ContentDate, state.ContentTime  # a presentation state has the two below instead
    state.PresentationCreationDate, state.PresentationCreationTime = date, clock
    # In the zone of the other times: dcmpschk refuses a date and time with "+" in it, though PS3.5 6.2 allows it.
    state.ContributingEquipmentSequence[0].add_new("ContributionDateTime", "DT", f"{date}{clock}")
    # highdicom writes an attribute that only images of slides have.
    del state.DisplayedAreaSelectionSequence[0].PixelOriginInterpretation


def _reference(source: Dataset) -> Dataset:
    """Return the attributes that highdicom reads of a referenced image; :func:`carry_over` sets the identity."""
    reference = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns"):
        setattr(reference, keyword, source[keyword].value)
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
        setattr(reference, keyword, "")
    for keyword in ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"):
        setattr(reference, keyword, "")
    reference.SamplesPerPixel = 1
    carry_character_set(reference, source)
    return reference


def _in_one_lut(grey: GreyScale) -> GreyScale:
    """Return a pipeline with the Modality LUT and the next step joined into one VOI LUT of the stored values.

    The entries of a presentation state's Modality LUT must have 8 or 16 bits (PS3.3 C.11.1.1), and validators refuse 16
    where the values need fewer. The picture is the same.
    """
    if not isinstance(grey.modality, Lut):
        return grey
    first = grey.modality.first
    inputs = np.arange(first, first + len(grey.modality.entries) // 2, dtype=np.float64)
    shown = replace(grey, inverse=False).table(inputs, np.ones(inputs.shape, np.bool_))
    entries = np.rint(shown * 0xFFFF).astype("<u2")
    return replace(grey, modality=Rescale(), voi=Lut(first, _LUT_BITS, entries.tobytes()))


def _add_modality_lut(state: Dataset, grey: GreyScale, source: Dataset) -> None:
    """Set the Modality LUT, or slope and intercept, where they change the values (PS3.3 C.11.1)."""
    modality = grey.modality
    if isinstance(modality, Lut):
        item = _lut_item(modality)
        kind = valid_text(items(source, "ModalityLUTSequence")[0], "ModalityLUTType")
        item.ModalityLUTType = kind or _UNSPECIFIED
        state.ModalityLUTSequence = [item]
    elif modality != Rescale():
        state.RescaleIntercept = DSfloat(modality.intercept, auto_format=True)
        state.RescaleSlope = DSfloat(modality.slope, auto_format=True)
        state.RescaleType = valid_text(source, "RescaleType") or _UNSPECIFIED


def _add_voi_lut(state: Dataset, grey: GreyScale) -> None:
    """Set the VOI LUT or the window that the image is shown with first (PS3.3 C.11.8)."""
    item = Dataset()
    match grey.voi:
        case Lut():
            item.VOILUTSequence = [_lut_item(_in_16_bits(grey.voi))]
        case Window():
            item.WindowCenter = DSfloat(grey.voi.center, auto_format=True)
            item.WindowWidth = DSfloat(grey.voi.width, auto_format=True)
            if grey.voi.function != "LINEAR":
                item.VOILUTFunction = grey.voi.function
        case _:
            return
    state.SoftcopyVOILUTSequence = [item]


def _lut_item(lut: Lut) -> Dataset:
    """Return a LUT as an item of a LUT Sequence, with entries of 16 bits.

    A presentation state has no Pixel Representation, so the Value Representation shows whether the first input is
    signed.

    References
    ----------
    DICOM PS3.3 C.11.1.1, C.11.8.1: entries have 8 or 16 bits, also where those of an image may have 9 to 15.
    """
    count = len(lut.entries) // 2
    item = Dataset()
    # pydicom rightly writes the first and the third value unsigned in both Value Representations.
    item.add_new("LUTDescriptor", "SS" if lut.first < 0 else "US", [count % (1 << 16), lut.first, _LUT_BITS])
    item.add_new("LUTData", "OW", lut.entries)
    return item


def _in_16_bits(lut: Lut) -> Lut:
    """Return a VOI LUT with its entries scaled to 16 bits; the picture is the same."""
    entries = np.frombuffer(lut.entries, "<u2")
    spread = np.rint(entries * (0xFFFF / ((1 << lut.bits) - 1))).astype("<u2")
    return Lut(lut.first, _LUT_BITS, spread.tobytes())
