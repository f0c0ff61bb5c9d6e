"""No silence: a study without a result by its deadline gets a report that nothing was assessed, and an alarm.

The study itself goes on. Should a result come later, it goes out too, as the later report. Where a result is there and
only its delivery is late, another report would help nobody: then there is the alarm alone.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from candor.study.errors import ObjectIncomplete
from candor.study.result_object import ResultObject
from gateway.assess.outcome import ResultConflict, plan_deliveries, record_objects
from gateway.assess.unassessed import WHAT_TO_DO, unassessed_reports
from gateway.jobs.jobs import Jobs
from gateway.logs import log_event
from gateway.settings import Settings
from gateway.store.alarms import AlarmKind, clear_alarm, raise_alarm
from gateway.store.counters import count
from gateway.store.database import writing
from gateway.store.mode import mode_of
from gateway.store.schema import alarms, instances, studies
from gateway.store.spool import Spool
from gateway.store.states import InstanceState, StudyState
from gateway.store.study import Study

_RESULTLESS: Final = (StudyState.RECEIVING, StudyState.WAITING, StudyState.RUNNING)
_AT_ONCE: Final = 50
_OF_STUDIES: Final = (AlarmKind.NO_RESULT, AlarmKind.STUDY_FAILED, AlarmKind.INCOMPLETE, AlarmKind.DAMAGED)


def enforce_deadlines(database: sa.Engine, settings: Settings, spool: Spool, jobs: Jobs, now: float) -> int:
    """Answer for every version whose deadline is past, once; returns how many.

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
    now
        Seconds since 1970.
    """
    late = sa.and_(
        studies.c.overdue.is_(None),
        studies.c.deadline < now,
        studies.c.state.in_([state.value for state in (*_RESULTLESS, StudyState.DELIVERING)]),
    )
    with database.connect() as connection:
        found = connection.execute(sa.select(studies).where(late).order_by(studies.c.deadline).limit(_AT_ONCE)).all()
    return sum(_answer(database, settings, spool, jobs, row, now) for row in found)


def settle_alarms(database: sa.Engine, now: float) -> int:
    """Close the alarms of studies that have come to their end in the meantime; returns how many.

    Parameters
    ----------
    database
        The node's database.
    now
        Seconds since 1970.
    """
    with database.connect() as connection:
        opened = connection.execute(
            sa.select(alarms.c.kind, alarms.c.subject).where(
                alarms.c.cleared.is_(None),
                alarms.c.kind.in_([kind.value for kind in _OF_STUDIES]),
            )
        ).all()
        settled = [
            row for row in opened if connection.execute(_troubled(AlarmKind(row.kind), row.subject)).first() is None
        ]
    for row in settled:
        clear_alarm(database, AlarmKind(row.kind), row.subject, now)
    return len(settled)


def _troubled(kind: AlarmKind, token: str) -> sa.Select[Any]:
    """Select the versions of a study that an alarm is still about."""
    if kind is AlarmKind.DAMAGED:
        damaged = sa.exists().where(
            instances.c.study_instance_uid == studies.c.study_instance_uid,
            instances.c.state == InstanceState.DAMAGED.value,
        )
        return (
            sa.select(studies.c.version).where(studies.c.token == token, studies.c.purged.is_(None), damaged).limit(1)
        )
    failed = studies.c.state == StudyState.FAILED.value
    unfinished = [state.value for state in StudyState if state.is_open]
    late = sa.and_(studies.c.overdue.is_not(None), studies.c.state.in_(unfinished))
    about = {AlarmKind.STUDY_FAILED: failed, AlarmKind.NO_RESULT: late}.get(kind, sa.or_(failed, late))
    return sa.select(studies.c.version).where(studies.c.token == token, about).limit(1)


def _answer(database: sa.Engine, settings: Settings, spool: Spool, jobs: Jobs, row: Any, now: float) -> bool:
    undelivered = StudyState(row.state) is StudyState.DELIVERING
    made: tuple[ResultObject, ...] = ()
    if not undelivered:
        try:
            made = unassessed_reports(database, settings, spool, Study.of(row))
        except ObjectIncomplete as error:
            text = f"the report that the study was not assessed was not sent: {error}; {WHAT_TO_DO}"
            raise_alarm(database, AlarmKind.INCOMPLETE, row.token, text, now)
    try:
        answered = _write(database, settings, jobs, row, made, now)
    except ResultConflict:
        made, answered = (), _write(database, settings, jobs, row, (), now)
    if answered:
        text = _text(undelivered, bool(made))
        log_event("deadline passed", "error", study=row.token, version=row.version, state=row.state)
        raise_alarm(database, AlarmKind.NO_RESULT, row.token, text, now)
    return answered


def _text(undelivered: bool, reported: bool) -> str:
    if undelivered:
        return "the study's results could not be delivered by its deadline; look at its destinations"
    said = "a report says so" if reported else "and no report could be made"
    return f"the study was not assessed by its deadline, {said}; the node still works on it"


def _write(
    database: sa.Engine, settings: Settings, jobs: Jobs, row: Any, made: tuple[ResultObject, ...], now: float
) -> bool:
    """Note that the deadline is past, with the report; False where the study has moved on meanwhile."""
    study = Study.of(row)
    as_found = sa.and_(study.row, studies.c.overdue.is_(None), studies.c.state.in_(_as_found(row.state)))
    with writing(database) as connection:
        if not connection.execute(studies.update().where(as_found).values(overdue=now)).rowcount:
            return False
        record_objects(connection, study, made, now)
        plan_deliveries(connection, jobs, settings, study, made, mode_of(connection), now)
        count(connection, "deadlines_missed_total")
    return True


def _as_found(state: str) -> list[str]:
    resultless = [each.value for each in _RESULTLESS]
    return resultless if state in resultless else [state]
