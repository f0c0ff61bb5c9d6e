"""Assess one version of a study: claim it, tell its files apart, run the application, and write down what came of it.

A try is counted before it is made. So a study that kills its process is tried as often as the settings say and then
parked with its reason and a report that nothing was assessed, and the studies behind it go on.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from candor.dicom.check.write_checked import QUARANTINE
from candor.files.privacy import name_of, place_of
from candor.study.errors import CandorError, ObjectIncomplete
from candor.study.provenance import ForeignFit
from candor.study.reasons import Reason
from candor.study.result import Disposition, StudyAnswer
from candor.study.result_object import Predecessor, ResultObject
from gateway.assess.duplicates import (
    Received,
    content_of,
    contradict,
    files_elsewhere,
    note_states,
    received_files,
    tell_apart,
)
from gateway.assess.fit import Fit, hold_unless_permitted
from gateway.assess.outcome import ResultConflict, earlier_reports, plan_deliveries, record_objects
from gateway.assess.unassessed import WHAT_TO_DO, time_of, unassessed_reports
from gateway.jobs.jobs import Jobs
from gateway.jobs.lease import live_executors
from gateway.logs import log_event
from gateway.settings import Settings
from gateway.store.alarms import AlarmKind, clear_alarm, open_alarm, raise_alarm
from gateway.store.counters import bounded, count
from gateway.store.database import writing
from gateway.store.integrity import set_aside_damaged
from gateway.store.mode import foreign_fit_of, mode_of
from gateway.store.result_objects import in_spool
from gateway.store.schema import studies
from gateway.store.spool import Spool
from gateway.store.states import InstanceState, Mode, Priority, StudyState
from gateway.store.study import Study, has_image, renew

_RETRY_S: Final = 5.0
_ROOM_S: Final = 10.0
_ROOM_BYTES: Final = 256 << 20
"""With less disk than this no study is begun: it would fail for no fault of its own."""

_SUBJECT: Final = "work"
_ANSWERED: Final = (StudyState.DELIVERING, StudyState.DELIVERED, StudyState.STORED, StudyState.NOT_ASSESSED)
_USED: Final = (InstanceState.KEPT, InstanceState.QUARANTINED)
_RESULT: Final = (
    "disposition",
    "findings",
    "worklist_priority",
    "any_abnormality",
    "look_first",
    "bundle_sha256",
    "results",
)
"""The columns of a version that say what its result is."""

_TOO_MANY: Final = "it has more images than studies.max_images; none is assessed"
_REJECTED: Final = "a rejection note names all of its images"
_REUSED: Final = (
    "another study has another picture under a SOP Instance UID of this one; nobody knows which is right. "
    "Neither study is assessed: look at both, and mend them at their source"
)


class ApplicationStopped(RuntimeError):
    """The application has ended and takes no more studies; its process has to be started again."""


class _Unassessable(Exception):
    """The images of a version are such that none of them may be assessed."""

    def __init__(self, reason: Reason, text: str, kind: AlarmKind) -> None:
        super().__init__(text)
        self.reason, self.kind = reason, kind


@dataclass(frozen=True, slots=True)
class Assessed:
    """What the application made of a study.

    Parameters
    ----------
    findings
        The study's decision for each finding, by the finding's label.
    written
        The objects, with their files below the output folder.
    failure
        Why results are missing; None where none is. It holds no patient's data.
    incomplete
        The failure, where an object lacks what it must have; the object is in quarantine below the output folder.
    answer
        The answer for the study as a whole; None where the bundle has no model for it.
    fit
        What the answers rest on; None where it needs no permission.
    foreign_fit
        The permission that the report names; None where it names none.
    refused
        Of each image that was refused, the code of the reason and the header's value that it is about, or "".
    unknown
        Of each notice that a value is not known, the code of the reason and the value.
    """

    disposition: Disposition
    findings: dict[str, str]
    written: tuple[ResultObject, ...]
    bundle_sha256: str
    failure: str | None = None
    incomplete: ObjectIncomplete | None = None
    answer: StudyAnswer | None = None
    fit: Fit | None = None
    foreign_fit: ForeignFit | None = None
    refused: tuple[tuple[str, str], ...] = ()
    unknown: tuple[tuple[str, str], ...] = ()

    @property
    def answer_values(self) -> dict[str, object]:
        """The answer for the study as columns of its row."""
        if self.answer is None:
            return {}
        return {
            "worklist_priority": self.answer.priority,
            "any_abnormality": self.answer.any_abnormality.value,
            "look_first": [look.finding.label for look in self.answer.look_first],
        }


Application = Callable[[str, Path, Path, datetime, tuple[Predecessor, ...]], Assessed]
"""Study Instance UID, input folder, output folder, time of the results, the study's reports so far."""


