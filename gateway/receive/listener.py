"""pynetdicom's server with limits for a hostile network.

Its own server makes the TLS handshake in the thread that accepts, waits without end for the rest of a PDU, and gives a
PDU the memory that the PDU asks for. Here

- an address that no caller may use is closed before a byte is read;
- handshakes are made in a connection's own thread, and time out;
- a PDU is at most :data:`gateway.receive.bounded_pdu.MAXIMUM_PDU` long, and has to be here within the idle time-out;
- connections that ask for no association are counted, and those over twice ``max_associations`` are closed at once.

Written against pynetdicom 3.0: ``tests/gateway/receive/test_listener.py`` fails where another version does these things
otherwise.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from socketserver import BaseServer
from typing import Any, Final

from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from gateway.logs import log_event
from gateway.receive.bounded_pdu import BoundedSocket, StreamingReader
from gateway.receive.callers import Callers
from gateway.receive.stream import Limits, StreamingDimse

_config.LOG_HANDLER_LEVEL = "none"  # pynetdicom would put whole messages into words, for nobody

_ENDING: Final = 8
"""Connections beyond those: a rejected peer takes a moment to hang up."""


class BoundedHandler(RequestHandler):
    """Runs one association from its connection to its end, and leaves nothing of it."""

    server: BoundedServer

    def handle(self) -> None:
        """Run the association."""
        association = self._create_association()
        dimse = StreamingDimse(association, self.server.limits)
        association.dimse = dimse
        association.dul.socket = None
        # pynetdicom's own socket has announced the connection to the state machine; the one in its place does so too.
        association.dul.event_queue.get_nowait()
        connection = BoundedSocket(association, self.request, self.client_address[0])
        association.set_socket(connection)
        read = association.dul._read_pdu_data
        association.dul._read_pdu_data = StreamingReader(dimse, connection, read)  # type: ignore[method-assign]
        try:
            association.start()
            association.join()
        finally:
            dimse.discard()
            if association.requestor.primitive is None:
                reason = "it asked for no association"
                log_event("connection ended", "warning", peer=self.client_address[0], reason=reason)


class BoundedServer(ThreadedAssociationServer):
    """Listens, and hands each connection that it takes to a thread.

    Parameters
    ----------
    ae
        With its time-outs and its number of associations.
    address
        To listen on.
    contexts
        What is negotiated.
    tls
        None for plain TCP.
    handlers
        pynetdicom's event handlers.
    callers
        Who may connect.
    limits
        For each message.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        ae: ApplicationEntity,
        address: tuple[str, int],
        contexts: list[PresentationContext],
        tls: ssl.SSLContext | None,
        handlers: list[Any],
        callers: Callers,
        limits: Limits,
    ) -> None:
        self.limits = limits
        self._callers = callers
        self._tls = tls
        self._idle_s = ae.network_timeout
        self._most = 2 * ae.maximum_associations + _ENDING
        self._connections = 0
        self._counting = threading.Lock()
        super().__init__(ae, address, ae.ae_title, contexts, None, handlers, BoundedHandler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Decide on a connection by its address and by how many there are."""
        if not self._callers.may_connect(client_address[0]):
            log_event("connection refused", "warning", peer=client_address[0], reason="no caller has this address")
            return False
        if self._connections >= self._most:
            log_event("connection refused", "warning", peer=client_address[0], reason="too many connections are open")
            return False
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, in its own thread, to its end."""
        with self._counting:
            self._connections += 1
        try:
            request.settimeout(self._idle_s)
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self._tls.wrap_socket(request, server_side=True) if self._tls else request
            super().finish_request(connection, client_address)
        finally:
            with self._counting:
                self._connections -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say that a connection failed: nearly always the TLS handshake of a peer without our authorities."""
        kind = type(sys.exception()).__name__
        log_event("connection failed", "warning", peer=client_address[0], kind=kind)

    def shutdown(self) -> None:
        """Take no more connections; those that are there go on."""
        BaseServer.shutdown(self)
        self.server_close()
