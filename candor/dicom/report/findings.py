"""The Measurement Group of one finding on one image: TID 1410 where the finding is outlined, else TID 1501."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.sr.coding import Code

from candor.dicom.report import content_items
from candor.dicom.report.content_items import Reference
from candor.dicom.report.study import ReportedStudy
from candor.dicom.shared import codes
from candor.evidence.outline import LEVEL, Points, is_localised, outlines
from candor.study.case import CaseImage, assert_set
from candor.study.result import Decision, FindingResult
from candor.study.result_object import ResultObject


def finding_group(study: ReportedStudy, image: CaseImage, number: int, result: FindingResult) -> bytes:
    """Return the group of one finding on one image: certainty, presence, the reason of a deferral, the evidence.

    Parameters
    ----------
    study
        The study as the report describes it.
    image
        One of its assessed images.
    number
        Position of the result among the image's, from 1: the finding's frame in a parametric map.
    result
        The result.

    References
    ----------
    DICOM PS3.16 TID 1501 (Measurement and Qualitative Evaluation Group), TID 1410 (Planar ROI Measurements and
    Qualitative Evaluations).
    """
    # Nothing can be drawn on an image that the report may not refer to.
    source = next(iter(study.references([image])), None)
    region = _region(image, result) if source else None
    children = [*_heading(study, image, result), *_measurements(result), *_evaluations(result)]
    if source and region is not None:
        children.append(content_items.polyline(codes.IMAGE_REGION, region, source))
    elif source:
        children.append(content_items.image("CONTAINS", codes.SOURCE_OF_MEASUREMENT, source))
    children += _texts(study, result, outlined=region is not None)
    children += _illustrations(study, image, number, result, source if region is not None else None)
    return content_items.container(codes.MEASUREMENT_GROUP, children, "1501" if region is None else "1410")


def _region(image: CaseImage, result: FindingResult) -> Points | None:
    """Return the outline around the peak; None where the finding is not outlined."""
    if not is_localised(result):
        return None
    header = assert_set(image.header)
    return outlines(result.heatmap, (header.Rows, header.Columns))[0]


def _heading(study: ReportedStudy, image: CaseImage, result: FindingResult) -> Iterator[bytes]:
    """Yield the items of the finding, its site and the algorithm."""
    finding = result.finding
    label = f"{study.texts.finding(finding)}: {study.labels[image.name]}"
    yield from study.tracking(label, "finding", image.sop_instance_uid, finding.name)
    yield content_items.code("CONTAINS", codes.FINDING, codes.concept(finding.code))
    yield content_items.code("HAS CONCEPT MOD", codes.FINDING_SITE, codes.concept(finding.site))
    yield study.algorithm


def _measurements(result: FindingResult) -> Iterator[bytes]:
    """Yield the numbers of a finding: certainty with its interval, prevalence, their ratio, P(wrong) and percentile."""
    ratio = result.probability / result.prevalence
    yield _certainty(result)
    yield _percent(codes.PREVALENCE, result.prevalence)
    yield content_items.number(codes.PREVALENCE_RATIO, codes.ratio(ratio), codes.RATIO)
    yield _percent(codes.WRONG, result.wrong)
    if result.percentile is not None:
        yield _percent(codes.PERCENTILE, result.percentile / 100)


def _certainty(result: FindingResult) -> bytes:
    """Return the certainty; its 90% interval stands below it as distances (PS3.16 TID 310 row 5, CID 225)."""
    shown, reaches = codes.percent(result.probability), []
    if result.interval is not None:
        low, high = (codes.percent(bound) for bound in result.interval)
        reaches = [(codes.UNCERTAINTY_ABOVE, high - shown), (codes.UNCERTAINTY_BELOW, shown - low)]
    properties = [
        content_items.number(name, max(0.0, round(reach, 2)), codes.PERCENT, "HAS PROPERTIES")
        for name, reach in reaches
    ]
    return content_items.number(codes.CERTAINTY, shown, codes.PERCENT, properties=properties)


def _percent(name: Code, share: float) -> bytes:
    return content_items.number(name, codes.percent(share), codes.PERCENT)


def _evaluations(result: FindingResult) -> Iterator[bytes]:
    yield content_items.code("CONTAINS", codes.PRESENCE, codes.presence_code(result.decision))
    if result.reason:
        yield content_items.code("CONTAINS", codes.DEFERRAL_REASON, codes.reason_code(result.reason))


def _texts(study: ReportedStudy, result: FindingResult, *, outlined: bool) -> Iterator[bytes]:
    """Yield the texts: reference values, the reason of a deferral, and the region of the evidence."""
    texts = study.texts
    reference = texts.reference_values.format(prevalence=codes.percent(result.prevalence))
    if result.interval is not None:
        low, high = (codes.percent(bound) for bound in result.interval)
        reference += " " + texts.interval.format(low=low, high=high)
    said = [(codes.REFERENCE_VALUES, reference)]
    if result.reason:
        said.append((codes.COMMENT, texts.reason(result.reason)))
    if result.decision in (Decision.PRESENT, Decision.DEFERRED) and result.heatmap.peak > 0:
        said.append((codes.HOTTEST_REGION, texts.region(result.heatmap.region)))
    if outlined:
        said.append((codes.OUTLINE, texts.outline_level.format(level=round(100 * LEVEL))))
    for name, sentence in said:
        yield content_items.text("CONTAINS", name, study.encode(sentence))


def _illustrations(
    study: ReportedStudy, image: CaseImage, number: int, result: FindingResult, outlined: Reference | None
) -> Iterator[bytes]:
    """Yield references to the finding's overlay, its frame of the heatmaps, and its image with outlines."""
    shown = [_reference(written) for written in study.written_for("sc", image, result.finding)]
    shown += [_reference(written, number) for written in study.written_for("pm", image)]
    if outlined:
        shown += [
            Reference(
                outlined.sop_class_uid,
                outlined.sop_instance_uid,
                shown_by=(written.sop_class_uid, written.sop_instance_uid),
            )
            for written in study.written_for("gsps", image)
        ]
    for reference in shown:
        yield content_items.image("CONTAINS", codes.BEST_ILLUSTRATION, reference)


def _reference(written: ResultObject, frame: int | None = None) -> Reference:
    return Reference(written.sop_class_uid, written.sop_instance_uid, frame)
