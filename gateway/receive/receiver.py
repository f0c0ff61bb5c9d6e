"""The receiver: C-ECHO, C-STORE, and the storage commitment reports of the archives that results go to.

A C-STORE is answered with success when, in this order, the file's content, its name and its row in the journal would
outlast a power loss. It decodes nothing and waits for nobody's work.

What is no radiograph is answered with success as well, since many senders give up the rest of a study at the first
object that is refused. It is counted, and dropped or kept for reference (``receive.other_objects``).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association

from candor.dicom.read.file import MALFORMED
from candor.files.privacy import name_of, place_of
from gateway.assess.rejections import Named
from gateway.dimse.contexts import STUDY_IMAGES, class_name, supported_contexts
from gateway.dimse.header import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, Head, read_head
from gateway.dimse.status import NotTaken, Status
from gateway.dimse.tls import server_context
from gateway.logs import log_event
from gateway.receive.bounded_pdu import MAXIMUM_PDU, BoundedSocket
from gateway.receive.callers import Callers, Rejection
from gateway.receive.journal import Journal, Received, senders
from gateway.receive.listener import BoundedServer
from gateway.receive.rejection_note import rejected_by
from gateway.receive.slots import Slots
from gateway.receive.stream import Incoming, Limits, Peer, StreamingDimse
from gateway.settings import Settings
from gateway.store.alarms import AlarmKind, clear_alarm, raise_alarm
from gateway.store.counters import count
from gateway.store.database import writing
from gateway.store.spool import Part, Spool
from gateway.store.states import Priority
from gateway.store.tokens import Tokens

TakeReport = Callable[[sa.Engine, int, Dataset, float], None]
"""What to do with a storage commitment report: event type, event information, seconds since 1970."""

_PRIORITIES: Final = {0: Priority.ROUTINE, 1: Priority.URGENT, 2: Priority.BACKFILL}
"""Of a C-STORE request (PS3.7 9.1.1.1.6): MEDIUM, HIGH, LOW."""

_REPORTS: Final = (1, 2)
"""Event types of storage commitment (PS3.4 J.3.3): all is safe; something is not."""

_POLL_S: Final = 0.05


class Receiver:
    """Takes images until it is stopped.

    Parameters
    ----------
    settings
        All of the node's.
    database
        The database.
    spool
        Where images go.
    tokens
        Make the studies' tokens.
    take_report
        Is given storage commitment reports.
    now
        The clock, in seconds since 1970.
    turned
        Called at each turn of the loop that accepts connections.
    acknowledged
        Called for each image that is acknowledged.

    Raises
    ------
    SettingsError
        The keys for TLS cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        database: sa.Engine,
        spool: Spool,
        tokens: Tokens,
        take_report: TakeReport,
        now: Callable[[], float] = time.time,
        turned: Callable[[], None] = lambda: None,
        acknowledged: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings, self._database, self._spool, self._tokens = settings, database, spool, tokens
        self._take_report, self._now = take_report, now
        self._turned, self._acknowledged = turned, acknowledged
        self._journal = Journal(tokens, settings)
        self._callers = Callers(settings.receive)
        self._slots = Slots(self._callers)
        self._tls = server_context(settings.receive.tls) if settings.receive.tls else None
        self._disk_is_low = False
        self._server: BoundedServer | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        if self._server is None:
            raise RuntimeError("the receiver is not started")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Give rows to files that a crash has left without, then listen, in threads of its own.

        Raises
        ------
        OSError
            The port is taken, or may not be opened.
        """
        self._spool.sweep(self._now())
        self._journal.reconcile(self._database, self._spool)
        clear_alarm(self._database, AlarmKind.DISK, "", self._now())
        for address in senders(self._database, self._callers):
            self._slots.remember(address)
        handlers = [
            (evt.EVT_REQUESTED, self._admit),
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_EVENT_REPORT, self._report),
        ]
        self._server = BoundedServer(
            self._application_entity(),
            self._settings.receive,
            supported_contexts(self._settings.receive.private_classes),
            self._tls,
            handlers,
            self._slots,
            Limits.of(self._settings, self._spool),
        )
        self._server.service_actions = self._turned  # type: ignore[method-assign]  # socketserver's own hook
        threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), daemon=True).start()
        log_event("receiver listens")

    def stop(self, drain_s: float) -> None:
        """Take no new connections, let messages that are on their way finish, and end all associations.

        Parameters
        ----------
        drain_s
            What is not finished by then is not acknowledged, and its sender sends it again.
        """
        if self._server is None:
            return
        self._server.shutdown()
        deadline = time.monotonic() + drain_s
        while open_associations := self._server.active_associations:
            late = time.monotonic() > deadline
            for association in open_associations:
                connection = association.dul.socket
                if isinstance(connection, BoundedSocket) and late:
                    connection.hang_up()
                elif isinstance(connection, BoundedSocket) and not _dimse(association).busy:
                    connection.end_reading()
            time.sleep(_POLL_S)
        log_event("receiver stopped")

    def _application_entity(self) -> ApplicationEntity:
        receive = self._settings.receive
        entity = ApplicationEntity(receive.ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.maximum_associations = sys.maxsize  # counted here, by address
        entity.maximum_pdu_size = MAXIMUM_PDU
        entity.acse_timeout = receive.associate_timeout_s
        entity.dimse_timeout = entity.network_timeout = receive.idle_timeout_s
        return entity

    def _admit(self, event: evt.Event) -> None:
        """Let an association in or reject it; after an error here nothing is taken from it."""
        with _said():
            self._decide(event.assoc)

    def _decide(self, association: Association) -> None:
        request: Any = association.requestor.primitive
        calling, called = request.calling_ae_title.strip(), request.called_ae_title.strip()
        address = _address(association)
        answer = self._callers.admit(calling, called, address, _certificate(association))
        if not isinstance(answer, Rejection) and not self._slots.may_associate(address, self._associations()):
            answer = Rejection.FULL
        if isinstance(answer, Rejection):
            log_event("association refused", "warning", peer=address, reason=answer.reason)
            association.acse.send_reject(answer.result, answer.source, answer.diagnostic)
            association.kill()  # ends when the rejection is sent
            return
        _dimse(association).peer = Peer(answer, calling, called, address)

    def _accepted(self, event: evt.Event) -> None:
        """Open the reserve to the address of a caller on the list."""
        peer = _dimse(event.assoc).peer
        if peer is not None and peer.caller is not None:
            self._slots.remember(peer.address)

    def _associations(self) -> int:
        return len(self._server.active_associations) if self._server else 0

    def _echo(self, event: evt.Event) -> int:
        return Status.SUCCESS.code if _dimse(event.assoc).peer else Status.NOT_AUTHORIZED.code

    def _store(self, event: evt.Event) -> int | Dataset:
        """Answer a C-STORE."""
        request: Any = event.request
        dimse, incoming = _dimse(event.assoc), _incoming(request.DataSet)
        try:
            with _said():
                return self._keep(request, dimse.peer, incoming)
        except NotTaken as refusal:
            return self._refused(dimse.peer, refusal)
        except OSError:
            return self._refused(dimse.peer, NotTaken(Status.OUT_OF_RESOURCES, "the spool cannot be written"))
        except sa.exc.SQLAlchemyError:
            return self._refused(dimse.peer, NotTaken(Status.OUT_OF_RESOURCES, "the journal cannot be written"))
        finally:
            dimse.done(incoming)

    def _keep(self, request: Any, peer: Peer | None, incoming: Incoming) -> int:
        """Make an instance durable, then its row; or ignore what is no radiograph.

        Raises
        ------
        NotTaken
            It is not for us, is none, or is over a limit.
        OSError
            The spool cannot be written.
        sqlalchemy.exc.SQLAlchemyError
            The journal cannot be written. The file stays; another association may have acknowledged the same bytes.
        """
        if peer is None:
            raise NotTaken(Status.NOT_AUTHORIZED, "the association was not admitted")
        if incoming.refusal is not None:
            raise incoming.refusal
        if incoming.dropped:
            return self._ignore(request, peer)
        if incoming.part is None:
            raise NotTaken(Status.CANNOT_UNDERSTAND, "the data set is empty")
        incoming.part.flush()
        try:
            head = read_head(incoming.part.path)
            _check(request, head)
        except NotTaken:
            if request.AffectedSOPClassUID in STUDY_IMAGES:
                raise
            return self._ignore(request, peer)
        named = rejected_by(incoming.part.path, head)
        if not (head.sop_class_uid in STUDY_IMAGES or head.ours or named or self._keeps_others):
            return self._ignore(request, peer)
        return self._record(request, peer, incoming.part, head, named)

    @property
    def _keeps_others(self) -> bool:
        return self._settings.receive.other_objects == "keep"

    def _ignore(self, request: Any, peer: Peer) -> int:
        """Acknowledge an object of which nothing is stored.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError
            It cannot be counted: no image could be taken either.
        """
        name = class_name(request.AffectedSOPClassUID)
        with writing(self._database) as connection:
            count(connection, "objects_ignored_total", sop_class=name)
        log_event("object ignored", sop_class=name, peer=peer.address, ae_title=peer.known_as)
        return Status.SUCCESS.code

    def _record(self, request: Any, peer: Peer, part: Part, head: Head, named: tuple[Named, ...]) -> int:
        """Make an instance durable, then its row; raises as :meth:`_keep`."""
        asked = _asked(peer, int(request.Priority or 0), head)
        stored = self._spool.keep(part)
        sender = (peer.calling_ae_title, peer.called_ae_title, peer.address)
        received = Received(stored, head, self._now(), asked, *sender, named)
        with writing(self._database) as connection:
            new = self._journal.record(connection, received)
            self._spool.put_back(part, stored)
        self._disk_is_fine()
        self._acknowledged()
        token = self._tokens.token(head.study_instance_uid)
        what = "instance received" if new else "instance received again"
        log_event(what, study=token, bytes=stored.bytes, peer=peer.address, ae_title=peer.known_as)
        return Status.SUCCESS.code

    def _refused(self, peer: Peer | None, refusal: NotTaken) -> Dataset:
        """Say why, to the log and to the peer."""
        status = refusal.status
        facts = {"peer": peer.address, "ae_title": peer.known_as} if peer else {}
        log_event("instance refused", "warning", status=status.hexadecimal, reason=refusal.reason, **facts)
        if status is Status.OUT_OF_RESOURCES and not self._disk_is_low:
            self._disk_is_low = True
            self._alarm(f"images are refused with {status.hexadecimal}: {refusal.reason}")
        answer = Dataset()
        answer.Status = status.code
        answer.ErrorComment = refusal.reason[:64]
        return answer

    def _alarm(self, text: str) -> None:
        try:
            raise_alarm(self._database, AlarmKind.DISK, "", text, self._now())
        except sa.exc.SQLAlchemyError as error:  # when the database is what fails
            log_event("alarm cannot be written", "error", kind=name_of(error))

    def _disk_is_fine(self) -> None:
        if self._disk_is_low:
            self._disk_is_low = False
            clear_alarm(self._database, AlarmKind.DISK, "", self._now())

    def _report(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """Take a storage commitment report."""
        request: Any = event.request
        dimse, incoming = _dimse(event.assoc), _incoming(request.EventInformation)
        try:
            with _said():
                return self._reported(event, dimse.peer, incoming).code, None
        except MALFORMED as error:
            log_event("commitment report unreadable", "warning", kind=name_of(error))
            return Status.INVALID_ARGUMENT.code, None
        except sa.exc.SQLAlchemyError as error:
            log_event("commitment report not taken", "error", kind=name_of(error))
            return Status.PROCESSING_FAILURE.code, None
        finally:
            dimse.done(incoming)

    def _reported(self, event: evt.Event, peer: Peer | None, incoming: Incoming) -> Status:
        if peer is None:
            return Status.NOT_AUTHORIZED
        if incoming.refusal is not None:
            return incoming.refusal.status
        if event.event_type not in _REPORTS:
            return Status.NO_SUCH_EVENT_TYPE
        self._take_report(self._database, event.event_type, event.event_information, self._now())
        return Status.SUCCESS


@contextmanager
def _said() -> Iterator[None]:
    """Log the kind and the place of an error, never its text; pynetdicom, which answers for us then, logs nothing."""
    try:
        yield
    except NotTaken:
        raise
    except Exception as error:
        log_event("error while receiving", "error", kind=name_of(error), where=place_of(error))
        raise


def _dimse(association: Association) -> StreamingDimse:
    """Return the association's message provider, which is always ours."""
    dimse = association.dimse
    if not isinstance(dimse, StreamingDimse):
        raise TypeError("an association was made without our message provider")
    return dimse


