"""The heatmap values: all findings' evidence on one image, as a Parametric Map for other programs."""

from __future__ import annotations

from textwrap import shorten
from typing import Final

import numpy as np
from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence, VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodeContentItem
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.uid import ExplicitVRLittleEndian

from candor import RESEARCH_USE
from candor.dicom.shared import codes
from candor.dicom.shared.file import general_equipment, sign
from candor.dicom.shared.identity import carry_over, case_fingerprint, stamp
from candor.dicom.shared.values import plain, readable
from candor.dicom.write.plane import Plane, plane_of
from candor.study.case import Case, CaseImage
from candor.study.errors import ReportError
from candor.study.findings import Finding
from candor.study.provenance import MANUFACTURER, Provenance
from candor.study.reasons import Reason
from candor.study.result import FindingResult
from candor.words.texts import ENGLISH, Texts

SERIES_NUMBER: Final = 9102
SERIES_DESCRIPTION: Final = f"Candor heatmap values: {RESEARCH_USE}"
_SHORT_STRING: Final = 16
_THICKNESS_MM: Final = 1.0
"""Slice Thickness (0018,0050): it must have a value, although a projection has none."""

_SAME_IN_ALL_FRAMES: Final = ("DerivationImageSequence", "PlanePositionSequence")


def parametric_map_uid(provenance: Provenance, study_fingerprint: str, image: CaseImage) -> str:
    """Return the SOP Instance UID of the map of one image.

    Parameters
    ----------
    provenance
        What made the results.
    study_fingerprint
        :func:`candor.dicom.shared.identity.case_fingerprint` of the study.
    image
        The image.
    """
    return provenance.result_uid("heatmap-values", study_fingerprint, image.sop_instance_uid)


def parametric_map_series_uid(provenance: Provenance, study_fingerprint: str) -> str:
    """Return the Series Instance UID of all maps of a study.

    Parameters
    ----------
    provenance
        What made the results.
    study_fingerprint
        :func:`candor.dicom.shared.identity.case_fingerprint` of the study.
    """
    return provenance.result_uid("heatmap-values-series", study_fingerprint)


def build_parametric_map(
    case: Case, image: CaseImage, provenance: Provenance, number: int = 1, texts: Texts = ENGLISH
) -> ParametricMap:
    """Return the heatmaps of one image as the network made them, one frame for each finding.

    The frames are in the order of ``image.results``. A frame's finding is in its Quantity Definition Sequence, as the
    code of (121071, DCM, "Finding"), and for people in its Frame Label. The values are in units of the logit, at least
    0, on the network's own grid, whose cells cover the whole image. :mod:`candor.dicom.write.plane` computes the grid's
    position, in a Frame of Reference of its own.

    Parameters
    ----------
    case
        The study with its results; the object has its time.
    image
        An assessed image of it.
    provenance
        What made the results.
    number
        Instance Number (0020,0013) in the series of maps, from 1.
    texts
        The language of the texts.

    Returns
    -------
    A map of 32-bit floats in Explicit VR Little Endian. The same case gives the same bytes.

    Raises
    ------
    ReportError
        The image has no header or no results.

    References
    ----------
    DICOM PS3.3 A.75 (Parametric Map), C.7.6.16.2.11 (Real World Value Mapping), C.11.8 (VOI LUT).
    """
    source = _header(image)
    if not image.results:
        raise ReportError("a parametric map needs the heatmaps of its image, and it has no results")
    grids = np.stack([result.heatmap.grid for result in image.results], axis=-1)
    plane = plane_of(source, *grids.shape[:2])
    fingerprint = case_fingerprint(case)
    place = provenance.result_uid("heatmap-values-place", fingerprint, image.sop_instance_uid)
    target = ParametricMap(
        source_images=[_placed(source, plane, place)],
        pixel_array=grids[np.newaxis],
        pixel_measures=PixelMeasuresSequence(plane.spacing, _THICKNESS_MM),
        plane_orientation=PlaneOrientationSequence("PATIENT", plane.orientation),
        plane_positions=[PlanePositionSequence("PATIENT", plane.position)],
        real_world_value_mappings=[[_mapping(result, _top(grids))] for result in image.results],
        voi_lut_transformations=[_window(_top(grids))],
        derivation=codes.GRAD_CAM,
        contains_recognizable_visual_features=False,
        content_label="HEATMAPS",
        content_description=f"Heatmaps in logits: {RESEARCH_USE}",
        content_creator_name=f"{MANUFACTURER}^",
        content_qualification="RESEARCH",
        series_instance_uid=parametric_map_series_uid(provenance, fingerprint),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        sop_instance_uid=parametric_map_uid(provenance, fingerprint, image),
        instance_number=number,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        coding_schemes=[codes.private_scheme()],
        specific_character_set=None,
        **general_equipment(provenance),
    )
    _finish(target, case, image, plane, provenance, texts)
    _describe_frames(target, image, texts)
    _index_by_finding(target, provenance.result_uid("heatmap-values-findings", fingerprint))
    return target


