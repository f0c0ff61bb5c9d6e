"""The Measurement Groups of the report (TID 1501): the study, its images, and each finding on each image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from highdicom.sr import (
    ContentItem,
    FindingSite,
    ImageContentItem,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.coding import Code
from pydicom.uid import SecondaryCaptureImageStorage

from cxr.case import CaseImage
from cxr.dicom import codes
from cxr.dicom.carried import plain
from cxr.dicom.sr_study import ReportedStudy
from cxr.findings import Finding
from cxr.reasons import Reason
from cxr.result import Decision, Disposition, FindingResult, Note

_CONTAINS: Final = RelationshipTypeValues.CONTAINS
_NAMED_IMAGES: Final = 3
"""So many images are named one by one in a group's label; of more, their number."""

_DECISION_ORDER: Final = {decision: position for position, decision in enumerate(Decision)}
_SUMMARY_WORDS: Final = {
    Decision.PRESENT: "Present",
    Decision.DEFERRED: "Deferred to a radiologist",
    Decision.ABSENT: "Absent",
    Decision.NOT_ASSESSED: "Not assessed",
}
_NOTHING_ASSESSED: Final = "No image could be assessed: this report says nothing about the presence of any finding."


def measurement_groups(study: ReportedStudy) -> list[MeasurementsAndQualitativeEvaluations]:
    """All groups in the order of reading: the study, what was not assessed, deferred or noticed, the findings.

    The findings of an image come in the order of their decisions: present, deferred, absent.
    """
    assessed = [image for image in study.images if image.assessed and image.results]
    groups = [_study_group(study, assessed), *_refusal_groups(study)]
    groups += [_deferral_group(study, image) for image in assessed if image.deferrals]
    groups += [_notice_group(study, image) for image in assessed if image.notices]
    for image in assessed:
        for result in sorted(image.results, key=lambda result: _DECISION_ORDER[result.decision]):
            groups.append(_finding_group(study, image, result))
    return groups


def _study_group(study: ReportedStudy, assessed: Sequence[CaseImage]) -> MeasurementsAndQualitativeEvaluations:
    """Report the study as a whole: permitted use, disposition, a summary, and each finding's decision."""
    served = {result.finding for image in assessed for result in image.results}
    decisions = {finding: study.case.decision(finding) for finding in Finding if finding in served}
    evaluations = [
        (codes.PERMITTED_USE, codes.RESEARCH),
        (codes.DISPOSITION, codes.disposition_code(study.case.disposition)),
        *((codes.concept(finding.code), codes.presence_code(decision)) for finding, decision in decisions.items()),
    ]
    group = _group(study, study.tracking("Study", "study"), assessed, evaluations)
    nothing = study.case.disposition is Disposition.NOT_ASSESSED
    summary = _text(codes.SUMMARY, _NOTHING_ASSESSED if nothing else _summary(decisions))
    # Right after the two tracking items: it is what a person looks for.
    group[0].ContentSequence.insert(2, summary)
    return group


def _refusal_groups(study: ReportedStudy) -> list[MeasurementsAndQualitativeEvaluations]:
    """Make one group for each reason and detail, with all images that were not assessed for it."""
    refused: dict[Note, list[CaseImage]] = {}
    for image in study.images:
        # An image that nothing has spoken against and that has no result must not pass in silence.
        note = image.refusal or (None if image.results else Note(Reason.PROCESSING_FAILED, "no result was made"))
        if note:
            refused.setdefault(note, []).append(image)
    return [_refusal_group(study, note, images) for note, images in refused.items()]


def _refusal_group(
    study: ReportedStudy, note: Note, images: Sequence[CaseImage]
) -> MeasurementsAndQualitativeEvaluations:
    names = ", ".join(study.labels[image.name] for image in images)
    label = f"Not assessed: {names if len(images) <= _NAMED_IMAGES else f'{len(images)} images'}"
    tracking = study.tracking(label, "refusal", note.reason.code, note.detail)
    group = _group(study, tracking, images, [(codes.REFUSAL_REASON, codes.reason_code(note.reason))])
    _add_text(group, codes.COMMENT, note.detail)
    return group


def _deferral_group(study: ReportedStudy, image: CaseImage) -> MeasurementsAndQualitativeEvaluations:
    """Report why every finding of an image is left to a radiologist."""
    tracking = study.tracking(f"Deferred: {study.labels[image.name]}", "deferral", image.sop_instance_uid)
    return _notes_group(study, image, tracking, codes.DEFERRAL_REASON, image.deferrals)


