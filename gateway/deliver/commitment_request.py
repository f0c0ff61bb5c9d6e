"""Ask the destinations that do storage commitment to take responsibility for what they were sent (DICOM PS3.4 annex J).

A transaction is in the tables before it is asked for: a report that is faster than we are, or comes after a crash,
finds what it is about. A request that is not answered for too long is made again, under a new Transaction UID; a late
report of the earlier one counts all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from candor.dicom.read.file import MALFORMED
from candor.files.privacy import name_of
from candor.study.errors import SettingsError
from candor.study.result_object import ResultObject
from gateway.deliver import breaker
from gateway.deliver.commitment import take
from gateway.deliver.stop import Stop
from gateway.dimse.association import NoAssociation, NothingAccepted, Remote, associated
from gateway.dimse.status import Status, explain
from gateway.logs import log_event
from gateway.settings import Destination, Settings
from gateway.store.database import writing
from gateway.store.mode import mode_of
from gateway.store.result_objects import from_row
from gateway.store.schema import commitments, deliveries, objects
from gateway.store.states import DeliveryState, Mode

_AT_ONCE: Final = 200
"""Instances in one transaction."""

_REQUEST: Final = 1  # action type, PS3.4 J.3.2
_DAY_S: Final = 86400.0
_POLL_S: Final = 0.02
_PATIENCE_S: Final = 2.0
"""How long an association is held open for the report; later it comes on one of the archive's own."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One request: the objects that a destination is to take responsibility for."""

    uid: str
    results: tuple[ResultObject, ...]


