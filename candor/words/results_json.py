"""The content of ``results.json``: the outcome of every input file, study and finding.

The file is written from these entries and read into them. The page ``docs/reference/results.md`` lists the same
fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from candor import RESEARCH_USE
from candor.study.case import Case, CaseImage
from candor.study.errors import DataError
from candor.study.findings import finding_named
from candor.study.provenance import APPLICATION_NAME, NO_FAMILIARITY, ForeignFit, Provenance
from candor.study.reasons import Reason
from candor.study.result import FindingResult, LookFirst, Note, RuleOutAnswer, ShortcutAudit, StudyAnswer
from candor.study.result_object import ObjectKind, ResultObject
from candor.words.texts import ENGLISH

FILE_NAME: Final = "results.json"


class Entry(BaseModel):
    """A part of ``results.json``, with the fields in the order of the file. Unknown fields are ignored."""

    model_config = ConfigDict(frozen=True)


class ApplicationEntry(Entry):
    """The application that made the results."""

    name: str
    version: str


class ModelEntry(Entry):
    """The model bundle that made the results."""

    name: str
    version: str
    sha256: str
    engine: str
    calibration: str
    gate: str
    familiarity: str | None
    study_answer: str | None = None
    notes: list[str]

    @classmethod
    def of(cls, provenance: Provenance, foreign_fit: ForeignFit | None = None) -> Self:
        """Return the entry of a model.

        Parameters
        ----------
        provenance
            The model, and what it was fitted to.
        foreign_fit
            The permission to answer by a fit to other patients; None where there is none.
        """
        notes = [] if provenance.familiarity else [NO_FAMILIARITY]
        if foreign_fit is not None:
            notes.append(ENGLISH.foreign_fit.format(fitted_to=foreign_fit.fitted_to, reason=foreign_fit.reason))
        return cls(
            name=provenance.model_name,
            version=provenance.model_version,
            sha256=provenance.bundle_sha256,
            engine=provenance.engine,
            calibration=provenance.calibration,
            gate=provenance.gate,
            familiarity=provenance.familiarity,
            study_answer=provenance.study_answer,
            notes=notes,
        )


class ReasonEntry(Entry):
    """A coded reason."""

    code: str
    meaning: str

    @classmethod
    def of(cls, reason: Reason) -> Self:
        """Return the entry of a reason."""
        return cls(code=reason.code, meaning=reason.meaning)


class NoteEntry(Entry):
    """A coded reason with what was found, in a sentence for people."""

    code: str
    meaning: str
    detail: str

    @classmethod
    def of(cls, note: Note) -> Self:
        """Return the entry of a note."""
        return cls(code=note.reason.code, meaning=note.reason.meaning, detail=note.detail)


class IntervalEntry(Entry):
    """The 90% interval of a probability."""

    low: float
    high: float


class FindingEntry(Entry):
    """The answer for one finding on one image."""

    finding: str
    probability: float
    interval: IntervalEntry | None = None
    prevalence: float
    probability_over_prevalence: float
    percentile: float | None
    p_wrong: float
    logit: float
    decision: str
    reason: ReasonEntry | None
    region: str
    peak: float

    @classmethod
    def of(cls, result: FindingResult) -> Self:
        """Return the entry of a finding's result, with rounded numbers."""
        return cls(
            finding=result.finding.label,
            probability=round(result.probability, 6),
            interval=_interval(result),
            prevalence=round(result.prevalence, 6),
            probability_over_prevalence=round(result.probability / result.prevalence, 3),
            percentile=None if result.percentile is None else round(result.percentile, 1),
            p_wrong=round(result.wrong, 6),
            logit=round(result.logit, 6),
            decision=result.decision.value,
            reason=ReasonEntry.of(result.reason) if result.reason else None,
            region=result.heatmap.region,
            peak=round(result.heatmap.peak, 6),
        )


def _interval(result: FindingResult) -> IntervalEntry | None:
    if result.interval is None:
        return None
    return IntervalEntry(low=round(result.interval.low, 6), high=round(result.interval.high, 6))


