"""Retention: what was delivered goes after its days, or earlier when the disk fills; what was not stays.

A study goes with all its versions at once, since they share images. Its rows stay, and those of its result objects,
so that no UID is ever given to other content. Delivery is sure when every object is sent, and committed where its
destination commits; what lies in the dead letter is not.

The rows say that a study goes before any of its files does, and say it again when all are gone: what was cut short in
between is finished by the next sweep.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from candor.files.privacy import cause_of
from gateway.jobs.jobs import Jobs
from gateway.logs import Trouble, log_event
from gateway.settings import Settings
from gateway.store.database import lock_study, writing
from gateway.store.schema import alarms, audit_trail, deliveries, instances, objects, studies, study_instances
from gateway.store.spool import Spool
from gateway.store.states import OF_NO_STUDY, DeliveryState, StudyState
from gateway.store.study import same_version

_DAY_S: Final = 86400.0
_GIB: Final = 1 << 30
_JOBS_D: Final = 2.0
"""Jobs that ended are of no use to anybody; the tables say what became of the study."""

_trouble: Final = Trouble("files cannot be deleted", "error")


def retain(database: sa.Engine, settings: Settings, spool: Spool, jobs: Jobs, now: float) -> int:
    """Delete what may go; returns how many studies.

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
    purged = 0
    for uid in _unfinished(database):
        _delete_files(database, spool, uid, now)
    for uid in _oldest(database, settings, now - settings.keep.results_d * _DAY_S):
        purged += _purge(database, settings, spool, uid, now)
    if _full(settings, spool):
        for uid in _oldest(database, settings, now):
            purged += _purge(database, settings, spool, uid, now)
            if not _full(settings, spool):
                break
    _forget_others(database, spool, now - settings.keep.results_d * _DAY_S)
    _forget_trail(database, now - settings.keep.audit_trail_d * _DAY_S)
    jobs.forget(now - _JOBS_D * _DAY_S)
    return purged


def _full(settings: Settings, spool: Spool) -> bool:
    return spool.free_bytes() < settings.keep.purge_below_gib * _GIB


def _sure(settings: Settings) -> sa.ColumnElement[bool]:
    """Tell of a study, named by a row of its versions, whether nothing is to be done and every delivery is sure."""
    version, delivery = studies.alias("each_version"), deliveries.alias("each_delivery")
    unfinished = [state.value for state in StudyState if state.is_open]
    committing = [destination.name for destination in settings.destinations if destination.commitment]
    unsure = sa.or_(
        delivery.c.state.in_([DeliveryState.DUE.value, DeliveryState.DEAD.value]),
        sa.and_(delivery.c.state == DeliveryState.SENT.value, delivery.c.destination.in_(committing)),
    )
    open_version = sa.exists().where(
        version.c.study_instance_uid == studies.c.study_instance_uid, version.c.state.in_(unfinished)
    )
    unsure_delivery = (
        sa.exists()
        .where(delivery.c.sop_instance_uid == objects.c.sop_instance_uid)
        .where(objects.c.study_instance_uid == studies.c.study_instance_uid, unsure)
    )
    return sa.and_(sa.not_(open_version), sa.not_(unsure_delivery))


def _oldest(database: sa.Engine, settings: Settings, before: float) -> Iterator[str]:
    """Name the studies whose last version was finished before a time and that may go, the oldest first."""
    finished = sa.func.max(studies.c.finished)
    query = (
        sa.select(studies.c.study_instance_uid)
        .where(_sure(settings))
        .group_by(studies.c.study_instance_uid)
        .having(finished <= before, sa.func.sum(sa.case((studies.c.purged.is_(None), 1), else_=0)) > 0)
        .order_by(finished)
    )
    with database.connect() as connection:
        yield from connection.execute(query).scalars().all()


def _purge(database: sa.Engine, settings: Settings, spool: Spool, study_instance_uid: str, now: float) -> bool:
    """Let a study go, unless an image came, or a delivery was begun anew."""
    here = studies.c.study_instance_uid == study_instance_uid
    with writing(database) as connection:
        lock_study(connection, study_instance_uid, alone=True)  # nothing of it is acknowledged meanwhile
        change = studies.update().where(here, _sure(settings)).values(purged=now, deleted=None)
        if not connection.execute(change).rowcount:
            return False
    _delete_files(database, spool, study_instance_uid, now)
    return True


def _unfinished(database: sa.Engine) -> list[str]:
    """Name the studies that went, and some of whose files may still be there."""
    query = sa.select(studies.c.study_instance_uid).where(studies.c.purged.is_not(None), studies.c.deleted.is_(None))
    with database.connect() as connection:
        return list(connection.execute(query.distinct()).scalars())


def _delete_files(database: sa.Engine, spool: Spool, study_instance_uid: str, now: float) -> None:
    """Delete the files of a study's purged versions, and say so in their rows; the database is free meanwhile."""
    gone = sa.and_(studies.c.study_instance_uid == study_instance_uid, studies.c.purged.is_not(None))
    with database.connect() as connection:
        versions = connection.execute(sa.select(studies.c.token, studies.c.version).where(gone)).all()
        last = connection.execute(sa.select(sa.func.max(studies.c.purged)).where(gone)).scalar_one()
        received = instances.c.study_instance_uid == study_instance_uid, instances.c.received <= last
        files = connection.execute(sa.select(instances.c.id, instances.c.file).where(*received)).all()
    try:
        for instance, file in files:
            if spool.path(file).exists():
                _delete_file(database, spool, study_instance_uid, instance, file)
        for token, version in versions:
            _delete_tree(spool.folder(token, version))
    except OSError as error:
        _trouble.failed(reason=cause_of(error))
        return
    _trouble.worked()
    with writing(database) as connection:
        lock_study(connection, study_instance_uid, alone=True)
        connection.execute(studies.update().where(gone).values(deleted=now))
        with suppress(OSError):  # a new version has its folder there
            spool.folder(versions[0].token, 1).parent.rmdir()
    log_event("study purged", study=versions[0].token)


def _delete_file(database: sa.Engine, spool: Spool, study_instance_uid: str, instance: int, file: str) -> None:
    """Delete an instance, unless it came again since and is part of a new version."""
    used = (
        sa.select(studies.c.version)
        .join(study_instances, same_version(study_instances))
        .where(study_instances.c.instance == instance, studies.c.purged.is_(None))
    )
    with writing(database) as connection:
        lock_study(connection, study_instance_uid, alone=True)
        if connection.execute(used).first() is None:
            spool.delete(file)


def _delete_tree(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _forget_others(database: sa.Engine, spool: Spool, before: float) -> None:
    """Delete what is part of no study of ours, since nothing else would: results that came back, and the like."""
    old = sa.and_(instances.c.state.in_(OF_NO_STUDY), instances.c.received < before)
    with database.connect() as connection:
        found = connection.execute(sa.select(instances).where(old)).all()
    for row in found:
        if not spool.path(row.file).exists():
            continue
        with writing(database) as connection:  # unless the same bytes came again since
            lock_study(connection, row.study_instance_uid, alone=True)
            if connection.execute(sa.select(instances.c.id).where(instances.c.id == row.id, old)).first():
                spool.delete(row.file)


def _forget_trail(database: sa.Engine, before: float) -> None:
    with writing(database) as connection:
        connection.execute(audit_trail.delete().where(audit_trail.c.at < before))
        connection.execute(alarms.delete().where(alarms.c.cleared < before))
