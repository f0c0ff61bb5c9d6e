"""Versions of a study: which one an arriving image belongs to, and when a version is complete.

The newest version takes images while it is RECEIVING. Whatever arrives later makes the next version, which begins with
what the one before was made of, so that its report replaces the earlier one and does not stand beside it. An earlier
version's rows stay: a report names the report before it.

A version with more images than ``studies.max_images`` is not assessed. It takes all images that follow, whatever its
state, so that a study of thousands of images stays one version.

Every change of state is one UPDATE whose WHERE names the state that it leaves, so that of several processes exactly one
makes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any, Final, Self

import sqlalchemy as sa

from gateway.settings import Studies
from gateway.store.database import insert_once
from gateway.store.schema import instances, studies, study_instances
from gateway.store.states import InstanceState, Priority, StudyState

_GOES_ON: Final = (InstanceState.KEPT.value, InstanceState.QUARANTINED.value, InstanceState.DAMAGED.value)
"""What the next version begins with. A damaged image is part of it, so that nothing is assessed without it."""


@dataclass(frozen=True, slots=True, order=True)
class Study:
    """One version of a study.

    Parameters
    ----------
    study_instance_uid
        Study Instance UID (0020,000D). It is patient data, so ``repr`` leaves it out: no log line or traceback shows
        it.
    version
        1, 2, ...: a late or corrected image makes the next.
    """

    study_instance_uid: str = field(repr=False)
    version: int

    @classmethod
    def of(cls, row: Any) -> Self:
        """Return the version that a row of ``studies`` or ``objects`` names."""
        return cls(row.study_instance_uid, row.version)

    @property
    def before(self) -> Self:
        """The version before this one; there may be none."""
        return type(self)(self.study_instance_uid, self.version - 1)

    @property
    def key(self) -> dict[str, Any]:
        """The columns of a row that name the version."""
        return {"study_instance_uid": self.study_instance_uid, "version": self.version}

    @property
    def row(self) -> sa.ColumnElement[bool]:
        """The WHERE clause that names the version's row of ``studies``."""
        return self.within(studies)

    def within(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """Return the WHERE clause that names the version's rows of a table."""
        return sa.and_(table.c.study_instance_uid == self.study_instance_uid, table.c.version == self.version)

    def move(
        self, connection: sa.Connection, leaves: tuple[StudyState, ...], enters: StudyState, **values: Any
    ) -> bool:
        """Bring the version from one state to another, unless another process has done so before.

        Parameters
        ----------
        connection
            In a transaction.
        leaves
            The states that it may be in.
        enters
            The state that it gets.
        values
            Further columns of its row.

        Returns
        -------
        Whether the version was in one of those states, and so whether this caller made the change.
        """
        here = studies.c.state.in_([state.value for state in leaves])
        change = studies.update().where(self.row, here)
        return connection.execute(change.values(state=enters.value, **values)).rowcount == 1

    def link(self, connection: sa.Connection, instance: int) -> None:
        """Make an instance part of the version; once more is harmless.

        Parameters
        ----------
        connection
            In a transaction.
        instance
            The id of the instance's row.
        """
        insert_once(connection, study_instances, {**self.key, "instance": instance})


def same_version(table: sa.FromClause, other: sa.FromClause = studies) -> sa.ColumnElement[bool]:
    """Return the condition that joins two tables by the version of a study.

    Parameters
    ----------
    table, other
        Each has the columns ``study_instance_uid`` and ``version``.
    """
    return sa.and_(other.c.study_instance_uid == table.c.study_instance_uid, other.c.version == table.c.version)


def touch(
    connection: sa.Connection,
    study_instance_uid: str,
    token: str,
    priority: Priority,
    received: float,
    settings: Studies,
) -> Study:
    """Count one more image for a study, and return the version that it belongs to.

    Parameters
    ----------
    connection
        In the transaction that inserts the instance; it has to link the instance to the version afterwards
        (:meth:`Study.link`).
    study_instance_uid
        The image's.
    token
        The study's (:mod:`gateway.store.tokens`).
    priority
        Of the image; a version has that of its most urgent image.
    received
        When the image was taken, seconds since 1970.
    settings
        For the deadline and the limit of images.

    Returns
    -------
    The version; its quiet period and its deadline start anew.
    """
    while True:
        newest = newest_version(connection, study_instance_uid)
        study = Study(study_instance_uid, newest)
        if newest and _prolong(connection, study, priority, received, settings):
            return study
        study = Study(study_instance_uid, newest + 1)
        if _begin(connection, study, token, priority, received, settings):
            _take_over(connection, study, settings, new=1)
            return study
        # Another association has begun this version in the meantime: it is RECEIVING, and the image joins it.


def revive(connection: sa.Connection, sop_instance_uid: str, sha256: str) -> int | None:
    """Take an instance up again that was deleted with its study, or damaged, and that has come a second time.

    Parameters
    ----------
    connection
        In a transaction.
    sop_instance_uid
        SOP Instance UID (0008,0018).
    sha256
        Of the file, in hexadecimal.

    Returns
    -------
    The id of its row, for :func:`touch` and :meth:`Study.link`; None where the file is still part of a study and sound.
    """
    this = sa.and_(instances.c.sop_instance_uid == sop_instance_uid, instances.c.sha256 == sha256)
    linked = (
        sa.select(instances.c.id, instances.c.state, sa.func.count(), sa.func.count(studies.c.purged))
        .join(study_instances, study_instances.c.instance == instances.c.id)
        .join(studies, same_version(study_instances))
        .where(this)
        .group_by(instances.c.id, instances.c.state)
    )
    found = connection.execute(linked).one_or_none()
    if found is None:
        return None
    row, state, versions, purged = found
    if state != InstanceState.DAMAGED.value and versions > purged:
        return None
    connection.execute(instances.update().where(instances.c.id == row).values(state=InstanceState.KEPT.value))
    return int(row)


def renew(connection: sa.Connection, study_instance_uid: str, now: float, settings: Studies) -> None:
    """Begin another version of the same images, so that they are judged again.

    Nothing is done where the newest version is still to be judged, or was deleted by retention.

    Parameters
    ----------
    connection
        In a transaction.
    study_instance_uid
        Study Instance UID (0020,000D).
    now
        Seconds since 1970.
    settings
        For the deadline and the limit of images.
    """
    newest = Study(study_instance_uid, newest_version(connection, study_instance_uid))
    row = connection.execute(sa.select(studies).where(newest.row, studies.c.purged.is_(None))).one_or_none()
    if row is None or row.state in (StudyState.RECEIVING.value, StudyState.WAITING.value):
        return
    study = Study(study_instance_uid, newest.version + 1)
    if _begin(connection, study, row.token, Priority(row.priority), now, settings):
        _take_over(connection, study, settings, new=0)


def newest_version(connection: sa.Connection, study_instance_uid: str) -> int:
    """Return the number of a study's newest version; 0 where there is none.

    Parameters
    ----------
    connection
        To the node's database.
    study_instance_uid
        Study Instance UID (0020,000D).
    """
    newest = sa.select(sa.func.max(studies.c.version)).where(studies.c.study_instance_uid == study_instance_uid)
    return connection.execute(newest).scalar() or 0


def has_image(connection: sa.Connection, study: Study, *states: InstanceState) -> bool:
    """Return whether an image that a version is made of is in one of some states.

    Parameters
    ----------
    connection
        To the node's database.
    study
        The version.
    states
        Which ones.
    """
    query = (
        sa.select(instances.c.id)
        .join(study_instances, study_instances.c.instance == instances.c.id)
        .where(study.within(study_instances), instances.c.state.in_([state.value for state in states]))
    )
    return connection.execute(query.limit(1)).first() is not None


def priority_by_age(asked: Priority, study_date: date | None, today: date, settings: Studies) -> Priority:
    """Let studies that were taken long ago run last, whatever was asked for them.

    Parameters
    ----------
    asked
        By whoever sent the image.
    study_date
        Study Date (0008,0020); None where it is empty or no date: nothing is known, and what was asked holds.
    today
        The day on which the image came.
    settings
        For the age.
    """
    old = study_date is not None and (today - study_date).days > settings.max_study_age_d
    return Priority.BACKFILL if old else asked


def complete(now: float, settings: Studies) -> sa.ColumnElement[bool]:
    """Tell which versions have all their images: quiet for long enough, grown for too long, or over the limit.

    Parameters
    ----------
    now
        Seconds since 1970.
    settings
        For the quiet period and the limits.
    """
    return sa.and_(
        studies.c.state == StudyState.RECEIVING.value,
        sa.or_(
            studies.c.last_image <= now - settings.quiet_s,
            studies.c.first_image <= now - settings.growing_limit_s,
            studies.c.over_limit.is_not(None),
        ),
    )


def _prolong(connection: sa.Connection, study: Study, priority: Priority, received: float, settings: Studies) -> bool:
    """Add an image to a version, if it still takes any."""
    image = {
        "image_study": study.study_instance_uid,
        "image_version": study.version,
        "image_priority": priority.value,
        "image_received": received,
        "image_deadline_s": settings.result_deadline_s,
        "image_limit": settings.max_images,
    }
    return connection.execute(_one_more_image(), image).rowcount == 1


@cache
def _one_more_image() -> sa.Update:
    """Make the statement that adds an image to a version; made once, since that takes longer than to execute it."""
    version = sa.and_(
        studies.c.study_instance_uid == sa.bindparam("image_study"), studies.c.version == sa.bindparam("image_version")
    )
    received = sa.bindparam("image_received", type_=sa.Double)
    priority = sa.bindparam("image_priority", type_=sa.Integer)
    receiving = studies.c.state == StudyState.RECEIVING.value
    over_limit = sa.and_(studies.c.over_limit.is_not(None), studies.c.purged.is_(None))
    last = sa.case((studies.c.last_image > received, studies.c.last_image), else_=received)
    deadline = last + sa.bindparam("image_deadline_s", type_=sa.Double)
    is_one_too_many = studies.c.images >= sa.bindparam("image_limit", type_=sa.Integer)
    return (
        studies.update()
        .where(version, sa.or_(receiving, over_limit))
        .values(
            images=studies.c.images + 1,
            last_image=sa.case((receiving, last), else_=studies.c.last_image),
            deadline=sa.case((receiving, deadline), else_=studies.c.deadline),
            priority=sa.case((studies.c.priority < priority, studies.c.priority), else_=priority),
            over_limit=sa.case(
                (studies.c.over_limit.is_not(None), studies.c.over_limit), (is_one_too_many, received), else_=None
            ),
        )
    )


def _begin(
    connection: sa.Connection, study: Study, token: str, priority: Priority, received: float, settings: Studies
) -> bool:
    """Make the row of a version with its first image; False where another process was faster."""
    values = {
        **study.key,
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


def _take_over(connection: sa.Connection, study: Study, settings: Studies, new: int) -> None:
    """Begin a version with what the one before it was made of, unless retention has deleted that.

    ``new`` images are still to be linked to it.
    """
    kept = (
        sa.select(study_instances.c.study_instance_uid, sa.literal(study.version), study_instances.c.instance)
        .join(instances, instances.c.id == study_instances.c.instance)
        .where(
            study.before.within(study_instances),
            instances.c.state.in_(_GOES_ON),
            sa.exists().where(study.before.row, studies.c.purged.is_(None)),
        )
    )
    connection.execute(study_instances.insert().from_select(list(study_instances.c.keys()), kept))
    linked = study.within(study_instances)
    images = (
        connection.execute(sa.select(sa.func.count()).select_from(study_instances).where(linked)).scalar_one() + new
    )
    over_limit = {"over_limit": studies.c.first_image} if images > settings.max_images else {}
    connection.execute(studies.update().where(study.row).values(images=images, **over_limit))
