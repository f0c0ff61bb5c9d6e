"""A ``results.json`` as the application writes it, of made-up scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from candor import RESEARCH_USE
from candor.study.provenance import APPLICATION_NAME
from candor.words.results_json import (
    FILE_NAME,
    ApplicationEntry,
    FindingEntry,
    ImageEntry,
    ModelEntry,
    Results,
    StudyEntry,
)


def write_results_json(
    folder: Path, images: Mapping[str, Mapping[str, float]], name: str = "model", version: str = "1"
) -> Path:
    """Write the results of one study, and return the file.

    Parameters
    ----------
    images
        Logits by the finding's label, by the image's SOP Instance UID.
    name, version
        Of the model.
    """
    study = StudyEntry(
        study_instance_uid="1.2.3",
        disposition="deferred",
        time="2026-01-02T03:04:05+00:00",
        failure=None,
        findings={},
        images=[
            ImageEntry(name=f"{uid}.dcm", sop_instance_uid=uid, findings=_answers(logits), shortcut=None)
            for uid, logits in images.items()
        ],
        objects=[],
    )
    model = ModelEntry(
        name=name,
        version=version,
        sha256="0" * 64,
        engine="none",
        calibration="none",
        gate="none",
        familiarity=None,
        notes=[],
    )
    application = ApplicationEntry(name=APPLICATION_NAME, version="0")
    results = Results(notice=RESEARCH_USE, application=application, model=model, studies=[study], files=[])
    file = folder / FILE_NAME
    file.write_bytes(results.to_json())
    return file


def _answers(logits: Mapping[str, float]) -> list[FindingEntry]:
    return [
        FindingEntry(
            finding=label,
            probability=0.5,
            prevalence=0.1,
            probability_over_prevalence=5.0,
            percentile=None,
            p_wrong=0.5,
            logit=logit,
            decision="deferred",
            reason=None,
            region="none",
            peak=0.0,
        )
        for label, logit in logits.items()
    ]
