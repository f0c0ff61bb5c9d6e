"""Withdraw the results of images that a rejection note names, and assess what is left of their studies again."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from candor.dicom.write.rejection_note import Rejection
from candor.study.errors import ObjectIncomplete
from gateway.assess.rejections import REASONS, set_aside_rejected
from gateway.deliver.deliverer import Queue
from gateway.deliver.recall import answers_to, recall
from gateway.logs import log_event
from gateway.settings import Settings
from gateway.store.alarms import AlarmKind, raise_alarm
from gateway.store.counters import count
from gateway.store.database import lock_study, writing
from gateway.store.schema import instances, rejections, studies, study_instances
from gateway.store.spool import Spool
from gateway.store.states import InstanceState, StudyState
from gateway.store.study import Study, has_image, newest_version, renew, same_version

_WHO: Final = "rejection note"
_GRAVEST_FIRST: Final = (
    Rejection.PATIENT_SAFETY,
    Rejection.INCORRECT_WORKLIST_ENTRY,
    Rejection.QUALITY,
    Rejection.RETENTION_EXPIRED,
)
_REASON: Final = "withdrawn: a rejection note names an image of it"
_NOT_RECALLED: Final = (
    "a rejection note names an image of it, and its results cannot be withdrawn: their files were deleted by "
    "retention, so nothing says whose they are; reject them in the archive"
)


def withdraw_rejected(database: sa.Engine, settings: Settings, spool: Spool, jobs: Queue, now: float) -> int:
    """Withdraw what is due; returns in how many studies.

    A study that is being assessed waits for the next time.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    spool
        Where the files are.
    jobs
        Takes the deliveries of our own rejection notes.
    now
        Seconds since 1970.
    """
    with database.connect() as connection:
        query = sa.select(rejections.c.study_instance_uid).where(rejections.c.done.is_(None)).distinct()
        due = connection.execute(query).scalars().all()
    return sum(_withdraw(database, settings, spool, jobs, uid, now) for uid in sorted(due))


def _withdraw(
    database: sa.Engine, settings: Settings, spool: Spool, jobs: Queue, study_instance_uid: str, now: float
) -> bool:
    """Withdraw all results that an image of one study has a part in; False where that is not the time yet."""
    with writing(database) as connection:
        set_aside_rejected(connection)
        affected = _affected(connection, study_instance_uid)
        codes = set(connection.execute(sa.select(rejections.c.code).where(_due(study_instance_uid))).scalars())
    if StudyState.RUNNING in affected.values():
        return False
    reason = min((REASONS[code] for code in codes), key=_GRAVEST_FIRST.index)
    for answered in answers_to(database, study_instance_uid):
        if answered.study not in affected or answered.is_recalled:
            continue
        try:
            done = recall(database, spool, jobs, answered, reason, _WHO, now)
        except ObjectIncomplete:  # it has its alarm
            continue
        if not done:
            raise_alarm(database, AlarmKind.RECALL, answered.token, _NOT_RECALLED, now)
    with writing(database) as connection:
        lock_study(connection, study_instance_uid)
        if StudyState.RUNNING in _affected(connection, study_instance_uid).values():
            return False  # it has begun since, and may have read the image before
        _end(connection, settings, study_instance_uid, affected, now)
    log_event("results of rejected images withdrawn", "warning", reason=reason.value.meaning)
    return True


def _end(
    connection: sa.Connection,
    settings: Settings,
    study_instance_uid: str,
    affected: dict[Study, StudyState],
    now: float,
) -> None:
    """Note that a study is done, and begin a version of the images that are left."""
    for study, state in affected.items():
        if not state.is_open or state is StudyState.DELIVERING:
            connection.execute(studies.update().where(study.row).values(reason=_REASON))
    connection.execute(rejections.update().where(_due(study_instance_uid)).values(done=now))
    newest = Study(study_instance_uid, newest_version(connection, study_instance_uid))
    if newest in affected and has_image(connection, newest, InstanceState.KEPT, InstanceState.QUARANTINED):
        renew(connection, study_instance_uid, now, settings.studies)
    count(connection, "studies_withdrawn_total")


def _due(study_instance_uid: str) -> sa.ColumnElement[bool]:
    return sa.and_(rejections.c.study_instance_uid == study_instance_uid, rejections.c.done.is_(None))


def _affected(connection: sa.Connection, study_instance_uid: str) -> dict[Study, StudyState]:
    """Return the versions with an image whose rejection is not done yet, each with its state."""
    query = (
        sa.select(studies.c.study_instance_uid, studies.c.version, studies.c.state)
        .join(study_instances, same_version(study_instances))
        .join(instances, instances.c.id == study_instances.c.instance)
        .join(rejections, rejections.c.sop_instance_uid == instances.c.sop_instance_uid)
        .where(
            _due(study_instance_uid),
            instances.c.study_instance_uid == rejections.c.study_instance_uid,
        )
        .distinct()
    )
    return {Study.of(row): StudyState(row.state) for row in connection.execute(query)}
