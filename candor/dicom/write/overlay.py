"""The overlays: the evidence for a finding over its image, as Secondary Captures, which every PACS shows."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Final

from highdicom.sc import SCImage
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from candor import RESEARCH_USE
from candor.dicom.shared import codes
from candor.dicom.shared.file import general_equipment, sign
from candor.dicom.shared.identity import carry_over, case_fingerprint, stamp
from candor.dicom.shared.values import plain, readable
from candor.evidence.overlay import Canvas, Rgb, ScaleWords, render
from candor.study.case import Case, CaseImage
from candor.study.errors import ReportError
from candor.study.findings import Finding
from candor.study.provenance import Provenance
from candor.study.reasons import Reason
from candor.study.result import Decision, FindingResult
from candor.words.texts import ENGLISH, Texts

SERIES_NUMBER: Final = 9101
SERIES_DESCRIPTION: Final = f"Candor heatmaps: {RESEARCH_USE}"
_ANSWERED: Final = (Decision.PRESENT, Decision.DEFERRED)
_FINDING_ORDER: Final = {finding: position for position, finding in enumerate(Finding)}
_ANY_ORIENTATION: Final = ("L", "F")


def select_overlays(case: Case, max_overlays: int) -> list[tuple[CaseImage, FindingResult]]:
    """Return the findings that get an overlay, the most urgent first.

    PRESENT is before DEFERRED, and within each the highest ratio of probability and prevalence is first. Ties are in
    the order of SOP Instance UIDs and of findings.

    Parameters
    ----------
    case
        The study with its results.
    max_overlays
        The most pairs.

    Returns
    -------
    Pairs of image and result; the image has its radiograph.
    """
    pairs = [
        (image, result)
        for image in case.assessed_images
        if image.radiograph is not None
        for result in image.results
        if result.decision in _ANSWERED
    ]
    return sorted(pairs, key=_urgency)[:max_overlays]


def overlay_uid(provenance: Provenance, study_fingerprint: str, image: CaseImage, finding: Finding) -> str:
    """Return the SOP Instance UID of the overlay for one finding on one image.

    Parameters
    ----------
    provenance
        What made the results.
    study_fingerprint
        :func:`candor.dicom.shared.identity.case_fingerprint` of the study.
    image, finding
        The image and the finding.
    """
    return provenance.result_uid("overlay", study_fingerprint, image.sop_instance_uid, finding.name)


def overlay_series_uid(provenance: Provenance, study_fingerprint: str) -> str:
    """Return the Series Instance UID of all overlays of a study.

    Parameters
    ----------
    provenance
        What made the results.
    study_fingerprint
        :func:`candor.dicom.shared.identity.case_fingerprint` of the study.
    """
    return provenance.result_uid("overlay-series", study_fingerprint)


def build_overlay(
    case: Case,
    image: CaseImage,
    result: FindingResult,
    provenance: Provenance,
    number: int = 1,
    texts: Texts = ENGLISH,
    canvas: Canvas | None = None,
) -> SCImage:
    """Return the overlay of one finding's evidence on its image, as a Secondary Capture.

    Parameters
    ----------
    case
        The study with its results; the object has its time.
    image, result
        One pair of :func:`select_overlays`.
    provenance
        What made the results.
    number
        Instance Number (0020,0013) in the series of overlays, from 1.
    texts
        The language of the texts.
    canvas
        The image's radiograph, scaled once for all its overlays; None scales it for this one.

    Returns
    -------
    An RGB image in Explicit VR Little Endian. The same case gives the same bytes.

    Raises
    ------
    ReportError
        The image has no header or was not read.

    References
    ----------
    DICOM PS3.3 A.8.1 (Secondary Capture), C.7.6.1.1.4 (Source Image Sequence); PS3.16 CID 7202.
    """
    source = _header(image)
    if image.radiograph is None:
        raise ReportError("an overlay needs the image's pixels, and it was not read")
    fingerprint = case_fingerprint(case)
    overlay = SCImage(
        pixel_array=_picture(canvas or Canvas.of(image.radiograph), result, provenance, texts),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=_ANY_ORIENTATION,
        study_instance_uid=source.StudyInstanceUID,
        series_instance_uid=overlay_series_uid(provenance, fingerprint),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        sop_instance_uid=overlay_uid(provenance, fingerprint, image, result.finding),
        instance_number=number,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        coding_schemes=[codes.private_scheme()],
        **general_equipment(provenance),
    )
    _finish(overlay, case, image, result, provenance, texts)
    return overlay


def _picture(canvas: Canvas, result: FindingResult, provenance: Provenance, texts: Texts) -> Rgb:
    """Return the overlay's picture, with texts in ASCII, because the font has no other letters."""
    return render(
        canvas,
        result.heatmap,
        title=plain(_title(result, texts)),
        lines=[plain(line) for line in _lines(result, provenance, texts)],
        footer=plain(texts.research_use),
        scale=ScaleWords(plain(texts.evidence), plain(texts.contour), plain(texts.no_evidence)),
    )


def _finish(
    overlay: SCImage, case: Case, image: CaseImage, result: FindingResult, provenance: Provenance, texts: Texts
) -> None:
    """Set what highdicom does not: the source's identity and anatomy, the derivation, equipment, times."""
    source = _header(image)
    carry_over(overlay, source, image=True)
    if any(note.reason is Reason.LOSSY for note in image.notices):
        overlay.LossyImageCompression = "01"
    overlay.ImageType = ["DERIVED", "SECONDARY", "HEATMAP"]
    overlay.SourceImageSequence = [_source_image(source)]
    overlay.DerivationDescription = plain(
        f"Class activation for {result.finding.display} by {provenance.model_name} "
        f"{provenance.software_versions}, over the source image"
    )
    overlay.ImageComments = readable(f"{_title(result, texts)}. {texts.research_use}.", overlay)
    sign(overlay, provenance, case.time)
    stamp(overlay, case.time)


def _source_image(source: Dataset) -> Dataset:
    purpose = Dataset()
    purpose.CodeValue = codes.SOURCE_IMAGE.value
    purpose.CodingSchemeDesignator = codes.SOURCE_IMAGE.scheme_designator
    purpose.CodeMeaning = codes.SOURCE_IMAGE.meaning
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item


def _title(result: FindingResult, texts: Texts) -> str:
    return texts.overlay_title.format(
        finding=texts.finding(result.finding),
        decision=texts.decisions[result.decision],
        probability=codes.percent(result.probability),
    )


def _lines(result: FindingResult, provenance: Provenance, texts: Texts) -> Iterator[str]:
    """Yield the lines under the title: the reason of a deferral, prevalence and region, and the model."""
    if result.reason:
        yield texts.reason(result.reason)
    prevalence = texts.overlay_prevalence.format(prevalence=codes.percent(result.prevalence))
    region = texts.overlay_region.format(region=texts.region(result.heatmap.region))
    yield f"{prevalence}; {region}" if result.heatmap.peak > 0 else prevalence
    yield f"{provenance.model_name} {provenance.software_versions}"


def _urgency(pair: tuple[CaseImage, FindingResult]) -> tuple[int, float, str, int]:
    image, result = pair
    times_likelier = result.probability / result.prevalence if result.prevalence else inf
    return (
        _ANSWERED.index(result.decision),
        -times_likelier,
        image.sop_instance_uid,
        _FINDING_ORDER[result.finding],
    )


def _header(image: CaseImage) -> Dataset:
    if image.header is None:
        raise ReportError("an overlay needs the attributes of its image, and the file could not be read")
    return image.header
