"""PDUs from a hostile network: bounded in length and in time, and streamed where they hold an image.

pynetdicom takes a PDU apart in seven copies. While the data set of a C-STORE is under way, its fragments go from one
buffer to the disk here; everything else, and everything odd, is left to pynetdicom.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from candor.dicom.read.file import MALFORMED
from candor.study.errors import CandorError
from gateway.logs import log_event
from gateway.receive.stream import ENDLESS, Incoming, StreamingDimse

MAXIMUM_PDU: Final = 1 << 20
"""Bytes of a PDU (PS3.8 D.1.1); above this nothing gets faster, and DCMTK sends an eighth of it at most."""

_ABORT: Final = bytes.fromhex("07000000000400000201")
"""A-ABORT (PS3.8 9.3.8) by the service provider: unrecognised PDU."""

_HEADER: Final = struct.Struct(">BBL")
_ITEM: Final = struct.Struct(">LBB")
_ASSOCIATE_RQ: Final = 0x01
_P_DATA_TF: Final = 0x04
_CLOSED: Final = "Evt17"
"""PS3.8 9.2.3: the transport connection is closed."""

_COMMAND, _LAST = 0x01, 0x02
"""Bits of a message control header (PS3.8 E.2)."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a peer may take.

    Parameters
    ----------
    grace_s
        The setting ``receive.idle_timeout_s``.
    rate
        The setting ``receive.min_rate_kib_s``, in bytes a second.
    """

    grace_s: float
    rate: float


class BoundedSocket(AssociationSocket):
    """Reads and sends PDUs of a bounded length, in a bounded time.

    What is read has time until a deadline. Each byte that comes moves it, by the time that a byte takes at the lowest
    rate, and never farther than the grace from now. So a pause of the grace is allowed, and a peer that drips bytes or
    PDUs ends its connection, however much it has sent before.

    Parameters
    ----------
    association
        Whose connection this is.
    connection
        The accepted socket.
    peer
        Its address.
    begun
        What has been read from the connection already.
    timing
        How long the peer may take.
    """

    def __init__(
        self, association: Association, connection: socket.socket, peer: str, begun: bytes, timing: Timing
    ) -> None:
        super().__init__(association, client_socket=connection)
        self._peer, self._unread, self._timing = peer, begun, timing
        self.begin()

    @property
    def ready(self) -> bool:
        """Whether there is something to read."""
        return bool(self._unread) or super().ready

    def begin(self) -> None:
        """Give the peer the whole grace again: it is about to send a message, or a PDU outside of messages."""
        self._deadline = time.monotonic() + self._timing.grace_s

    def recv(self, nr_bytes: int) -> bytearray:
        """Read ``nr_bytes``, or less where the peer ends the connection.

        Raises
        ------
        OSError
            More is announced than we take, or it does not come in time: pynetdicom ends the association.
        """
        received = bytearray(min(nr_bytes, MAXIMUM_PDU + 1))
        count = self.recv_into(memoryview(received))
        return received[:count]

    def unread(self, data: bytes) -> None:
        """Let the next to read begin with ``data``."""
        self._unread = data + self._unread

    def recv_into(self, view: memoryview) -> int:
        """Fill ``view``, as :meth:`recv` does; returns how much of it."""
        if len(view) > MAXIMUM_PDU:
            reason = "the PDU is longer than was negotiated"
            log_event("connection ended", "warning", peer=self._peer, reason=reason)
            raise OSError(reason)
        if self.socket is None:
            raise OSError("the connection is closed")
        count = len(begun := self._unread[: len(view)])
        view[:count], self._unread = begun, self._unread[count:]
        try:
            while count < len(view):
                more = receive_before(self._deadline, self.socket, view[count:])
                if not more:
                    break
                count += more
                latest = time.monotonic() + self._timing.grace_s
                self._deadline = min(self._deadline + more / self._timing.rate, latest)
        except TimeoutError:
            reason = "the PDU does not come in time"
            log_event("connection ended", "warning", peer=self._peer, reason=reason)
            raise
        return count

    def send(self, bytestream: bytes) -> None:
        """Send a PDU; a peer that does not read it in time ends its association."""
        deadline = time.monotonic() + self._timing.grace_s
        left = memoryview(bytestream)
        try:
            while left:
                if self.socket is None:
                    raise OSError("the connection is closed")
                self.socket.settimeout(_left(deadline))
                left = left[self.socket.send(left) :]
        except OSError as error:
            if isinstance(error, TimeoutError):
                log_event("connection ended", "warning", peer=self._peer, reason="the peer does not read its answers")
            self.hang_up()
            self.event_queue.put(_CLOSED)

    def hang_up(self) -> None:
        """End the connection; whoever reads from it learns that it has ended."""
        if self.socket is not None:
            with suppress(OSError):  # the peer was faster
                self.socket.shutdown(socket.SHUT_RDWR)

    def end_reading(self) -> None:
        """Read nothing more: the connection ends when the answers that are under way are out."""
        if self.socket is not None:
            with suppress(OSError):  # the peer was faster
                socket.socket.shutdown(self.socket, socket.SHUT_RD)  # TLS would give up its keys

    def close(self) -> None:
        """Close the connection, and wake an association that still waits for its request.

        pynetdicom rejects a request of another protocol version without telling the association's thread, which would
        wait out its time-out and keep its place.
        """
        super().close()
        if self.assoc.requestor.primitive is None:
            waiting: Any = self.assoc.dul.to_user_queue
            waiting.put(None)


def _left(deadline: float) -> float:
    """Return the seconds until a deadline.

    Raises
    ------
    TimeoutError
        It has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the peer takes too long")
    return left


