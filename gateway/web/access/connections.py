"""Limits on connections: how many there may be, in all and from one address, and how long each may take.

They hold before TLS and before HTTP, so that somebody who only connects, or who speaks slowly, keeps nobody else out.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.web.access.addresses import Networks, block_of

HEAD_S: Final = 15.0
"""From the connection, or from the last answer, to the end of a request's headers."""

BODY_S: Final = 60.0
"""From the end of the headers to the end of the body."""

WRITE_S: Final = 60.0
"""For the client to take an answer."""


@dataclass
class Limits:
    """How many connections a port takes, and how many there are.

    Parameters
    ----------
    most
        In all.
    most_of_one
        From one address.
    proxies
        Addresses that speak for many users; only ``most`` counts for them.
    """

    most: int
    most_of_one: int
    proxies: Networks = field(default_factory=lambda: Networks(()))
    open: Counter[str] = field(default_factory=Counter)

    def take(self, address: str) -> bool:
        """Count a new connection from an address; False, and nothing is counted, where it is one too many."""
        block = block_of(address)
        if self.open.total() >= self.most:
            return False
        if self.open[block] >= self.most_of_one and address not in self.proxies:
            return False
        self.open[block] += 1
        return True

    def release(self, address: str) -> None:
        """Forget a connection that was counted."""
        block = block_of(address)
        self.open[block] -= 1
        if not self.open[block]:
            del self.open[block]


class Door(socket.socket):
    """A listening socket that hangs up on each connection beyond its limits.

    Attributes
    ----------
    limits
        Set before the first connection is accepted.
    """

    limits: Limits

    @classmethod
    def open(cls, address: tuple[str, int], limits: Limits) -> Door:
        """Open a port.

        Parameters
        ----------
        address
            Host and port.
        limits
            Of its connections.

        Raises
        ------
        OSError
            It cannot be opened.
        """
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        plain = socket.create_server(address, family=family)
        door = cls(plain.family, plain.type, plain.proto, fileno=plain.detach())
        door.limits = limits
        return door

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept the next connection.

        Raises
        ------
        ConnectionAbortedError
            It was one too many and is closed again; asyncio goes on to the next.
        """
        plain, peer = super().accept()
        if not self.limits.take(peer[0]):
            plain.close()
            raise ConnectionAbortedError("too many connections")
        taken = _Counted(plain.family, plain.type, plain.proto, fileno=plain.detach())
        taken.counted = self.limits, peer[0]
        return taken, peer


class _Counted(socket.socket):
    """A connection that is forgotten by its limits when it is closed."""

    counted: tuple[Limits, str] | None = None

    def close(self) -> None:
        """Close it."""
        if self.counted is not None:
            limits, address = self.counted
            self.counted = None
            limits.release(address)
        super().close()


class Connection(H11Protocol):
    """An HTTP connection on which the client has to get on with it; uvicorn itself limits only idle keep-alive."""

    _phase: str = ""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._enter("head")
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Go on after the client has read."""
        super().resume_writing()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        self._enter("")

    def _watch(self) -> None:
        """Enter the phase in which the connection is now; one that is being closed keeps its deadline."""
        if self.flow.write_paused:
            phase = "write"
        elif self.transport.is_closing():
            return
        else:
            phase = {h11.IDLE: "head", h11.SEND_BODY: "body"}.get(self.conn.their_state, "")
        if phase != self._phase:
            self._enter(phase)

    def _enter(self, phase: str) -> None:
        """Begin a phase: the client has so long, then the connection is cut; "" while it is our turn."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._phase = phase
        if phase:
            seconds = {"head": HEAD_S, "body": BODY_S, "write": WRITE_S}[phase]
            self._deadline = self.loop.call_later(seconds, self.transport.abort)
