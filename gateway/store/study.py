"""Versions of a study: which one an arriving image belongs to, and when a version is complete.

The newest version takes images while it is RECEIVING. Whatever arrives later makes the next version, which begins with
what the one before was made of, so that its report replaces the earlier one and does not stand beside it. An earlier
version's rows stay: a report names the report before it.

Every change of state is one UPDATE whose WHERE names the state that it leaves, so that of several processes exactly one
makes it.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Any, Final

import sqlalchemy as sa

from gateway.settings import Studies
from gateway.store.database import insert_once
from gateway.store.schema import instances, studies, study_instances
from gateway.store.states import InstanceState, Priority, StudyState

_DAY_S: Final = 86400.0


def touch(
    connection: sa.Connection,
    study_instance_uid: str,
    token: str,
    priority: Priority,
    received: float,
    settings: Studies,
) -> int:
    """Count one more image for a study, and say to which version it belongs.

    Parameters
    ----------
    connection
        In the transaction that inserts the instance; it has to link the instance to the version afterwards
        (:func:`link`).
    token
        The study's (:mod:`gateway.store.tokens`).
    priority
        Of the image; a version has that of its most urgent image.
    received
        When the image was taken, seconds since 1970.

    Returns
    -------
    The version; its quiet period and its deadline start anew.
    """
    while True:
        version = newest_version(connection, study_instance_uid)
        if version and _prolong(connection, study_instance_uid, version, priority, received, settings):
            return version
        version += 1
        if _begin(connection, study_instance_uid, version, token, priority, received, settings):
            _take_over(connection, study_instance_uid, version)
            return version
        # Another association has begun this version in the meantime: it is RECEIVING, and the image joins it.


def link(connection: sa.Connection, study_instance_uid: str, version: int, instance: int) -> None:
    """Make an instance part of a version; once more is harmless."""
    values = {"study_instance_uid": study_instance_uid, "version": version, "instance": instance}
    insert_once(connection, study_instances, values)


def revive(connection: sa.Connection, sop_instance_uid: str, sha256: str) -> int | None:
    """Take an instance up again that retention had deleted with its study, and that has come a second time.

    Returns
    -------
    The id of its row, for :func:`touch` and :func:`link`; None where the file is still part of a study.
    """
    this = sa.and_(instances.c.sop_instance_uid == sop_instance_uid, instances.c.sha256 == sha256)
    linked = (
        sa.select(instances.c.id, sa.func.count(), sa.func.count(studies.c.purged))
        .join(study_instances, study_instances.c.instance == instances.c.id)
        .join(studies, row_of(study_instances.c.study_instance_uid, study_instances.c.version))
        .where(this)
        .group_by(instances.c.id)
    )
    found = connection.execute(linked).one_or_none()
    if found is None or found[1] > found[2]:
        return None
    connection.execute(instances.update().where(instances.c.id == found[0]).values(state=InstanceState.KEPT.value))
    return int(found[0])


def newest_version(connection: sa.Connection, study_instance_uid: str) -> int:
    """Return the number of a study's newest version; 0 where there is none."""
    newest = sa.select(sa.func.max(studies.c.version)).where(studies.c.study_instance_uid == study_instance_uid)
    return connection.execute(newest).scalar() or 0


def priority_by_age(asked: Priority, study_date: date | None, today: date, settings: Studies) -> Priority:
    """Let studies that were taken long ago run last, whatever was asked for them.

    Parameters
    ----------
    study_date
        Study Date (0008,0020); None where it is empty or no date: nothing is known, and what was asked holds.
    """
    old = study_date is not None and (today - study_date).days > settings.max_study_age_d
    return Priority.BACKFILL if old else asked


def row_of(
    study_instance_uid: str | sa.ColumnElement[str], version: int | sa.ColumnElement[int]
) -> sa.ColumnElement[bool]:
    """Name one version in a WHERE."""
    return sa.and_(studies.c.study_instance_uid == study_instance_uid, studies.c.version == version)