def receive_before(deadline: float, connection: socket.socket, view: memoryview) -> int:
    """Read once from a connection, before a deadline.

    Parameters
    ----------
    deadline
        On the monotonic clock.
    connection
        To read from; its time-out is changed.
    view
        Where the bytes go.

    Returns
    -------
    How many bytes came; 0 where the peer has ended the connection.

    Raises
    ------
    OSError
        The connection is broken; a TimeoutError where the deadline passes.
    """
    connection.settimeout(_left(deadline))
    return connection.recv_into(view)


def read_request(connection: socket.socket, deadline: float) -> bytes:
    """Read the A-ASSOCIATE-RQ that a connection has to begin with.

    pynetdicom has no part in it: a peer that sends nothing, or anything else, costs no association and no place of one.

    Parameters
    ----------
    connection
        The accepted socket; its time-out is changed.
    deadline
        By when all of it has to be here, on the monotonic clock.

    Raises
    ------
    NotRequested
        It is not one, or it does not come in time.
    """
    header = _read(connection, _HEADER.size, deadline)
    kind, _, length = _HEADER.unpack(header)
    if kind != _ASSOCIATE_RQ:
        raise NotRequested("it did not begin with an A-ASSOCIATE-RQ", _ABORT)
    if length > MAXIMUM_PDU:
        raise NotRequested("its A-ASSOCIATE-RQ is too long", _ABORT)
    pdu = header + _read(connection, length, deadline)
    try:
        request = A_ASSOCIATE_RQ()
        request.decode(pdu)
        request.to_primitive()
    except (*MALFORMED, CandorError):
        raise NotRequested("its A-ASSOCIATE-RQ cannot be read", _ABORT) from None
    return pdu


class NotRequested(Exception):
    """A connection asked for no association.

    Parameters
    ----------
    reason
        For the log.
    answer
        What the peer gets before the connection is closed.
    """

    def __init__(self, reason: str, answer: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer


def _read(connection: socket.socket, length: int, deadline: float) -> bytes:
    content = bytearray(length)
    count = 0
    while count < length:
        try:
            more = receive_before(deadline, connection, memoryview(content)[count:])
        except TimeoutError:
            raise NotRequested("it asked for no association in time") from None
        except OSError:
            more = 0
        if not more:
            raise NotRequested("it asked for no association")
        count += more
    return bytes(content)


class StreamingReader:
    """Stands in for ``DULServiceProvider._read_pdu_data``.

    Parameters
    ----------
    dimse
        Knows whether a data set is under way.
    connection
        To read from.
    read
        pynetdicom's own way.
    """

    def __init__(self, dimse: StreamingDimse, connection: BoundedSocket, read: Callable[[], None]) -> None:
        self._dimse, self._connection, self._read = dimse, connection, read
        self._buffer = memoryview(bytearray(_HEADER.size + MAXIMUM_PDU))

    def __call__(self) -> None:
        """Read one PDU, or all that are left of a data set."""
        if self._dimse.message is None:
            self._connection.begin()
        if self._dimse.storing is None:
            self._read()
            return
        looks_for_messages = self._dimse.assoc._reactor_checkpoint
        looks_for_messages.clear()  # there is none before this one is whole
        try:
            while (incoming := self._dimse.storing) is not None:
                if not self._stream(incoming):
                    self._read()
                    return
        except OSError:
            self._dimse.dul.event_queue.put(_CLOSED)
        finally:
            looks_for_messages.set()

    def _stream(self, incoming: Incoming) -> bool:
        """Take one PDU of a data set; False where it is anything else, which then is unread."""
        end = self._connection.recv_into(self._buffer[: _HEADER.size])
        if end == _HEADER.size:
            kind, _, length = _HEADER.unpack(self._buffer[:end])
            if kind == _P_DATA_TF and length <= MAXIMUM_PDU:
                end += self._connection.recv_into(self._buffer[end : end + length])
        items = _data(self._buffer[:end])
        if not items:
            self._connection.unread(bytes(self._buffer[:end]))
            return False
        self._dimse.dul._idle_timer.restart()
        for context, control, data in items:
            incoming.write(data)
            if incoming.is_endless:
                log_event("connection ended", "warning", reason=ENDLESS)
                raise OSError(ENDLESS)
            if control & _LAST:
                self._complete(context, control)
        return True

    def _complete(self, context: int, control: int) -> None:
        """Let pynetdicom see the end of the data set, as an empty last fragment."""
        end = P_DATA()
        end.presentation_data_value_list = [[context, bytes([control])]]  # type: ignore[list-item]
        self._dimse.receive_primitive(end)


def _data(pdu: memoryview) -> list[tuple[int, int, memoryview]]:
    """Take the fragments of a data set out of a P-DATA-TF (PS3.8 9.3.5): context, control header, fragment.

    Returns
    -------
    [] for any other PDU, for one that is not whole, and for one with a fragment of a command.
    """
    if len(pdu) < _HEADER.size or pdu[0] != _P_DATA_TF or len(pdu) != _HEADER.size + _HEADER.unpack(pdu[:6])[2]:
        return []
    items: list[tuple[int, int, memoryview]] = []
    body = pdu[_HEADER.size :]
    while body:
        length, context, control = _ITEM.unpack(body[: _ITEM.size]) if len(body) >= _ITEM.size else (0, 0, 0)
        if length < 2 or length + 4 > len(body) or control & _COMMAND:
            return []
        items.append((context, control, body[_ITEM.size : length + 4]))
        body = body[length + 4 :]
    return items