class ShortcutEntry(Entry):
    """How much the answers of an image change when marks and borders are blanked."""

    blanked: str
    log_odds_changes: dict[str, float]

    @classmethod
    def of(cls, audit: ShortcutAudit, results: Iterable[FindingResult]) -> Self:
        """Return the entry of an audit.

        Parameters
        ----------
        audit
            The audit.
        results
            The results of the same image, in the order of the changes.
        """
        changes = zip(results, audit.changes, strict=True)
        return cls(
            blanked=audit.what,
            log_odds_changes={result.finding.label: round(float(change), 4) for result, change in changes},
        )


class ImageEntry(Entry):
    """An image that was assessed."""

    name: str
    sop_instance_uid: str
    findings: list[FindingEntry]
    shortcut: ShortcutEntry | None

    @classmethod
    def of(cls, image: CaseImage) -> Self:
        """Return the entry of an assessed image."""
        return cls(
            name=image.name,
            sop_instance_uid=image.sop_instance_uid,
            findings=[FindingEntry.of(result) for result in image.results],
            shortcut=ShortcutEntry.of(image.shortcut, image.results) if image.shortcut else None,
        )


class ObjectEntry(Entry):
    """A result object; ``editions`` are the keys of the profiles that it is part of."""

    kind: ObjectKind
    file: str
    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    finding: str | None
    source: str | None
    editions: list[str] | None

    @classmethod
    def of(cls, written: ResultObject) -> Self:
        """Return the entry of a result object."""
        return cls(
            kind=written.kind,
            file=written.file,
            sop_instance_uid=written.sop_instance_uid,
            sop_class_uid=written.sop_class_uid,
            series_instance_uid=written.series_instance_uid,
            finding=written.finding.label if written.finding else None,
            source=written.source,
            editions=None if written.profiles is None else sorted(written.profiles),
        )

    @property
    def result_object(self) -> ResultObject:
        """The result object of this entry; its file is below the folder of ``results.json``."""
        return ResultObject(
            kind=self.kind,
            file=self.file,
            sop_instance_uid=self.sop_instance_uid,
            sop_class_uid=self.sop_class_uid,
            series_instance_uid=self.series_instance_uid,
            finding=finding_named(self.finding) if self.finding else None,
            source=self.source,
            profiles=None if self.editions is None else frozenset(self.editions),
        )


class LookFirstEntry(Entry):
    """A finding that a reader should look at first, and why."""

    finding: str
    odds_over_prevalence: float
    probability: float
    prevalence: float
    region: str
    sop_instance_uid: str

    @classmethod
    def of(cls, look: LookFirst) -> Self:
        """Return the entry of a finding, with rounded numbers."""
        return cls(
            finding=look.finding.label,
            odds_over_prevalence=round(look.odds_ratio, 3),
            probability=round(look.probability, 6),
            prevalence=round(look.prevalence, 6),
            region=look.region,
            sop_instance_uid=look.sop_instance_uid,
        )


class RuleOutEntry(Entry):
    """Whether a study is ruled out under one promise."""

    max_missed: float
    confidence: float
    ruled_out: bool

    @classmethod
    def of(cls, answer: RuleOutAnswer) -> Self:
        """Return the entry of the answer under a promise."""
        return cls(max_missed=answer.max_missed, confidence=answer.confidence, ruled_out=answer.ruled_out)


class StudyAnswerEntry(Entry):
    """The answer for a study as a whole."""

    any_abnormality: str
    worklist_priority: float
    score: float | None
    look_first: list[LookFirstEntry]
    max_missed: float | None
    promises: list[RuleOutEntry]

    @classmethod
    def of(cls, answer: StudyAnswer) -> Self:
        """Return the entry of an answer, with rounded numbers."""
        return cls(
            any_abnormality=answer.any_abnormality.value,
            worklist_priority=round(answer.priority, 1),
            score=None if answer.score is None else round(answer.score, 6),
            look_first=[LookFirstEntry.of(look) for look in answer.look_first],
            max_missed=answer.max_missed,
            promises=[RuleOutEntry.of(under) for under in answer.rule_outs],
        )