@dataclass(frozen=True, slots=True)
class Try:
    """One try at one version of a study."""

    study: Study
    token: str
    priority: Priority
    number: int
    is_over_limit: bool


class Assessor:
    """Do the jobs of the queue of studies.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    spool
        Where the files are.
    jobs
        Where jobs are queued.
    application
        Runs one study; raises ``CandorError`` where trying again would not help, :class:`ApplicationStopped` where
        it has ended.
    now
        Seconds since 1970.
    on_timeout
        Called from another thread when a study takes longer than ``work.study_timeout_s``; has to end the process,
        since nothing else ends a thread that hangs.
    """

    def __init__(
        self,
        database: sa.Engine,
        settings: Settings,
        spool: Spool,
        jobs: Jobs,
        application: Application,
        now: Callable[[], float],
        on_timeout: Callable[[], None],
    ) -> None:
        self._database, self._settings, self._spool, self._jobs = database, settings, spool, jobs
        self._application, self._now, self._on_timeout = application, now, on_timeout

    def assess(self, study: Study) -> None:
        """Assess a version, unless it is done, or another process that is alive is at it.

        Raises
        ------
        ApplicationStopped
            The study is queued again, for another process.
        """
        if self._spool.is_read_only():
            self._postpone(study, "the spool's disk is read-only: no study is assessed; look at the disk")
            return
        if self._spool.free_bytes() < _ROOM_BYTES:
            text = f"the spool has less than {_ROOM_BYTES >> 20} MiB free: no study is assessed; free some disk space"
            self._postpone(study, text)
            return
        attempt = self._claim(study)
        if attempt is None:
            return
        if attempt.number > self._settings.work.max_tries:
            self._park(attempt, f"it broke the worker {attempt.number - 1} times")
            return
        log_event("study started", study=attempt.token, version=study.version, tries=attempt.number)
        try:
            with self._watched(attempt):
                self._try(attempt)
        except ApplicationStopped:
            self._again(attempt, "the application stopped")
            raise
        except _Unassessable as error:
            self._park(attempt, str(error), error.kind, error.reason)
        except CandorError as error:
            self._park(attempt, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not cost another study its turn
            log_event("study failed", "error", study=attempt.token, kind=name_of(error), where=place_of(error))
            self._again(attempt, f"processing failed ({name_of(error)})")

    def _postpone(self, study: Study, text: str) -> None:
        """Come back when results may be written again, without counting a try."""
        undone = studies.c.state.in_([StudyState.WAITING.value, StudyState.RUNNING.value])
        with writing(self._database) as connection:
            priority = connection.execute(sa.select(studies.c.priority).where(study.row, undone)).scalar()
            if priority is not None:
                self._jobs.enqueue_study(connection, study, Priority(priority), _ROOM_S)
        raise_alarm(self._database, AlarmKind.DISK, _SUBJECT, text, self._now())

    def _claim(self, study: Study) -> Try | None:
        """Make it this process's try, and count it before it is made."""
        waiting = studies.c.state == StudyState.WAITING.value
        abandoned = sa.and_(
            studies.c.state == StudyState.RUNNING.value,
            studies.c.executor.not_in(live_executors(self._database)),
        )
        values: dict[str, Any] = {
            "state": StudyState.RUNNING.value,
            "tries": studies.c.tries + 1,
            "started": self._now(),
            "executor": self._jobs.executor_id,
        }
        with writing(self._database) as connection:
            if not connection.execute(
                studies.update().where(study.row, sa.or_(waiting, abandoned)).values(values)
            ).rowcount:
                return None
            found = connection.execute(sa.select(studies).where(study.row)).one()
        return Try(study, found.token, Priority(found.priority), found.tries, found.over_limit is not None)

    @contextmanager
    def _watched(self, attempt: Try) -> Iterator[None]:
        """End the process when the study takes too long; the try is counted already."""

        def too_long() -> None:
            log_event("study takes too long", "error", study=attempt.token, tries=attempt.number)
            self._on_timeout()

        watchdog = threading.Timer(self._settings.work.study_timeout_s, too_long)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()

    def _try(self, attempt: Try) -> None:
        if attempt.is_over_limit:
            self._refuse(attempt)
            return
        files = self._settled(attempt)
        if not files:
            self._end_rejected(attempt)
            return
        if self._holds_already(attempt, files):
            return
        source = self._spool.lay_out(attempt.token, attempt.study.version, [file.file for file in files])
        # A folder for each try: a worker that was paused, and wakes, does not write into its successor's.
        output = self._spool.results(attempt.token, attempt.study.version) / str(attempt.number)
        output.mkdir(mode=0o700, exist_ok=True)
        done = False
        while not done:
            with self._database.connect() as connection:
                earlier = earlier_reports(connection, attempt.study)
            assessed = self._application(attempt.study.study_instance_uid, source, output, time_of(files), earlier)
            if assessed.incomplete is not None:
                self._set_aside(attempt, output, assessed.incomplete)
                return
            if assessed.failure is not None:
                self._again(attempt, assessed.failure)
                return
            made = tuple(in_spool(written, output, self._spool.root) for written in assessed.written)
            done = self._finish(attempt, assessed, made, output, earlier)

    def _set_aside(self, attempt: Try, output: Path, incomplete: ObjectIncomplete) -> None:
        """Give a study up at once: another try would give the same object. It goes into the study's quarantine."""
        quarantine = self._spool.quarantine(attempt.token, attempt.study.version)
        quarantine.mkdir(mode=0o700, exist_ok=True)
        for path in (output / QUARANTINE).glob("*/*"):
            path.replace(quarantine / path.name)
        with writing(self._database) as connection:
            count(connection, "objects_incomplete_total", kind=incomplete.kind)
        self._park(attempt, str(incomplete), AlarmKind.INCOMPLETE)

    def _settled(self, attempt: Try) -> list[Received]:
        """Tell duplicates, corrections and contradictions apart; returns the files that are to be assessed.

        Raises
        ------
        _Unassessable
            A file is damaged, or another study has another picture under the UID of one.
        """
        files = self._sound(attempt)
        states = tell_apart(files, lambda file: content_of(self._spool.path(file.file)))
        with writing(self._database) as connection:
            note_states(connection, files, states)
        contradictions = sum(
            states[file.id] is InstanceState.QUARANTINED and file.state is not InstanceState.QUARANTINED
            for file in files
        )
        if contradictions:
            text = f"{contradictions} files are in quarantine: images with other pixels have their SOP Instance UIDs"
            raise_alarm(self._database, AlarmKind.QUARANTINE, attempt.token, text, self._now())
        used = [file for file in files if states[file.id] in _USED]
        reused = self._quarantine_reused(attempt, used)
        kept = {
            file.sop_instance_uid for file in used if states[file.id] is InstanceState.KEPT and file.id not in reused
        }
        if any(
            file.sop_instance_uid not in kept for file in used
        ):  # in quarantine, with nothing of its own study beside it
            raise _Unassessable(Reason.UID_REUSED, _REUSED, AlarmKind.QUARANTINE)
        return used

    def _sound(self, attempt: Try) -> list[Received]:
        """Return the version's files, once each is known to be what was received.

        Raises
        ------
        _Unassessable
            One is not.
        FileNotFoundError
            One is missing. The disk may only be away for a moment, so the last try alone takes it for lost.
        """
        with self._database.connect() as connection:
            files = received_files(connection, attempt.study)
        bad = [file for file in files if not self._spool.is_sound(file.file, file.sha256)]
        if attempt.number < self._settings.work.max_tries and any(
            not self._spool.path(file.file).exists() for file in bad
        ):
            raise FileNotFoundError("a file of the study is not there")
        for file in bad:
            set_aside_damaged(self._database, self._spool, file.id, self._now())
        with self._database.connect() as connection:
            if has_image(connection, attempt.study, InstanceState.DAMAGED):
                text = "an image of it is damaged or missing; send its images again"
                raise _Unassessable(Reason.DAMAGED, text, AlarmKind.DAMAGED)
        return files

    def _quarantine_reused(self, attempt: Try, files: list[Received]) -> set[int]:
        """Quarantine the files that have another picture in another study, here and there; returns those here.

        A study that was answered already gets a new version, whose report says so.
        """
        with self._database.connect() as connection:
            elsewhere = files_elsewhere(connection, attempt.study, files)
        pairs = [
            (file, other, study)
            for other, study in elsewhere
            for file in files
            if file.sop_instance_uid == other.sop_instance_uid
            and contradict(content_of(self._spool.path(file.file)), content_of(self._spool.path(other.file)))
        ]
        for file, other, study in pairs:
            with writing(self._database) as connection:
                quarantined = dict.fromkeys((file.id, other.id), InstanceState.QUARANTINED)
                note_states(connection, (file, other), quarantined)
                token = connection.execute(
                    sa.select(studies.c.token).where(studies.c.study_instance_uid == study).limit(1)
                ).scalar()
                for each in (attempt.token, token):
                    if each is not None:
                        open_alarm(connection, AlarmKind.QUARANTINE, each, _REUSED, self._now())
                if other.state is not InstanceState.QUARANTINED:
                    renew(connection, study, self._now(), self._settings.studies)
        return {file.id for file, _, _ in pairs}

    def _refuse(self, attempt: Try) -> None:
        """Answer a version with more images than the limit: nothing of it is assessed, and its report says so."""
        made = unassessed_reports(self._database, self._settings, self._spool, attempt.study)
        if not made:
            self._park(attempt, f"{_TOO_MANY}; no report could be made")
            return
        now = self._now()
        with writing(self._database) as connection:
            mode = mode_of(connection)
            values = {"assessed": now, "disposition": Disposition.NOT_ASSESSED.value, "mode": mode.value}
            if self._close(connection, attempt, StudyState.NOT_ASSESSED, reason=_TOO_MANY, **values):
                self._answer(connection, attempt, Disposition.NOT_ASSESSED, made, mode, now)
        log_event("study has too many images", "warning", study=attempt.token, version=attempt.study.version)

    def _end_rejected(self, attempt: Try) -> None:
        """End a version whose images were all rejected: the archive shows none of them, so there is no report."""
        now = self._now()
        with writing(self._database) as connection:
            values = {"disposition": Disposition.NOT_ASSESSED.value, "mode": mode_of(connection).value}
            self._close(connection, attempt, StudyState.NOT_ASSESSED, reason=_REJECTED, finished=now, **values)
        log_event("study was rejected", "warning", study=attempt.token, version=attempt.study.version)

    def _holds_already(self, attempt: Try, files: list[Received]) -> bool:
        """End a version that turns out to be the images of the one before it again, whose results hold."""
        with writing(self._database) as connection:
            before = connection.execute(
                sa.select(studies).where(
                    attempt.study.before.row,
                    studies.c.results.is_not(None),
                    studies.c.purged.is_(None),
                    studies.c.state.in_([state.value for state in _ANSWERED]),
                )
            ).one_or_none()
            if before is None or has_image(connection, attempt.study.before, InstanceState.REJECTED):
                return False
            earlier = received_files(connection, attempt.study.before)
            if {file.id for file in earlier} != {file.id for file in files}:
                return False
            self._close(
                connection,
                attempt,
                StudyState(before.state),  # the same objects are on their way, or are there
                reason=f"nothing new came; the results of version {before.version} hold",
                finished=before.finished and self._now(),
                **{name: getattr(before, name) for name in _RESULT},
                mode=before.mode,
            )
        log_event("study holds already", study=attempt.token, version=attempt.study.version)
        return True

    def _finish(
        self,
        attempt: Try,
        assessed: Assessed,
        objects: tuple[ResultObject, ...],
        output: Path,
        earlier: tuple[Predecessor, ...],
    ) -> bool:
        """Write results, the study's row and its deliveries in one transaction.

        Returns
        -------
        False where the study has got a report since ``earlier``, at its deadline, or an operator has permitted a fit to
        other patients meanwhile: the results do not name it.
        """
        now, row = self._now(), attempt.study.row
        with writing(self._database) as connection:
            connection.execute(sa.select(studies.c.version).where(row).with_for_update())
            if earlier_reports(connection, attempt.study) != earlier:
                return False
            if assessed.fit is not None:
                hold_unless_permitted(connection, assessed.fit, now)
            mode = mode_of(connection)
            if mode is Mode.LIVE and foreign_fit_of(connection, assessed.bundle_sha256) != assessed.foreign_fit:
                return False
            if not self._close(
                connection,
                attempt,
                StudyState.STORED,
                reason="",
                assessed=now,
                disposition=assessed.disposition.value,
                findings=assessed.findings,
                **assessed.answer_values,
                bundle_sha256=assessed.bundle_sha256,
                results=output.relative_to(self._spool.root).as_posix(),
                mode=mode.value,
            ):
                log_event("study was taken over", "warning", study=attempt.token, version=attempt.study.version)
                return True
            state = self._answer(connection, attempt, assessed.disposition, objects, mode, now)
            for decision, number in Counter(assessed.findings.values()).items():
                count(connection, "findings_total", number, decision=decision)
            _count_values(connection, assessed)
            if assessed.answer is not None:
                count(connection, "study_answers_total", any_abnormality=assessed.answer.any_abnormality.value)
        log_event("study assessed", study=attempt.token, version=attempt.study.version, state=state.value)
        clear_alarm(self._database, AlarmKind.STUDY_FAILED, attempt.token, now)
        clear_alarm(self._database, AlarmKind.INCOMPLETE, attempt.token, now)
        clear_alarm(self._database, AlarmKind.DISK, _SUBJECT, now)
        return True

    def _answer(
        self,
        connection: sa.Connection,
        attempt: Try,
        disposition: Disposition,
        objects: tuple[ResultObject, ...],
        mode: Mode,
        now: float,
    ) -> StudyState:
        """Write the objects of a version that was closed, and what they make of its state."""
        planned = self._record(connection, attempt, objects, mode, now)
        state = _state_of(disposition, planned)
        finished = None if state is StudyState.DELIVERING else now
        connection.execute(studies.update().where(attempt.study.row).values(state=state.value, finished=finished))
        count(connection, "studies_assessed_total", disposition=disposition.value)
        return state

    def _record(
        self, connection: sa.Connection, attempt: Try, objects: tuple[ResultObject, ...], mode: Mode, now: float
    ) -> int:
        record_objects(connection, attempt.study, objects, now)
        return plan_deliveries(connection, self._jobs, self._settings, attempt.study, objects, mode, now)

    def _again(self, attempt: Try, reason: str) -> None:
        """Queue the study for another try, or park it."""
        if attempt.number >= self._settings.work.max_tries:
            self._park(attempt, reason)
            return
        with writing(self._database) as connection:
            if self._close(connection, attempt, StudyState.WAITING, reason=reason):
                self._jobs.enqueue_study(connection, attempt.study, attempt.priority, _RETRY_S * attempt.number)

    def _park(
        self,
        attempt: Try,
        reason: str,
        kind: AlarmKind = AlarmKind.STUDY_FAILED,
        coded: Reason = Reason.PROCESSING_FAILED,
    ) -> None:
        """Give the study up, with its reason, a report that says so, and an alarm."""
        reports: tuple[ResultObject, ...] = ()
        try:
            reports = unassessed_reports(self._database, self._settings, self._spool, attempt.study, coded)
        except ObjectIncomplete as error:
            reason, kind = f"{reason}; no report says so: {error}", AlarmKind.INCOMPLETE
        try:
            parked = self._park_with(attempt, reason, reports)
        except ResultConflict:
            parked = self._park_with(attempt, f"{reason}; its report cannot be delivered either", ())
        if parked:
            log_event("study parked", "error", study=attempt.token, version=attempt.study.version, tries=attempt.number)
            text = f"parked: {reason}; {WHAT_TO_DO}" if kind is AlarmKind.INCOMPLETE else f"parked: {reason}"
            raise_alarm(self._database, kind, attempt.token, text, self._now())

    def _park_with(self, attempt: Try, reason: str, reports: tuple[ResultObject, ...]) -> bool:
        now = self._now()
        with writing(self._database) as connection:
            mode = mode_of(connection)
            values = {"disposition": Disposition.NOT_ASSESSED.value, "mode": mode.value, "finished": now}
            if not self._close(connection, attempt, StudyState.FAILED, reason=reason, **values):
                return False
            self._record(connection, attempt, reports, mode, now)
            count(connection, "studies_failed_total")
        return True

    def _close(self, connection: sa.Connection, attempt: Try, enters: StudyState, **values: Any) -> bool:
        """End this try; False where another process has taken the study over in the meantime."""
        mine = sa.and_(
            attempt.study.row,
            studies.c.state == StudyState.RUNNING.value,
            studies.c.executor == self._jobs.executor_id,
            studies.c.tries == attempt.number,
        )
        change = studies.update().where(mine).values(state=enters.value, executor=None, **values)
        return connection.execute(change).rowcount == 1


def _count_values(connection: sa.Connection, assessed: Assessed) -> None:
    """Count the images that were refused, and the words that are not known, by value: a site can mend its table."""
    for reason, value in assessed.refused:
        label = bounded(connection, "images_refused_total", value, reason=reason)
        count(connection, "images_refused_total", reason=reason, value=label)
    for reason, value in assessed.unknown:
        label = bounded(connection, "values_unknown_total", value, reason=reason)
        count(connection, "values_unknown_total", reason=reason, value=label)


def _state_of(disposition: Disposition, planned: int) -> StudyState:
    if planned:
        return StudyState.DELIVERING
    return StudyState.NOT_ASSESSED if disposition is Disposition.NOT_ASSESSED else StudyState.STORED
