"""What follows from the rows of deliveries: studies that are at their end, and alarms for dead letters.

Both look at the tables as they are, so a crash anywhere before is made good by the next look.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from candor.study.result import Disposition
from gateway.logs import log_event
from gateway.settings import Settings
from gateway.store.alarms import AlarmKind, clear_alarm, raise_alarm
from gateway.store.database import writing
from gateway.store.schema import alarms, deliveries, objects, studies
from gateway.store.states import DeliveryState, StudyState
from gateway.store.study import Study


def settle_studies(database: sa.Engine, settings: Settings, now: float, study_instance_uid: str | None = None) -> int:
    """End the studies, or one, of which nothing is on its way any more; returns how many versions.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    now
        Seconds since 1970.
    study_instance_uid
        The study; None for all.
    """
    ripe = sa.and_(studies.c.state == StudyState.DELIVERING.value, sa.not_(_on_its_way(settings)))
    if study_instance_uid is not None:
        ripe = sa.and_(ripe, studies.c.study_instance_uid == study_instance_uid)
    with database.connect() as connection:
        found = connection.execute(sa.select(studies).where(ripe)).all()
    settled = 0
    for row in found:
        with writing(database) as connection:
            if connection.execute(sa.select(studies.c.token).where(Study.of(row).row, ripe)).first() is not None:
                settled += _settle(connection, row, now)
    return settled


def _on_its_way(settings: Settings) -> sa.ColumnElement[bool]:
    """Tell of a version whether a delivery of it, or of what it shares with an earlier one, is not at its end."""
    committing = [destination.name for destination in settings.destinations if destination.commitment]
    unsure = sa.and_(deliveries.c.state == DeliveryState.SENT.value, deliveries.c.destination.in_(committing))
    return (
        sa.exists()
        .where(deliveries.c.sop_instance_uid == objects.c.sop_instance_uid)
        .where(objects.c.study_instance_uid == studies.c.study_instance_uid, objects.c.version <= studies.c.version)
        .where(sa.or_(deliveries.c.state == DeliveryState.DUE.value, unsure))
    )


def _settle(connection: sa.Connection, row: Any, now: float) -> bool:
    study = Study.of(row)
    dead = (
        sa.select(deliveries.c.destination, deliveries.c.reason)
        .join(objects, objects.c.sop_instance_uid == deliveries.c.sop_instance_uid)
        .where(
            study.within(objects),
            deliveries.c.state == DeliveryState.DEAD.value,
        )
        .order_by(deliveries.c.destination)
    )
    letters = connection.execute(dead).all()
    if letters:
        state = StudyState.FAILED
        reason = f"{len(letters)} of its objects are not delivered; {letters[0].destination}: {letters[0].reason}"
    else:
        unassessed = row.disposition == Disposition.NOT_ASSESSED.value
        state, reason = (StudyState.NOT_ASSESSED if unassessed else StudyState.DELIVERED), ""
    here = (StudyState.DELIVERING,)
    moved = study.move(connection, here, state, finished=now, reason=reason)
    if moved:
        log_event("study delivered", study=row.token, version=row.version, state=state.value)
    return moved


def watch_dead_letters(database: sa.Engine, now: float) -> None:
    """Keep an alarm open for each destination that has dead letters, and for no other.

    Parameters
    ----------
    database
        The node's database.
    now
        Seconds since 1970.
    """
    dead = deliveries.c.state == DeliveryState.DEAD.value
    query = sa.select(deliveries.c.destination, sa.func.count(), sa.func.min(deliveries.c.reason)).where(dead)
    opened = sa.select(alarms.c.subject).where(alarms.c.kind == AlarmKind.DEAD_LETTER.value, alarms.c.cleared.is_(None))
    with database.connect() as connection:
        found = {row[0]: (row[1], row[2]) for row in connection.execute(query.group_by(deliveries.c.destination))}
        alarmed = set(connection.execute(opened).scalars())
    for name in sorted(found.keys() - alarmed):
        number, reason = found[name]
        text = (
            f"{number} objects cannot be delivered to {name}: {reason}; "
            f"fix the cause, then run 'candor node resend --to {name}'"
        )
        raise_alarm(database, AlarmKind.DEAD_LETTER, name, text, now)
    for name in sorted(alarmed - found.keys()):
        clear_alarm(database, AlarmKind.DEAD_LETTER, name, now)
