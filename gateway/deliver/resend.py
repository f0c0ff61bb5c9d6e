"""Make deliveries due again: an act of an operator, in the audit trail. The stored files go out, not new ones."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from gateway.deliver.deliverer import Queue
from gateway.logs import log_event
from gateway.store.database import writing
from gateway.store.mode import note_act
from gateway.store.schema import deliveries, objects, studies
from gateway.store.states import DeliveryState, StudyState
from gateway.store.study import Study

_SENT = (DeliveryState.SENT.value, DeliveryState.COMMITTED.value)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries; None stands for all.

    Parameters
    ----------
    sent
        Not only what lies in the dead letter, also what was sent before.
    """

    study_instance_uid: str | None = None
    destination: str | None = None
    sent: bool = False

    def where(self) -> sa.ColumnElement[bool]:
        """Say it in SQL, of rows of deliveries and objects."""
        states = [DeliveryState.DEAD.value, *(_SENT if self.sent else ())]
        clauses: list[sa.ColumnElement[bool]] = [deliveries.c.state.in_(states)]
        if self.study_instance_uid is not None:
            clauses.append(objects.c.study_instance_uid == self.study_instance_uid)
        if self.destination is not None:
            clauses.append(deliveries.c.destination == self.destination)
        return sa.and_(*clauses)


def resend(database: sa.Engine, jobs: Queue, selection: Selection, who: str, now: float) -> int:
    """Send again what a destination refused, has lost, or was given up; what was recalled is never sent again.

    Parameters
    ----------
    database
        The node's database.
    jobs
        Where jobs are queued.
    selection
        Which deliveries.
    who
        The operator.
    now
        Seconds since 1970.

    Returns
    -------
    How many deliveries are due now.
    """
    query = (
        sa.select(
            objects.c.study_instance_uid,
            objects.c.version,
            deliveries.c.destination,
            sa.func.max(deliveries.c.tries).label("tries"),
        )
        .join(deliveries, deliveries.c.sop_instance_uid == objects.c.sop_instance_uid)
        .where(selection.where())
        .group_by(objects.c.study_instance_uid, objects.c.version, deliveries.c.destination)
    )
    with database.connect() as connection:
        found = connection.execute(query).all()
    due = 0
    for row in found:
        study, destination = Study.of(row), row.destination
        with writing(database) as connection:
            due += _make_due(connection, selection, study, destination, now)
            jobs.enqueue_delivery(connection, study, destination, row.tries, occasion=f"resend-{int(now)}")
            _reopen(connection, study)
            token = connection.execute(sa.select(studies.c.token).where(study.row)).scalar_one()
            note_act(connection, who, "resend", token, now, destination)
        log_event("results are sent again", study=token, version=study.version, destination=destination, user=who)
    return due


def _make_due(connection: sa.Connection, selection: Selection, study: Study, destination: str, now: float) -> int:
    chosen = (
        sa.select(objects.c.sop_instance_uid)
        .join(deliveries, deliveries.c.sop_instance_uid == objects.c.sop_instance_uid)
        .where(
            selection.where(),
            study.within(objects),
            deliveries.c.destination == destination,
        )
    )
    values = {"state": DeliveryState.DUE.value, "due": now, "since": None, "transaction_uid": None, "reason": ""}
    here = sa.and_(
        deliveries.c.destination == destination,
        deliveries.c.sop_instance_uid.in_(list(connection.execute(chosen).scalars())),
    )
    return connection.execute(deliveries.update().where(here).values(values)).rowcount


def _reopen(connection: sa.Connection, study: Study) -> None:
    """Let a study that ended be on its way again; one that was parked before it had a result stays parked."""
    assessed = connection.execute(sa.select(studies.c.assessed).where(study.row)).scalar()
    if assessed is not None:
        ended = (StudyState.FAILED, StudyState.DELIVERED, StudyState.NOT_ASSESSED)
        study.move(connection, ended, StudyState.DELIVERING, finished=None, reason="")
