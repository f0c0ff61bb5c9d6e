"""Results become rows: each object under its UID for ever, and where it is to go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from pydicom import dcmread

from cxr.case import WrittenObject
from cxr.document import file_sha256
from cxr.errors import ReportError
from gateway.database import insert_once
from gateway.jobs import Jobs
from gateway.schema import deliveries, instances, objects, study_instances
from gateway.settings import Destination, Settings
from gateway.states import DeliveryState, Mode

_NAMES: Final = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID")


class ResultConflict(ReportError):
    """A result has the UID of another one and other content; it must never leave the node."""


@dataclass(frozen=True, slots=True)
class Made:
    """One result object as its row will have it; ``file`` is below the spool, ``finding`` a label."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    kind: str
    finding: str | None
    file: str
    sha256: str


def made(written: WrittenObject, path: Path, spool: Path) -> Made:
    """Describe a result object from its file.

    Parameters
    ----------
    path
        Of the file.
    spool
        The root of the spool, which the file is below.
    """
    header = dcmread(path, specific_tags=list(_NAMES), stop_before_pixels=True)  # a report's content is deep: not read
    return Made(
        sop_instance_uid=str(header.SOPInstanceUID),
        sop_class_uid=str(header.SOPClassUID),
        series_instance_uid=str(header.SeriesInstanceUID),
        kind=written.kind,
        finding=written.finding.label if written.finding else None,
        file=path.relative_to(spool).as_posix(),
        sha256=file_sha256(path),
    )


def record_objects(
    connection: sa.Connection, study_instance_uid: str, version: int, made: Iterable[Made], now: float
) -> None:
    """Give each object its row; one that is there with the same content stays with the version that made it first.

    Raises
    ------
    ResultConflict
        The UID stands for other content already.
    """
    for item in made:
        values = {
            "sop_instance_uid": item.sop_instance_uid,
            "sop_class_uid": item.sop_class_uid,
            "series_instance_uid": item.series_instance_uid,
            "study_instance_uid": study_instance_uid,
            "version": version,
            "kind": item.kind,
            "finding": item.finding,
            "file": item.file,
            "sha256": item.sha256,
            "made": now,
        }
        insert_once(connection, objects, values)
        known = sa.select(objects.c.sha256).where(objects.c.sop_instance_uid == item.sop_instance_uid)
        if connection.execute(known).scalar_one() != item.sha256:
            raise ResultConflict("a result has the UID of an earlier one and other content; it is not delivered")
        same = objects.update().where(objects.c.sop_instance_uid == item.sop_instance_uid)
        connection.execute(same.values(file=item.file))  # where it lies now: the earlier file may be gone


def plan_deliveries(
    connection: sa.Connection,
    jobs: Jobs,
    settings: Settings,
    study_instance_uid: str,
    version: int,
    made: Sequence[Made],
    mode: Mode,
    now: float,
) -> int:
    """Send each object on its way to each destination that takes it; in shadow mode to none.

    Returns
    -------
    How many deliveries these objects have. What went out before under the same UID does not go again, and counts.
    """
    if mode is Mode.SHADOW:
        return 0
    senders = _senders(connection, study_instance_uid, version)
    for destination in settings.destinations:
        wanted = [item for item in made if takes(destination, item.kind, item.finding)]
        if wanted and wants(destination, senders):
            new = [item for item in wanted if _plan(connection, item, destination, now)]
            if new:
                jobs.enqueue_delivery(connection, study_instance_uid, version, destination.name)
    uids = [item.sop_instance_uid for item in made]
    theirs = sa.select(sa.func.count()).select_from(deliveries).where(deliveries.c.sop_instance_uid.in_(uids))
    return connection.execute(theirs).scalar_one()


def wants(destination: Destination, senders: set[str]) -> bool:
    """Tell whether a destination takes results of studies that came from these AE titles."""
    return not destination.only_from or not senders.isdisjoint(destination.only_from)


def takes(destination: Destination, kind: str, finding: str | None) -> bool:
    """Tell whether a destination takes objects of a kind, about a finding where the object is about one alone."""
    wanted = finding is None or destination.findings is None or finding in destination.findings
    return kind in destination.kinds and wanted


def earlier_reports(connection: sa.Connection, study_instance_uid: str, version: int) -> list[Made]:
    """List the reports that a study got before those of a version, oldest first.

    They are what a report's Predecessor Documents Sequence (PS3.3 C.17.2) would name; their rows outlive their files.
    """
    query = (
        sa.select(objects)
        .where(objects.c.study_instance_uid == study_instance_uid, objects.c.version < version, objects.c.kind == "sr")
        .order_by(objects.c.version, objects.c.made)
    )
    return [
        Made(
            row.sop_instance_uid,
            row.sop_class_uid,
            row.series_instance_uid,
            row.kind,
            row.finding,
            row.file,
            row.sha256,
        )
        for row in connection.execute(query)
    ]


def _plan(connection: sa.Connection, item: Made, destination: Destination, now: float) -> bool:
    values = {
        "sop_instance_uid": item.sop_instance_uid,
        "destination": destination.name,
        "state": DeliveryState.DUE.value,
        "tries": 0,
        "due": now,
        "reason": "",
    }
    return insert_once(connection, deliveries, values)


def _senders(connection: sa.Connection, study_instance_uid: str, version: int) -> set[str]:
    query = (
        sa.select(instances.c.calling_ae_title)
        .join(study_instances, study_instances.c.instance == instances.c.id)
        .where(study_instances.c.study_instance_uid == study_instance_uid, study_instances.c.version == version)
    )
    return set(connection.execute(query).scalars())