class Committer:
    """Asks the destinations that do storage commitment about all that they were sent.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    now
        Gives seconds since 1970.
    new_uid
        Makes Transaction UIDs.
    patience_s
        How long an association is held open for the report.
    stop
        Ends all sending at once; nothing is asked for in shadow mode.
    """

    def __init__(
        self,
        database: sa.Engine,
        settings: Settings,
        now: Callable[[], float] = time.time,
        new_uid: Callable[[], str] = lambda: str(generate_uid(prefix=None)),
        patience_s: float = _PATIENCE_S,
        stop: Stop | None = None,
    ) -> None:
        self._database, self._settings, self._now = database, settings, now
        self._new_uid, self._patience_s = new_uid, patience_s
        self._stop = stop or Stop()

    def ask(self) -> int:
        """Ask for what is sent and not asked for, or not answered for too long; returns how many requests went out."""
        committing = [destination for destination in self._settings.destinations if destination.commitment]
        return sum(map(self.ask_one, committing))

    def forget(self) -> int:
        """Delete transactions that are too old for any report to matter; returns how many."""
        old = commitments.c.asked < self._now() - 2 * self._settings.deliver.give_up_d * _DAY_S
        with self._database.connect() as connection:
            if connection.execute(sa.select(commitments.c.transaction_uid).where(old).limit(1)).first() is None:
                return 0
        with writing(self._database) as connection:
            return connection.execute(commitments.delete().where(old)).rowcount

    def ask_one(self, destination: Destination) -> int:
        """Ask one destination, as often as it takes; a failure leaves the rest for the next look."""
        with self._database.connect() as connection:
            if mode_of(connection) is Mode.SHADOW:
                return 0
        self._give_up(destination)
        asked = 0
        while self._any(destination) and not breaker.wait_s(
            self._database, destination.name, self._settings.deliver, self._now()
        ):
            transaction = self._begin(destination)
            if transaction is None or not self._request(destination, transaction):
                break
            asked += 1
        return asked

    def _give_up(self, destination: Destination) -> None:
        late = sa.and_(
            deliveries.c.destination == destination.name,
            deliveries.c.state == DeliveryState.SENT.value,
            deliveries.c.sent < self._now() - self._settings.deliver.give_up_d * _DAY_S,
        )
        with self._database.connect() as connection:
            if connection.execute(sa.select(deliveries.c.sop_instance_uid).where(late).limit(1)).first() is None:
                return
        reason = f"stored, but not committed to within {self._settings.deliver.give_up_d:g} days"
        with writing(self._database) as connection:
            connection.execute(deliveries.update().where(late).values(state=DeliveryState.DEAD.value, reason=reason))

    def _unasked(self, destination: Destination) -> sa.ColumnElement[bool]:
        """Tell which deliveries are to be asked for."""
        long_since = self._now() - self._settings.deliver.commitment_timeout_s
        unheard = sa.select(commitments.c.transaction_uid).where(commitments.c.asked <= long_since)
        return sa.and_(
            deliveries.c.destination == destination.name,
            deliveries.c.state == DeliveryState.SENT.value,
            sa.or_(deliveries.c.transaction_uid.is_(None), deliveries.c.transaction_uid.in_(unheard)),
        )

    def _any(self, destination: Destination) -> bool:
        query = sa.select(deliveries.c.sop_instance_uid).where(self._unasked(destination)).limit(1)
        with self._database.connect() as connection:
            return connection.execute(query).first() is not None

    def _begin(self, destination: Destination) -> Transaction | None:
        """Write a transaction into the tables; None where another process has just asked for everything."""
        uid = self._new_uid()
        unasked = self._unasked(destination)
        mine = sa.and_(deliveries.c.destination == destination.name, deliveries.c.transaction_uid == uid)
        with writing(self._database) as connection:
            some = connection.execute(sa.select(deliveries.c.sop_instance_uid).where(unasked).limit(_AT_ONCE)).scalars()
            chosen = deliveries.c.sop_instance_uid.in_(list(some))
            connection.execute(deliveries.update().where(unasked, chosen).values(transaction_uid=uid))
            found = connection.execute(
                sa.select(objects)
                .join(deliveries, deliveries.c.sop_instance_uid == objects.c.sop_instance_uid)
                .where(mine)
                .order_by(objects.c.sop_instance_uid)
            ).all()
            if not found:
                return None
            values = {
                "transaction_uid": uid,
                "destination": destination.name,
                "sop_instance_uids": [row.sop_instance_uid for row in found],
                "asked": self._now(),
            }
            connection.execute(commitments.insert().values(values))
        return Transaction(uid, tuple(map(from_row, found)))

    def _request(self, destination: Destination, transaction: Transaction) -> bool:
        """Send the request, and wait a little for the report; returns whether it was taken.

        Where nobody answered the call, the request never left, and is forgotten; otherwise the report may still come.
        """
        try:
            with associated(
                Remote.destination(destination),
                self._settings.delivering_ae_title,
                [build_context(StorageCommitmentPushModel)],
                self._settings.deliver.timeout_s,
                [(evt.EVT_N_EVENT_REPORT, self._take)],
                self._stop.for_results,
            ) as association:
                problem = _action(association, transaction)
                if problem is None:
                    self._wait(association, transaction)
        except NothingAccepted:
            problem = "the destination does not offer it; enable it there, or set commitment: false"
        except (NoAssociation, SettingsError) as error:
            self._forget(transaction)
            if not self._stop.for_results():
                breaker.failed(self._database, destination.name, str(error), self._settings.deliver, self._now())
            return False
        if problem is not None:
            log_event("commitment refused", "warning", destination=destination.name, reason=problem)
            breaker.remark(self._database, destination.name, f"storage commitment: {problem}")
            return False
        log_event("commitment asked for", destination=destination.name, count=len(transaction.results))
        return True

    def _take(self, event: evt.Event) -> tuple[int, None]:
        """Take a report that comes on our own association."""
        try:
            take(self._database, event.event_type or 0, event.event_information, self._now())
        except MALFORMED as error:
            log_event("commitment report unreadable", "warning", kind=name_of(error))
            return Status.INVALID_ARGUMENT.code, None
        except sa.exc.SQLAlchemyError as error:
            log_event("commitment report not taken", "error", kind=name_of(error))
            return Status.PROCESSING_FAILURE.code, None
        return Status.SUCCESS.code, None

    def _wait(self, association: Association, transaction: Transaction) -> None:
        """Keep the association until the report has come, here or at the receiver."""
        query = sa.select(commitments.c.answered).where(commitments.c.transaction_uid == transaction.uid)
        deadline = time.monotonic() + self._patience_s
        while association.is_established and time.monotonic() < deadline:
            with self._database.connect() as connection:
                if connection.execute(query).scalar() is not None:
                    return
            time.sleep(_POLL_S)

    def _forget(self, transaction: Transaction) -> None:
        with writing(self._database) as connection:
            asked = deliveries.update().where(deliveries.c.transaction_uid == transaction.uid)
            connection.execute(asked.values(transaction_uid=None))
            connection.execute(commitments.delete().where(commitments.c.transaction_uid == transaction.uid))


def _action(association: Association, transaction: Transaction) -> str | None:
    """Send the N-ACTION; returns what is wrong, None where nothing is."""
    answer, _ = association.send_n_action(
        _information(transaction),
        _REQUEST,
        StorageCommitmentPushModel,
        StorageCommitmentPushModelInstance,
    )
    status = answer.get("Status")
    if status is None:
        return "no answer"
    return None if status == Status.SUCCESS.code else explain(status)


def _information(transaction: Transaction) -> Dataset:
    """Make the action information (PS3.4 table J.3-1)."""
    information = Dataset()
    information.TransactionUID = transaction.uid
    information.ReferencedSOPSequence = [_reference(result) for result in transaction.results]
    return information


def _reference(result: ResultObject) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = result.sop_class_uid, result.sop_instance_uid
    return item
