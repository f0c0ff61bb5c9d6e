"""Sweeps that keep studies moving: a complete one becomes a job, none waits for ever, none is forgotten."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from gateway.jobs.jobs import STUDIES, Jobs
from gateway.logs import log_event
from gateway.settings import Settings, Studies
from gateway.store.database import writing
from gateway.store.schema import studies
from gateway.store.states import Priority, StudyState
from gateway.store.study import Study, complete

_AT_ONCE: Final = 50
_GRACE_S: Final = 60.0
"""A study without a job for so long has lost it: the job runner gave the job up, or its tables were restored."""

_AHEAD_S: Final = 5.0
"""A time so far in the future was taken before the clock was set back."""


def queue_complete(database: sa.Engine, settings: Settings, jobs: Jobs, now: float) -> int:
    """Make a job of every version that has all its images; returns how many.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    jobs
        Where jobs are queued.
    now
        Seconds since 1970.
    """
    here = complete(now, settings.studies)
    with database.connect() as connection:  # most looks find nothing, and need no write lock
        # In the order of their keys: two sweeps that lock the same rows never wait for each other in a circle.
        ordered = sa.select(studies).where(here).order_by(studies.c.study_instance_uid, studies.c.version)
        found = connection.execute(ordered.limit(_AT_ONCE)).all()
    if not found:
        return 0
    queued = 0
    with writing(database) as connection:
        for row in found:
            study = Study.of(row)
            change = studies.update().where(study.row, here).values(state=StudyState.WAITING.value, queued=now)
            if connection.execute(change).rowcount:  # else an image came in between, or another sweep was faster
                priority = connection.execute(sa.select(studies.c.priority).where(study.row)).scalar_one()
                jobs.enqueue_study(connection, study, Priority(priority))
                log_event("study queued", study=row.token, version=study.version, count=row.images)
                queued += 1
    return queued


def bound_times(database: sa.Engine, settings: Studies, now: float) -> int:
    """Bring the times of open studies back to now where they lie in the future; returns how many studies.

    A clock that was set back by an hour would else hold them up for an hour. So it costs a quiet period and a deadline
    at most.

    Parameters
    ----------
    database
        The node's database.
    settings
        For the deadline.
    now
        Seconds since 1970.
    """
    times = {name: studies.c[name] for name in ("first_image", "last_image", "queued", "started")}
    latest = now + settings.result_deadline_s
    ahead = sa.and_(
        studies.c.state.in_([state.value for state in StudyState if state.is_open]),
        sa.or_(studies.c.deadline > latest + _AHEAD_S, *(time > now + _AHEAD_S for time in times.values())),
    )
    with database.connect() as connection:  # most looks find nothing, and need no write lock
        if connection.execute(sa.select(studies.c.version).where(ahead).limit(1)).first() is None:
            return 0
    values = {name: sa.case((time > now, now), else_=time) for name, time in times.items()}
    values["deadline"] = sa.case((studies.c.deadline > latest, latest), else_=studies.c.deadline)
    with writing(database) as connection:
        bounded = connection.execute(studies.update().where(ahead).values(**values)).rowcount
    log_event("times of studies lay in the future", "warning", count=bounded)
    return bounded


def end_overtaking(database: sa.Engine, settings: Settings, jobs: Jobs, now: float) -> int:
    """Queue routine studies that have waited for too long before whatever comes from now on; returns how many.

    A backfill is not among them: it runs when nothing else waits.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    jobs
        Where jobs are queued.
    now
        Seconds since 1970.
    """
    long_since = sa.and_(
        studies.c.state == StudyState.WAITING.value,
        studies.c.priority == Priority.ROUTINE.value,
        studies.c.queued <= now - settings.studies.longest_wait_s,
    )
    raised = 0
    with database.connect() as connection:
        found = connection.execute(
            sa.select(studies).where(long_since).order_by(studies.c.queued).limit(_AT_ONCE)
        ).all()
    for row in found:
        with writing(database) as connection:
            study = Study.of(row)
            change = studies.update().where(study.row, long_since).values(priority=Priority.URGENT.value)
            if connection.execute(change).rowcount:
                jobs.enqueue_study(connection, study, Priority.URGENT)
                raised += 1
    return raised


def requeue_lost(database: sa.Engine, jobs: Jobs, now: float) -> int:
    """Queue studies again that wait or run without a job; returns how many.

    Parameters
    ----------
    database
        The node's database.
    jobs
        Where jobs are queued.
    now
        Seconds since 1970.
    """
    since = sa.case((studies.c.state == StudyState.RUNNING.value, studies.c.started), else_=studies.c.queued)
    working = [StudyState.WAITING.value, StudyState.RUNNING.value]
    suspect = sa.and_(studies.c.state.in_(working), since <= now - _GRACE_S)
    with database.connect() as connection:
        found = connection.execute(sa.select(studies).where(suspect)).all()
    if not found:
        return 0
    held = {name.rpartition(":")[0] for name in jobs.under_way(STUDIES)}
    begun = {name.rpartition(":")[0] for name in jobs.under_way(STUDIES, now - _GRACE_S)}
    lost = [
        row
        for row in found
        # A study waits for a moment at most once its job is taken.
        if f"study:{row.token}:{row.version}" not in (begun if row.state == StudyState.WAITING.value else held)
    ]
    for row in lost:
        with writing(database) as connection:
            study, here = Study.of(row), (StudyState(row.state),)
            if study.move(connection, here, StudyState.WAITING, queued=now, executor=None):
                jobs.enqueue_study(connection, study, Priority(row.priority))
                log_event("study without a job queued again", "warning", study=row.token, version=row.version)
    return len(lost)