def _incoming(data_set: object) -> Incoming:
    """Return the data set of a message, which is always ours to write to."""
    if not isinstance(data_set, Incoming):
        raise TypeError("a message was gathered without our message provider")
    return data_set


def _address(association: Association) -> str:
    """Return where the peer calls from."""
    info = association.requestor.address_info
    return str(info.address) if info else ""


def _certificate(association: Association) -> bytes | None:
    """Return the peer's certificate as DER; None without TLS."""
    wrapper: Any = association.dul.socket
    shown = getattr(wrapper.socket, "getpeercert", None)
    return shown(binary_form=True) if shown else None


def _check(request: Any, head: Head) -> None:
    """Refuse an object under another's name.

    Raises
    ------
    NotTaken
        ``DOES_NOT_MATCH``.
    """
    if head.sop_class_uid != request.AffectedSOPClassUID:
        raise NotTaken(Status.DOES_NOT_MATCH, "the SOP Class UIDs of request and data set differ")
    if head.sop_instance_uid != request.AffectedSOPInstanceUID:
        raise NotTaken(Status.DOES_NOT_MATCH, "the SOP Instance UIDs of request and data set differ")


def _asked(peer: Peer, priority: int, head: Head) -> Priority:
    """Find the priority that an image asks for: the caller's rule, the request in the image, or the C-STORE."""
    if peer.caller is not None and peer.caller.priority is not None:
        return Priority[peer.caller.priority.upper()]
    return Priority.URGENT if head.urgent else _PRIORITIES.get(priority, Priority.ROUTINE)
