"""``results.json``: what became of every input file, every study and every finding, for programs and people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from candor import RESEARCH_USE
from candor.study.case import Case, CaseImage
from candor.study.provenance import APPLICATION_NAME, NO_FAMILIARITY, Provenance
from candor.study.reasons import Reason
from candor.study.result import Disposition, FindingResult, Note, ShortcutAudit
from candor.study.result_object import ResultObject

Json = dict[str, Any]


def summarise(cases: Iterable[Case], provenance: Provenance) -> Json:
    """Make the content of ``results.json``.

    The same input, model and settings give the same content: no time of day and no duration is in it.
    """
    cases = tuple(cases)
    return {
        "notice": RESEARCH_USE,
        "application": {"name": APPLICATION_NAME, "version": provenance.application_version},
        "model": {
            "name": provenance.model_name,
            "version": provenance.model_version,
            "sha256": provenance.bundle_sha256,
            "engine": provenance.engine,
            "calibration": provenance.calibration,
            "gate": provenance.gate,
            "familiarity": provenance.familiarity,
            "notes": [] if provenance.familiarity else [NO_FAMILIARITY],
        },
        "studies": [_study(case) for case in cases if case.study_instance_uid],
        "files": sorted((_file(case, image) for case in cases for image in case.images), key=lambda f: str(f["name"])),
    }


def _study(case: Case) -> Json:
    return {
        "study_instance_uid": case.study_instance_uid,
        "disposition": case.disposition.value,
        "time": case.time.isoformat(),
        "failure": case.failure,
        "findings": {
            result.finding.label: case.decision(result.finding).value
            for image in case.assessed_images[:1]
            for result in image.results
        },
        "images": [_image(image) for image in case.assessed_images],
        "objects": [_object(written) for written in case.written],
    }


def _image(image: CaseImage) -> Json:
    return {
        "name": image.name,
        "sop_instance_uid": image.sop_instance_uid,
        "findings": [_finding(result) for result in image.results],
        "shortcut": _shortcut(image.shortcut, image.results) if image.shortcut else None,
    }


def _finding(result: FindingResult) -> Json:
    return {
        "finding": result.finding.label,
        "probability": round(result.probability, 6),
        "prevalence": round(result.prevalence, 6),
        "probability_over_prevalence": round(result.probability / result.prevalence, 3),
        "percentile": None if result.percentile is None else round(result.percentile, 1),
        "p_wrong": round(result.wrong, 6),
        "logit": round(result.logit, 6),
        "decision": result.decision.value,
        "reason": _reason(result.reason) if result.reason else None,
        "region": result.heatmap.region,
        "peak": round(result.heatmap.peak, 6),
    }


def _shortcut(audit: ShortcutAudit, results: Iterable[FindingResult]) -> Json:
    changes = zip(results, audit.changes, strict=True)
    return {
        "blanked": audit.what,
        "log_odds_changes": {result.finding.label: round(float(change), 4) for result, change in changes},
    }


def _object(written: ResultObject) -> Json:
    return {
        "kind": written.kind,
        "file": written.file,
        "sop_instance_uid": written.sop_instance_uid,
        "sop_class_uid": written.sop_class_uid,
        "series_instance_uid": written.series_instance_uid,
        "finding": written.finding.label if written.finding else None,
        "source": written.source,
        "editions": None if written.profiles is None else sorted(written.profiles),
    }


def _file(case: Case, image: CaseImage) -> Json:
    return {
        "name": image.name,
        "study_instance_uid": case.study_instance_uid or None,
        "outcome": _outcome(image),
        "reason": _note(image.refusal) if image.refusal else None,
        "deferrals": [_note(note) for note in image.deferrals],
        "notices": [_note(note) for note in image.notices],
    }


def _outcome(image: CaseImage) -> str:
    if image.refusal is None:
        return "assessed"
    # Its pixels were assessed, as another file's.
    return "duplicate" if image.refusal.reason is Reason.DUPLICATE else Disposition.NOT_ASSESSED.value


def _note(note: Note) -> Json:
    return {**_reason(note.reason), "detail": note.detail}


def _reason(reason: Reason) -> Json:
    return {"code": reason.code, "meaning": reason.meaning}