def move(
    connection: sa.Connection,
    study_instance_uid: str,
    version: int,
    leaves: tuple[StudyState, ...],
    enters: StudyState,
    **values: Any,
) -> bool:
    """Bring a version from one state to another, unless another process has done so before.

    Parameters
    ----------
    leaves
        The states that it may be in.
    values
        Further columns of its row.

    Returns
    -------
    Whether the version was in one of those states, and so whether this caller made the change.
    """
    here = studies.c.state.in_([state.value for state in leaves])
    change = studies.update().where(row_of(study_instance_uid, version), here)
    return connection.execute(change.values(state=enters.value, **values)).rowcount == 1


def complete(now: float, settings: Studies) -> sa.ColumnElement[bool]:
    """Tell which versions have all their images: quiet for long enough, grown for too long, or full."""
    return sa.and_(
        studies.c.state == StudyState.RECEIVING.value,
        sa.or_(
            studies.c.last_image <= now - settings.quiet_s,
            studies.c.first_image <= now - settings.growing_limit_s,
            studies.c.images >= settings.max_images,
        ),
    )


def _prolong(
    connection: sa.Connection,
    study_instance_uid: str,
    version: int,
    priority: Priority,
    received: float,
    settings: Studies,
) -> bool:
    """Add an image to a version, if it still takes any."""
    image = {
        "image_study": study_instance_uid,
        "image_version": version,
        "image_priority": priority.value,
        "image_received": received,
        "image_deadline_s": settings.result_deadline_s,
    }
    return connection.execute(_one_more_image(), image).rowcount == 1


@cache
def _one_more_image() -> sa.Update:
    """Make the statement that adds an image to a version; made once, since that takes longer than to execute it."""
    version = row_of(sa.bindparam("image_study"), sa.bindparam("image_version"))
    received = sa.bindparam("image_received", type_=sa.Double)
    priority = sa.bindparam("image_priority", type_=sa.Integer)
    last = sa.case((studies.c.last_image > received, studies.c.last_image), else_=received)
    return (
        studies.update()
        .where(version, studies.c.state == StudyState.RECEIVING.value)
        .values(
            images=studies.c.images + 1,
            last_image=last,
            deadline=last + sa.bindparam("image_deadline_s", type_=sa.Double),
            priority=sa.case((studies.c.priority < priority, studies.c.priority), else_=priority),
        )
    )


def _begin(
    connection: sa.Connection,
    study_instance_uid: str,
    version: int,
    token: str,
    priority: Priority,
    received: float,
    settings: Studies,
) -> bool:
    """Make the row of a version with its first image; False where another process was faster."""
    values = {
        "study_instance_uid": study_instance_uid,
        "version": version,
        "token": token,
        "state": StudyState.RECEIVING.value,
        "reason": "",
        "priority": priority.value,
        "first_image": received,
        "last_image": received,
        "deadline": received + settings.result_deadline_s,
        "tries": 0,
        "images": 1,
    }
    return insert_once(connection, studies, values)


def _take_over(connection: sa.Connection, study_instance_uid: str, version: int) -> None:
    """Begin a version with what the one before it was made of, unless retention has deleted that."""
    kept = (
        sa.select(study_instances.c.study_instance_uid, sa.literal(version), study_instances.c.instance)
        .join(instances, instances.c.id == study_instances.c.instance)
        .where(
            study_instances.c.study_instance_uid == study_instance_uid,
            study_instances.c.version == version - 1,
            instances.c.state.in_([InstanceState.KEPT.value, InstanceState.QUARANTINED.value]),
            sa.exists().where(row_of(study_instance_uid, version - 1), studies.c.purged.is_(None)),
        )
    )
    connection.execute(study_instances.insert().from_select(list(study_instances.c.keys()), kept))
    linked = sa.and_(study_instances.c.study_instance_uid == study_instance_uid, study_instances.c.version == version)
    taken = sa.select(sa.func.count()).select_from(study_instances).where(linked).scalar_subquery()
    connection.execute(studies.update().where(row_of(study_instance_uid, version)).values(images=taken + 1))
