"""Queue deliveries that are due and have no job: those that shadow mode held, and those whose job was lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from gateway.deliver.deliverer import Queue
from gateway.jobs.jobs import DELIVERIES, Jobs
from gateway.logs import log_event
from gateway.store.database import writing
from gateway.store.mode import is_shadow
from gateway.store.schema import deliveries, objects, studies
from gateway.store.states import DeliveryState
from gateway.store.study import Study, same_version

_AT_ONCE: Final = 100
_GRACE_S: Final = 300.0
_TAKES_S: Final = 1800.0
"""A delivery that was taken so long ago is not being made."""


def queue_held(database: sa.Engine, jobs: Queue, now: float) -> int:
    """Queue all deliveries that are due, when the node goes live: shadow mode ended their jobs; returns how many jobs.

    Parameters
    ----------
    database
        The node's database.
    jobs
        Where jobs are queued.
    now
        Seconds since 1970.
    """
    held = _due(database)
    for begin in range(0, len(held), _AT_ONCE):
        _queue(database, jobs, held[begin : begin + _AT_ONCE], f"live-{int(now)}")
    return len(held)


def requeue_lost_deliveries(database: sa.Engine, jobs: Jobs, now: float) -> int:
    """Queue deliveries again that are long due and have no job; returns how many.

    Parameters
    ----------
    database
        The node's database.
    jobs
        Where jobs are queued.
    now
        Seconds since 1970.
    """
    to_go = sa.true() if not is_shadow(database) else deliveries.c.despite_shadow == 1
    found = _due(database, deliveries.c.due <= now - _GRACE_S, to_go)
    taken_after = now - _TAKES_S
    held = {":".join(name.split(":")[:4]) for name in jobs.under_way(DELIVERIES, taken_after)} if found else set()
    lost = [row for row in found if f"deliver:{row.token}:{row.version}:{row.destination}" not in held]
    for row in lost:
        _queue(database, jobs, [row], f"lost-{int(now // _GRACE_S)}")  # several sweeps at once make one job
        log_event("delivery without a job queued again", "warning", study=row.token, destination=row.destination)
    return len(lost)


def _due(database: sa.Engine, *where: sa.ColumnElement[bool]) -> Sequence[Any]:
    """Return a row for each version and destination that has something due."""
    query = (
        sa.select(
            studies.c.token,
            objects.c.study_instance_uid,
            objects.c.version,
            deliveries.c.destination,
            sa.func.max(deliveries.c.tries).label("tries"),
        )
        .join(objects, objects.c.sop_instance_uid == deliveries.c.sop_instance_uid)
        .join(studies, same_version(objects))
        .where(deliveries.c.state == DeliveryState.DUE.value, *where)
        .group_by(studies.c.token, objects.c.study_instance_uid, objects.c.version, deliveries.c.destination)
    )
    with database.connect() as connection:
        return connection.execute(query).all()


def _queue(database: sa.Engine, jobs: Queue, rows: Sequence[Any], occasion: str) -> None:
    with writing(database) as connection:
        for row in rows:
            jobs.enqueue_delivery(connection, Study.of(row), row.destination, row.tries, occasion=occasion)
