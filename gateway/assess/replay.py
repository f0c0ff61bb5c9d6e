"""Start a parked study again: an act of an operator, in the audit trail.

A study that failed because its results could not be delivered is another matter: those are sent again
(:mod:`gateway.deliver.resend`).
"""

from __future__ import annotations

import sqlalchemy as sa

from gateway.jobs.jobs import Jobs
from gateway.settings import Settings
from gateway.store.database import writing
from gateway.store.mode import note_act
from gateway.store.schema import studies
from gateway.store.states import Priority, StudyState
from gateway.store.study import Study


def replay_study(database: sa.Engine, settings: Settings, jobs: Jobs, study: Study, who: str, now: float) -> bool:
    """Queue a parked version again, with all its tries before it and a new deadline.

    Parameters
    ----------
    database
        The node's database.
    settings
        For the deadline.
    jobs
        Where the study is queued.
    study
        The version.
    who
        The operator.
    now
        Seconds since 1970.

    Returns
    -------
    Whether it was parked, and so whether it is queued now.
    """
    with writing(database) as connection:
        assessed = sa.select(studies.c.assessed).where(study.row)
        queued = connection.execute(assessed).scalar() is None and study.move(
            connection,
            (StudyState.FAILED,),
            StudyState.WAITING,
            tries=0,
            reason="",
            queued=now,
            finished=None,
            overdue=None,
            deadline=now + settings.studies.result_deadline_s,
        )
        if queued:
            query = sa.select(studies.c.token, studies.c.priority).where(study.row)
            token, priority = connection.execute(query).one()
            jobs.enqueue_study(connection, study, Priority(priority))
            note_act(connection, who, "replay", token, now)
    return queued


def parked(database: sa.Engine, study_instance_uid: str | None = None) -> list[Study]:
    """List the parked versions, of one study or of all.

    Parameters
    ----------
    database
        The node's database.
    study_instance_uid
        The study; None for all.
    """
    query = sa.select(studies.c.study_instance_uid, studies.c.version).where(
        studies.c.state == StudyState.FAILED.value, studies.c.purged.is_(None), studies.c.assessed.is_(None)
    )
    if study_instance_uid is not None:
        query = query.where(studies.c.study_instance_uid == study_instance_uid)
    with database.connect() as connection:
        return [Study.of(row) for row in connection.execute(query.order_by(studies.c.finished))]
