"""Storage commitment reports: what an archive has taken the responsibility for, and what not (DICOM PS3.4 annex J).

The request is :mod:`gateway.deliver.commitment_request`'s. The report may come on its association, on a new one to our
receiver, or after a crash, so nothing is kept in memory. What it calls failed is due again; what it does not mention is
asked for again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

import sqlalchemy as sa
from pydicom import Dataset

from candor.dicom.shared.attributes import items
from gateway.logs import log_event
from gateway.store.counters import count
from gateway.store.database import writing
from gateway.store.schema import commitments, deliveries
from gateway.store.states import DeliveryState


@unique
class FailureReason(Enum):
    """Failure Reason (0008,1197) of a report.

    Parameters
    ----------
    code
        The reason itself.
    meaning
        What it means, in words.
    helps
        Whether sending again can help.
    """

    PROCESSING_FAILURE = (0x0110, "processing failure", True)
    NO_SUCH_INSTANCE = (0x0112, "no such object instance", True)
    RESOURCE_LIMITATION = (0x0213, "resource limitation", True)
    CLASS_NOT_SUPPORTED = (0x0122, "referenced SOP class not supported", False)
    CLASS_INSTANCE_CONFLICT = (0x0119, "class and instance conflict", False)
    DUPLICATE_TRANSACTION = (0x0131, "duplicate transaction UID", True)

    def __init__(self, code: int, meaning: str, helps: bool) -> None:
        self.code = code
        self.meaning = meaning
        self.helps = helps

    @classmethod
    def of(cls, code: int) -> FailureReason:
        """Find a reason by its code; one that PS3.3 C.14.1.1 does not know is a processing failure."""
        return next((reason for reason in cls if reason.code == code), cls.PROCESSING_FAILURE)


@dataclass(frozen=True, slots=True)
class Report:
    """What an N-EVENT-REPORT says (PS3.4 J.3.3): SOP Instance UIDs that are safe, and those that are not."""

    transaction_uid: str
    committed: frozenset[str]
    failed: dict[str, FailureReason]

    @classmethod
    def read(cls, information: Dataset) -> Report:
        """Read the event information.

        Raises
        ------
        AttributeError, TypeError, ValueError
            It has not what a report must have.
        """
        return cls(
            transaction_uid=str(information.TransactionUID),
            committed=frozenset(
                str(item.ReferencedSOPInstanceUID) for item in items(information, "ReferencedSOPSequence")
            ),
            failed={
                str(item.ReferencedSOPInstanceUID): FailureReason.of(int(item.FailureReason))
                for item in items(information, "FailedSOPSequence")
            },
        )


def take(database: sa.Engine, event_type: int, information: Dataset, now: float) -> None:
    """Take a report, on whichever association it came; the same one again changes nothing.

    Parameters
    ----------
    database
        The node's database.
    event_type
        1: all is safe; 2: something is not (PS3.4 J.3.3). The lists of instances say it too, and count.
    information
        The event information.
    now
        Seconds since 1970.

    Raises
    ------
    AttributeError, TypeError, ValueError
        The report is malformed.
    sqlalchemy.exc.SQLAlchemyError
        The report cannot be written: the archive must not think that we know.
    """
    report = Report.read(information)
    with writing(database) as connection:
        asked = commitments.c.transaction_uid == report.transaction_uid
        row = connection.execute(sa.select(commitments).where(asked)).one_or_none()
        if row is None:
            log_event("commitment report for a transaction that is not ours", "warning")
            return
        connection.execute(commitments.update().where(asked).values(answered=now))
        for uid in sorted(report.committed.intersection(row.sop_instance_uids)):
            _commit(connection, row.destination, uid, now)
        for uid in sorted(report.failed.keys() & set(row.sop_instance_uids)):
            _fail(connection, row.destination, uid, report, now)
        count(connection, "commitment_reports_total", destination=row.destination, event=str(event_type))
    log_event("commitment report taken", destination=row.destination, count=len(report.committed))


def _commit(connection: sa.Connection, destination: str, uid: str, now: float) -> None:
    sent = _delivery(destination, uid, DeliveryState.SENT)
    values = {"state": DeliveryState.COMMITTED.value, "committed": now, "reason": ""}
    connection.execute(deliveries.update().where(sent).values(values))


def _fail(connection: sa.Connection, destination: str, uid: str, report: Report, now: float) -> None:
    """Make an instance due again, or give it up; a late report of an earlier transaction decides nothing."""
    reason = report.failed[uid]
    state = DeliveryState.DUE if reason.helps else DeliveryState.DEAD
    sent = _delivery(destination, uid, DeliveryState.SENT)
    current = deliveries.c.transaction_uid == report.transaction_uid
    said = f"not committed to: {reason.meaning} (0x{reason.code:04X})"
    connection.execute(deliveries.update().where(sent, current).values(state=state.value, due=now, reason=said))


def _delivery(destination: str, uid: str, state: DeliveryState) -> sa.ColumnElement[bool]:
    return sa.and_(
        deliveries.c.destination == destination,
        deliveries.c.sop_instance_uid == uid,
        deliveries.c.state == state.value,
    )