def _finish(
    target: ParametricMap, case: Case, image: CaseImage, plane: Plane, provenance: Provenance, texts: Texts
) -> None:
    """Set what highdicom does not: the source's identity and anatomy, the derivation, equipment, times."""
    carry_over(target, _header(image), image=True)
    del target.PatientOrientation  # each frame has its Image Orientation (Patient)
    target.BurnedInAnnotation = "NO"  # even if the source has: no letter is legible on so coarse a grid
    if any(note.reason is Reason.LOSSY for note in image.notices):
        target.LossyImageCompression = "01"
    target.DerivationDescription = plain(" ".join(_derivation(plane, provenance)))
    target.ImageComments = readable(f"{texts.research_use}.", target)
    sign(target, provenance, case.time)
    stamp(target, case.time)


def _describe_frames(target: ParametricMap, image: CaseImage, texts: Texts) -> None:
    """Set the finding of each frame, and move what is the same in all frames to the shared attributes."""
    (shared,) = target.SharedFunctionalGroupsSequence
    frames = target.PerFrameFunctionalGroupsSequence
    for keyword in _SAME_IN_ALL_FRAMES:
        shared[keyword] = frames[0][keyword]
    if "RealWorldValueMappingSequence" in shared:  # highdicom does so for a single frame
        frames[0].RealWorldValueMappingSequence = shared.RealWorldValueMappingSequence
        del shared.RealWorldValueMappingSequence
    for position, (frame, result) in enumerate(zip(frames, image.results, strict=True), 1):
        for keyword in _SAME_IN_ALL_FRAMES:
            del frame[keyword]
        name = readable(texts.finding(result.finding), target)
        (content,), (mapping,) = frame.FrameContentSequence, frame.RealWorldValueMappingSequence
        content.DimensionIndexValues = [position]
        content.FrameLabel = mapping.LUTExplanation = name


def _index_by_finding(target: ParametricMap, organization_uid: str) -> None:
    """Set the finding as the frames' one dimension; highdicom sets the position, which is the same for all."""
    organization = Dataset()
    organization.DimensionOrganizationUID = organization_uid
    target.DimensionOrganizationSequence = [organization]
    (dimension,) = target.DimensionIndexSequence
    dimension.DimensionOrganizationUID = organization_uid
    dimension.DimensionIndexPointer = tag_for_keyword("LUTLabel")
    dimension.FunctionalGroupPointer = tag_for_keyword("RealWorldValueMappingSequence")
    dimension.DimensionDescriptionLabel = "Finding"


def _header(image: CaseImage) -> Dataset:
    if image.header is None:
        raise ReportError("a parametric map needs the attributes of its image, and the file could not be read")
    return image.header


def _placed(header: Dataset, plane: Plane, frame_of_reference_uid: str) -> Dataset:
    """Return the source with a position, and without the identity, which highdicom would write into logs."""
    source = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns"):
        setattr(source, keyword, header[keyword].value)
    source.PatientID = source.PatientName = source.PatientBirthDate = source.PatientSex = None
    source.AccessionNumber = source.StudyID = source.StudyDate = source.StudyTime = None
    source.FrameOfReferenceUID = frame_of_reference_uid
    source.ImagePositionPatient, source.ImageOrientationPatient = [0, 0, 0], list(plane.orientation)
    source.PixelSpacing, source.SliceThickness = [1, 1], _THICKNESS_MM
    return source


def _mapping(result: FindingResult, top: float) -> RealWorldValueMapping:
    """Return the mapping of one frame's values: their finding and their unit."""
    mapping = RealWorldValueMapping(
        lut_label=lut_label(result.finding),
        lut_explanation="",
        unit=codes.LOGIT,
        value_range=(0.0, top),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.GRAD_CAM,
    )
    finding = CodeContentItem(name=codes.FINDING, value=codes.concept(result.finding.code))
    mapping.QuantityDefinitionSequence.append(finding)
    return mapping


def lut_label(finding: Finding) -> str:
    """Return a unique name of a finding for LUT Label (0040,9210), of at most 16 letters."""
    return shorten(finding.display, _SHORT_STRING, placeholder="...")


def _window(top: float) -> VOILUTTransformation:
    """Return the same window for all frames: from black for 0 to white for the highest value of all."""
    return VOILUTTransformation(window_center=top / 2, window_width=top, voi_lut_function="LINEAR_EXACT")


def _top(grids: NDArray[np.float32]) -> float:
    """Return the highest value of all frames; 1 where all are empty, because a window needs a width."""
    return float(grids.max()) or 1.0


def _derivation(plane: Plane, provenance: Provenance) -> list[str]:
    """Return how the map was made, and what is assumed about its position."""
    sentences = [
        f"Class activation by {provenance.model_name} {provenance.software_versions}, in units of the logit, "
        "on the network's grid over the whole source image."
    ]
    if not plane.is_measured:
        sentences.append("The source states no pixel spacing: 1 mm for each of its pixels is assumed.")
    if not plane.is_oriented:
        sentences.append("The source states no orientation: rows to the left and columns to the feet are assumed.")
    return sentences
