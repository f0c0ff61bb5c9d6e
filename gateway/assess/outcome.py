"""Results become rows: each object under its UID for ever, and where it is to go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from candor.study.errors import ReportError
from candor.study.result_object import Predecessor, ResultObject
from gateway.jobs.jobs import Jobs, of_objects
from gateway.settings import Destination, Settings
from gateway.store.database import insert_once
from gateway.store.result_objects import predecessor_from_row, to_row
from gateway.store.schema import deliveries, instances, objects, study_instances
from gateway.store.states import DeliveryState, Mode
from gateway.store.study import Study


class ResultConflict(ReportError):
    """A result has the UID of another one and other content; it must never leave the node."""


def record_objects(connection: sa.Connection, study: Study, made: Iterable[ResultObject], now: float) -> None:
    """Give each object its row; one that is there with the same content stays with the version that made it first.

    Parameters
    ----------
    connection
        In a transaction.
    study
        The version that they are results of.
    made
        The objects, with their hashes.
    now
        Seconds since 1970.

    Raises
    ------
    ResultConflict
        The UID stands for other content already.
    """
    for item in made:
        insert_once(connection, objects, {**to_row(item), **study.key, "made": now})
        known = sa.select(objects.c.sha256, objects.c.profiles).where(
            objects.c.sop_instance_uid == item.sop_instance_uid
        )
        sha256, profiles = connection.execute(known).one()
        if sha256 != item.sha256:
            raise ResultConflict("a result has the UID of an earlier one and other content; it is not delivered")
        same = objects.update().where(objects.c.sop_instance_uid == item.sop_instance_uid)
        values = {"file": item.file, "profiles": _joined(profiles, item.profiles)}
        connection.execute(same.values(values))  # where it lies now: the earlier file may be gone


def plan_deliveries(
    connection: sa.Connection,
    jobs: Jobs,
    settings: Settings,
    study: Study,
    made: Sequence[ResultObject],
    mode: Mode,
    now: float,
) -> int:
    """Send each object on its way to each destination that takes it; in shadow mode to none.

    Parameters
    ----------
    connection
        In a transaction.
    jobs
        Where the deliveries are queued.
    settings
        For the destinations.
    study
        The version that the objects are results of.
    made
        The objects; they have their rows.
    mode
        Of the node.
    now
        Seconds since 1970.

    Returns
    -------
    How many deliveries these objects have. What went out before under the same UID does not go again, and counts.
    """
    if mode is Mode.SHADOW:
        return 0
    senders = _senders(connection, study)
    for destination in settings.destinations:
        wanted = [item for item in made if destination.profile.takes(item)]
        if wanted and wants(destination, senders):
            new = [item for item in wanted if _plan(connection, item, destination, now)]
            if new:
                occasion = of_objects(item.sop_instance_uid for item in new)
                jobs.enqueue_delivery(connection, study, destination.name, occasion=occasion)
    uids = [item.sop_instance_uid for item in made]
    theirs = sa.select(sa.func.count()).select_from(deliveries).where(deliveries.c.sop_instance_uid.in_(uids))
    return connection.execute(theirs).scalar_one()


def wants(destination: Destination, senders: set[str]) -> bool:
    """Return whether a destination takes results of studies that came from some AE titles.

    Parameters
    ----------
    destination
        With the AE titles that it takes results of.
    senders
        The AE titles that sent the study.
    """
    return not destination.only_from or not senders.isdisjoint(destination.only_from)


def earlier_reports(connection: sa.Connection, study: Study) -> tuple[Predecessor, ...]:
    """List the reports that a study has got up to a version, oldest first.

    Among those of the version itself may be one that it was not assessed by its deadline. They are what the next
    report's Predecessor Documents Sequence (PS3.3 C.17.2) names; their rows outlive their files.

    Parameters
    ----------
    connection
        To the node's database.
    study
        The version.
    """
    up_to_it = sa.and_(objects.c.study_instance_uid == study.study_instance_uid, objects.c.version <= study.version)
    query = (
        sa.select(objects)
        .where(up_to_it, objects.c.kind == "sr")
        .order_by(objects.c.version, objects.c.made, objects.c.sop_instance_uid)
    )
    return tuple(predecessor_from_row(row) for row in connection.execute(query))


def _joined(known: Iterable[str] | None, new: Iterable[str] | None) -> list[str] | None:
    """Join the profiles of an object that is made again: it may have become part of more."""
    return None if known is None or new is None else sorted({*known, *new})


def _plan(connection: sa.Connection, item: ResultObject, destination: Destination, now: float) -> bool:
    values = {
        "sop_instance_uid": item.sop_instance_uid,
        "destination": destination.name,
        "state": DeliveryState.DUE.value,
        "tries": 0,
        "due": now,
        "reason": "",
    }
    return insert_once(connection, deliveries, values)


def _senders(connection: sa.Connection, study: Study) -> set[str]:
    query = (
        sa.select(instances.c.calling_ae_title)
        .join(study_instances, study_instances.c.instance == instances.c.id)
        .where(study.within(study_instances))
    )
    return set(connection.execute(query).scalars())
