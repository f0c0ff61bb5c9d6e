"""pynetdicom's server with limits for a hostile network.

Its own server makes the TLS handshake in the thread that accepts, waits without end for the rest of a PDU, and gives a
PDU the memory that the PDU asks for. Here

- an address that no caller may use is closed before a byte is read;
- handshakes are made in a connection's own thread, and time out;
- an association begins when a valid A-ASSOCIATE-RQ is here; whatever else comes ends the connection at once;
- a PDU is at most :data:`gateway.receive.bounded_pdu.MAXIMUM_PDU` long, and has to come at a lowest rate;
- connections are counted, each address's and all (:mod:`gateway.receive.slots`), and those over the limits are closed
  before a byte is read.

Written against pynetdicom 3.0: ``tests/gateway/receive/test_listener.py`` fails where another version does these things
otherwise.
"""

from __future__ import annotations

import socket
import ssl
import sys
import time
from contextlib import suppress
from socketserver import BaseServer
from typing import Any, Final

from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from gateway.dimse.pynetdicom_races import drop_late_data
from gateway.logs import log_event
from gateway.receive.bounded_pdu import BoundedSocket, NotRequested, StreamingReader, Timing, read_request
from gateway.receive.slots import Slots
from gateway.receive.stream import Limits, StreamingDimse
from gateway.settings import Receive

_config.LOG_HANDLER_LEVEL = "none"  # pynetdicom would put whole messages into words, for nobody

_KIB: Final = 1 << 10


class BoundedHandler(RequestHandler):
    """Runs one association from its connection to its end, and leaves nothing of it."""

    server: BoundedServer

    def handle(self) -> None:
        """Run the association that the A-ASSOCIATE-RQ asks for."""
        begun, self.request = self.request
        association = self._create_association()
        dimse = StreamingDimse(association, self.server.limits)
        association.dimse = dimse
        association.dul.socket = None
        # pynetdicom's own socket has announced the connection to the state machine; the one in its place does so too.
        association.dul.event_queue.get_nowait()
        timing = self.server.timing
        connection = BoundedSocket(association, self.request, self.client_address[0], begun, timing)
        association.set_socket(connection)
        drop_late_data(association)
        read = association.dul._read_pdu_data
        association.dul._read_pdu_data = StreamingReader(dimse, connection, read)  # type: ignore[method-assign]
        try:
            association.start()
            association.join()
        finally:
            dimse.discard()


class BoundedServer(ThreadedAssociationServer):
    """Listens, and hands each connection that it takes to a thread.

    Parameters
    ----------
    ae
        With its time-outs and its number of associations.
    settings
        Where to listen, and how long a peer may take.
    contexts
        What is negotiated.
    tls
        None for plain TCP.
    handlers
        pynetdicom's event handlers.
    slots
        Counts the connections.
    limits
        For each message.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        ae: ApplicationEntity,
        settings: Receive,
        contexts: list[PresentationContext],
        tls: ssl.SSLContext | None,
        handlers: list[Any],
        slots: Slots,
        limits: Limits,
    ) -> None:
        self.limits = limits
        self.timing = Timing(settings.idle_timeout_s, settings.min_rate_kib_s * _KIB)
        self.slots = slots
        self._request_s = settings.associate_timeout_s
        self._tls = tls
        address = (settings.host, settings.port)
        super().__init__(ae, address, ae.ae_title, contexts, None, handlers, BoundedHandler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Take a slot for a connection, or refuse it.

        Parameters
        ----------
        request
            The accepted socket.
        client_address
            Where the peer calls from.
        """
        refusal = self.slots.take(client_address[0])
        if refusal:
            log_event("connection refused", "warning", peer=client_address[0], reason=refusal)
        return not refusal

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection that has a slot, in a thread of its own.

        Parameters
        ----------
        request
            The accepted socket.
        client_address
            Where the peer calls from.
        """
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # there is no thread for it
            self.slots.free(client_address[0])
            raise

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end, and free its slot.

        Parameters
        ----------
        request
            The accepted socket.
        client_address
            Where the peer calls from.
        """
        deadline = time.monotonic() + self._request_s
        connection = request
        try:
            request.settimeout(self._request_s)
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                connection = self._tls.wrap_socket(request, server_side=True)
            begun = read_request(connection, deadline)
            super().finish_request((begun, connection), client_address)
        except NotRequested as ended:
            log_event("connection ended", "warning", peer=client_address[0], reason=ended.reason)
            with suppress(OSError):  # the peer has gone, or does not read
                connection.settimeout(0)
                connection.send(ended.answer)
        finally:
            self.shutdown_request(connection)
            self.slots.free(client_address[0])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log that a connection failed: nearly always the TLS handshake of a peer without our authorities.

        Parameters
        ----------
        request
            The accepted socket.
        client_address
            Where the peer calls from.
        """
        kind = type(sys.exception()).__name__
        log_event("connection failed", "warning", peer=client_address[0], kind=kind)

    def shutdown(self) -> None:
        """Take no more connections; those that are there go on."""
        BaseServer.shutdown(self)
        self.server_close()
