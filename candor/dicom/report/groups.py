"""The Measurement Groups of the report (TID 1501): the study, its images, and each finding on each image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pydicom.sr.coding import Code

from candor.dicom.report import content_items
from candor.dicom.report.findings import finding_group
from candor.dicom.report.study import ReportedStudy
from candor.dicom.shared import codes
from candor.study.case import CaseImage
from candor.study.findings import Finding
from candor.study.reasons import Reason
from candor.study.result import Decision, Disposition, Note, StudyAnswer
from candor.words.study_answer import answer_lines, reference_lines

_NAMED_IMAGES: Final = 3
"""The most images that a group's label names; for more, it has their number."""

_DECISION_ORDER: Final = {decision: position for position, decision in enumerate(Decision)}


def measurement_groups(study: ReportedStudy) -> list[bytes]:
    """Return all groups in order: the study, refusals, deferrals, notices, and the findings.

    The findings of an image come in the order of their decisions: present, deferred, absent.
    """
    assessed = [image for image in study.images if image.assessed and image.results]
    groups = [_study_group(study, assessed), *_refusal_groups(study)]
    groups += [_deferral_group(study, image) for image in assessed if image.deferrals]
    groups += [_notice_group(study, image) for image in assessed if image.notices]
    for image in assessed:
        numbered = enumerate(image.results, 1)
        for number, result in sorted(numbered, key=lambda item: _DECISION_ORDER[item[1].decision]):
            groups.append(finding_group(study, image, number, result))
    return groups


def _study_group(study: ReportedStudy, assessed: Sequence[CaseImage]) -> bytes:
    """Return the group of the whole study: a summary, permitted use, disposition, and each finding's decision."""
    served = {result.finding for image in assessed for result in image.results}
    decisions = {finding: study.case.decision(finding) for finding in Finding if finding in served}
    evaluations = [
        (codes.PERMITTED_USE, codes.RESEARCH),
        (codes.DISPOSITION, codes.disposition_code(study.case.disposition)),
        *((codes.concept(finding.code), codes.presence_code(decision)) for finding, decision in decisions.items()),
    ]
    nothing = study.case.disposition is Disposition.NOT_ASSESSED
    # The summary is the first item after the two tracking items, because people look for it.
    tracking = study.tracking(study.texts.study_name, "study")
    summary = study.texts.nothing_assessed if nothing else _summary(study, decisions)
    answer = study.case.answer
    lines = [summary] if answer is None else [*answer_lines(study.texts, answer), summary]
    heading = [*tracking, _text(study, codes.SUMMARY, " ".join(lines)), *_answer_items(answer)]
    comments = [*reference_lines(study.texts, answer), f"{study.texts.research_use}."]
    if study.foreign_fit and not nothing:
        comments.append(study.foreign_fit)
    return _group(study, heading, assessed, evaluations, comments)


def _answer_items(answer: StudyAnswer | None) -> Iterator[bytes]:
    """Yield the coded answer for the study: any abnormality, the priority, and the findings to look at first."""
    if answer is None:
        return
    yield content_items.code("CONTAINS", codes.ANY_ABNORMALITY, codes.any_abnormality_code(answer.any_abnormality))
    yield content_items.number(codes.PRIORITY, round(answer.priority, 1), codes.PERCENT)
    for look in answer.look_first:
        yield content_items.code("CONTAINS", codes.LOOK_FIRST, codes.concept(look.finding.code))


def _refusal_groups(study: ReportedStudy) -> list[bytes]:
    """Return one group for each reason and detail, with all images that were refused for it."""
    refused: dict[Note, list[CaseImage]] = {}
    for image in study.images:
        # An image without a refusal and without a result is reported as a failure.
        note = image.refusal or (None if image.results else Note(Reason.PROCESSING_FAILED, "no result was made"))
        if note:
            refused.setdefault(note, []).append(image)
    return [_refusal_group(study, note, images) for note, images in refused.items()]


def _refusal_group(study: ReportedStudy, note: Note, images: Sequence[CaseImage]) -> bytes:
    names = ", ".join(study.labels[image.name] for image in images)
    if len(images) > _NAMED_IMAGES:
        names = study.texts.image_count.format(number=len(images))
    label = f"{study.texts.decisions[Decision.NOT_ASSESSED]}: {names}"
    tracking = study.tracking(label, "refusal", note.reason.code, note.detail)
    return _notes_group(study, tracking, images, codes.REFUSAL_REASON, [note])


def _deferral_group(study: ReportedStudy, image: CaseImage) -> bytes:
    """Return the group of the reasons why every finding of an image is deferred."""
    label = f"{study.texts.decisions[Decision.DEFERRED]}: {study.labels[image.name]}"
    tracking = study.tracking(label, "deferral", image.sop_instance_uid)
    return _notes_group(study, tracking, [image], codes.DEFERRAL_REASON, image.deferrals)


def _notice_group(study: ReportedStudy, image: CaseImage) -> bytes:
    """Return the group of an assessed image's notices."""
    tracking = study.tracking(f"{study.texts.notices}: {study.labels[image.name]}", "notice", image.sop_instance_uid)
    return _notes_group(study, tracking, [image], codes.NOTICE, image.notices)


def _notes_group(
    study: ReportedStudy, tracking: list[bytes], images: Sequence[CaseImage], concept: Code, notes: Sequence[Note]
) -> bytes:
    evaluations = [(concept, codes.reason_code(note.reason)) for note in notes]
    return _group(study, tracking, images, evaluations, [_sentence(study, note) for note in notes])


def _sentence(study: ReportedStudy, note: Note) -> str:
    """Return a note in the report's language; only the detail is always English."""
    meaning = study.texts.reason(note.reason)
    return f"{meaning}: {note.detail}" if note.detail else meaning


def _group(
    study: ReportedStudy,
    heading: Sequence[bytes],
    images: Iterable[CaseImage],
    evaluations: Iterable[tuple[Code, Code]],
    comments: Iterable[str],
) -> bytes:
    children = [
        *heading,
        study.algorithm,
        *(content_items.code("CONTAINS", name, value) for name, value in evaluations),
        *(content_items.image("CONTAINS", codes.SOURCE_OF_MEASUREMENT, source) for source in study.references(images)),
        *(_text(study, codes.COMMENT, comment) for comment in comments),
    ]
    return content_items.container(codes.MEASUREMENT_GROUP, children, "1501")


def _text(study: ReportedStudy, name: Code, sentence: str) -> bytes:
    return content_items.text("CONTAINS", name, study.encode(sentence))


def _summary(study: ReportedStudy, decisions: dict[Finding, Decision]) -> str:
    """Return the decisions in one line, with the findings of each."""
    parts = []
    for decision, words in study.texts.decisions.items():
        findings = [study.texts.finding(finding) for finding, decided in decisions.items() if decided is decision]
        if findings:
            parts.append(f"{words}: {', '.join(findings)}.")
    return " ".join(parts)