def _notice_group(study: ReportedStudy, image: CaseImage) -> MeasurementsAndQualitativeEvaluations:
    """Report what was noticed about an image that was assessed all the same."""
    tracking = study.tracking(f"Notices: {study.labels[image.name]}", "notice", image.sop_instance_uid)
    return _notes_group(study, image, tracking, codes.NOTICE, image.notices)


def _notes_group(
    study: ReportedStudy, image: CaseImage, tracking: TrackingIdentifier, concept: Code, notes: Sequence[Note]
) -> MeasurementsAndQualitativeEvaluations:
    group = _group(study, tracking, [image], [(concept, codes.reason_code(note.reason)) for note in notes])
    for note in notes:
        _add_text(group, codes.COMMENT, note.detail)
    return group


def _finding_group(
    study: ReportedStudy, image: CaseImage, result: FindingResult
) -> MeasurementsAndQualitativeEvaluations:
    """Report one finding on one image: certainty and presence, why it was deferred, and where the evidence lies."""
    finding = result.finding
    evaluations = [(codes.PRESENCE, codes.presence_code(result.decision))]
    if result.reason:
        evaluations.append((codes.DEFERRAL_REASON, codes.reason_code(result.reason)))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=study.tracking(
            f"{finding.display}: {study.labels[image.name]}", "finding", image.sop_instance_uid, finding.name
        ),
        finding_type=codes.concept(finding.code),
        finding_sites=[FindingSite(codes.concept(finding.site))],
        algorithm_id=study.algorithm,
        measurements=_measurements(result),
        qualitative_evaluations=[QualitativeEvaluation(name, value) for name, value in evaluations],
        source_images=study.sources([image]),
    )
    if result.decision in (Decision.PRESENT, Decision.DEFERRED) and result.heatmap.peak > 0:
        _add_text(group, codes.HOTTEST_REGION, result.heatmap.region)
    for overlay in study.overlays:
        if (overlay.source, overlay.finding) == (image.sop_instance_uid, finding):
            _add(group, _illustration(overlay.sop_instance_uid))
    return group


def _measurements(result: FindingResult) -> list[Measurement]:
    """Give the numbers of a finding: how likely, against what prevalence, how unusual, how likely wrong."""
    ratio = result.probability / result.prevalence
    measured = [
        Measurement(codes.CERTAINTY, codes.percent(result.probability), codes.PERCENT),
        Measurement(codes.PREVALENCE, codes.percent(result.prevalence), codes.PERCENT),
        Measurement(codes.PREVALENCE_RATIO, codes.ratio(ratio), codes.RATIO),
        Measurement(codes.WRONG, codes.percent(result.wrong), codes.PERCENT),
    ]
    if result.percentile is not None:
        measured.append(Measurement(codes.PERCENTILE, codes.percent(result.percentile / 100), codes.PERCENT))
    return measured


def _group(
    study: ReportedStudy,
    tracking: TrackingIdentifier,
    images: Iterable[CaseImage],
    evaluations: Iterable[tuple[Code, Code]],
) -> MeasurementsAndQualitativeEvaluations:
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        algorithm_id=study.algorithm,
        qualitative_evaluations=[QualitativeEvaluation(name, value) for name, value in evaluations],
        source_images=study.sources(images),
    )


def _illustration(sop_instance_uid: str) -> ImageContentItem:
    return ImageContentItem(
        name=codes.BEST_ILLUSTRATION,
        referenced_sop_class_uid=SecondaryCaptureImageStorage,
        referenced_sop_instance_uid=sop_instance_uid,
        relationship_type=_CONTAINS,
    )


def _text(name: Code, sentence: str) -> TextContentItem:
    return TextContentItem(name=name, value=plain(sentence), relationship_type=_CONTAINS)


def _add_text(group: MeasurementsAndQualitativeEvaluations, name: Code, sentence: str) -> None:
    if sentence:
        _add(group, _text(name, sentence))


def _add(group: MeasurementsAndQualitativeEvaluations, item: ContentItem) -> None:
    group[0].ContentSequence.append(item)


def _summary(decisions: dict[Finding, Decision]) -> str:
    """Say the decisions in one line, findings by decision."""
    parts = []
    for decision, words in _SUMMARY_WORDS.items():
        findings = [finding.display for finding, decided in decisions.items() if decided is decision]
        if findings:
            parts.append(f"{words}: {', '.join(findings)}.")
    return " ".join(parts)
