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
from typing import Any, Final

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from gateway.logs import log_event
from gateway.receive.stream import Incoming, StreamingDimse

MAXIMUM_PDU: Final = 1 << 20
"""Bytes of a PDU (PS3.8 D.1.1); above this nothing gets faster, and DCMTK sends an eighth of it at most."""

_HEADER: Final = struct.Struct(">BBL")
_ITEM: Final = struct.Struct(">LBB")
_P_DATA_TF: Final = 0x04
_CLOSED: Final = "Evt17"
"""PS3.8 9.2.3: the transport connection is closed."""

_COMMAND, _LAST = 0x01, 0x02
"""Bits of a message control header (PS3.8 E.2)."""


class BoundedSocket(AssociationSocket):
    """Reads PDUs of a bounded length, in a bounded time.

    Parameters
    ----------
    association
        Whose connection this is.
    connection
        The accepted socket, with its time-out.
    peer
        Its address.
    """

    def __init__(self, association: Association, connection: socket.socket, peer: str) -> None:
        super().__init__(association, client_socket=connection)
        self._patience_s = connection.gettimeout() or 0.0
        self._peer = peer
        self._unread = b""

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
        deadline = time.monotonic() + self._patience_s
        count = len(begun := self._unread[: len(view)])
        view[:count], self._unread = begun, self._unread[count:]
        while count < len(view):
            if time.monotonic() > deadline:
                reason = "the PDU does not come in time"
                log_event("connection ended", "warning", peer=self._peer, reason=reason)
                raise TimeoutError(reason)
            more = self.socket.recv_into(view[count:])
            if not more:
                self._ended()
                break
            count += more
        return count

    def hang_up(self) -> None:
        """End the connection; whoever reads from it learns that it has ended."""
        if self.socket is not None:
            with suppress(OSError):  # the peer was faster
                self.socket.shutdown(socket.SHUT_RDWR)

    def _ended(self) -> None:
        """Let an association that waits for its request know that there will be none.

        pynetdicom would wait out its time-out, and the checks of a load balancer, which connect and hang up, would fill
        all places.
        """
        if self.assoc.requestor.primitive is None:
            waiting: Any = self.assoc.dul.to_user_queue
            waiting.put(None)


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