class StudyEntry(Entry):
    """The results of one study."""

    study_instance_uid: str
    disposition: str
    answer: StudyAnswerEntry | None = None
    time: str
    failure: str | None
    findings: dict[str, str]
    images: list[ImageEntry]
    objects: list[ObjectEntry]

    @classmethod
    def of(cls, case: Case) -> Self:
        """Return the entry of a study."""
        return cls(
            study_instance_uid=case.study_instance_uid,
            disposition=case.disposition.value,
            answer=None if case.answer is None else StudyAnswerEntry.of(case.answer),
            time=case.time.isoformat(),
            failure=case.failure,
            findings={
                result.finding.label: case.decision(result.finding).value
                for image in case.assessed_images[:1]
                for result in image.results
            },
            images=[ImageEntry.of(image) for image in case.assessed_images],
            objects=[ObjectEntry.of(written) for written in case.written],
        )


class FileEntry(Entry):
    """The outcome of one input file."""

    name: str
    study_instance_uid: str | None
    outcome: Literal["assessed", "duplicate", "not assessed"]
    reason: NoteEntry | None
    deferrals: list[NoteEntry]
    notices: list[NoteEntry]

    @classmethod
    def of(cls, case: Case, image: CaseImage) -> Self:
        """Return the entry of an input file.

        Parameters
        ----------
        case
            The study of the file.
        image
            The file.
        """
        return cls(
            name=image.name,
            study_instance_uid=case.study_instance_uid or None,
            outcome=_outcome(image),
            reason=NoteEntry.of(image.refusal) if image.refusal else None,
            deferrals=[NoteEntry.of(note) for note in image.deferrals],
            notices=[NoteEntry.of(note) for note in image.notices],
        )


class Results(Entry):
    """The whole of ``results.json``."""

    notice: str
    application: ApplicationEntry
    model: ModelEntry
    studies: list[StudyEntry]
    files: list[FileEntry]

    def to_json(self) -> bytes:
        """Return the bytes of the file."""
        return json.dumps(self.model_dump(), indent=1, ensure_ascii=False).encode() + b"\n"


def summarise(cases: Iterable[Case], provenance: Provenance) -> Results:
    """Return the content of ``results.json``.

    The same input, model and settings give the same content: it holds no time and no duration.

    Parameters
    ----------
    cases
        All studies of the job, and the files without a study.
    provenance
        The application, the model and the settings.
    """
    cases = tuple(cases)
    return Results(
        notice=RESEARCH_USE,
        application=ApplicationEntry(name=APPLICATION_NAME, version=provenance.application_version),
        model=ModelEntry.of(provenance, next((case.foreign_fit for case in cases if case.foreign_fit), None)),
        studies=[StudyEntry.of(case) for case in cases if case.study_instance_uid],
        files=sorted((FileEntry.of(case, image) for case in cases for image in case.images), key=lambda f: f.name),
    )


def read_results(path: Path) -> Results:
    """Read a ``results.json``.

    Raises
    ------
    DataError
        The file cannot be read, or does not have this content. The error names the first wrong field, and quotes
        nothing from the file.
    """
    advice = f"give the {FILE_NAME} that the application wrote"
    try:
        return Results.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {advice}") from None
    except ValidationError as error:
        raise DataError(f"{path} is not a {FILE_NAME}: {_first_problem(error)}; {advice}") from None


def _first_problem(error: ValidationError) -> str:
    """Return the first wrong field with the kind of error, but not its value, which may be a patient's data."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where} is missing" if first["type"] == "missing" else f"{where} is not valid ({first['type']})"


def _outcome(image: CaseImage) -> Literal["assessed", "duplicate", "not assessed"]:
    if image.refusal is None:
        return "assessed"
    # The pixels of a duplicate were assessed in another file.
    return "duplicate" if image.refusal.reason is Reason.DUPLICATE else "not assessed"
