"""A limit by the clock for each association that we open, and a way to end it at once.

pynetdicom has time-outs, but after each of them it waits for the thread that owns the socket, and that thread waits
for the peer without limit. Here a thread beside each association shuts its connection when the time is over, or when
sending is stopped. That wakes the thread, whatever it waits for: the TLS handshake, half a PDU, room to send.
"""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation

IsStopped = Callable[[], bool]

_LOOK_S: Final = 0.1
STOPPED: Final = "sending was stopped"


def never() -> bool:
    """Return False: nothing stops the association."""
    return False


class Watch:
    """Ends an association that takes too long, or that is to stop. Used as a context: it looks until the end.

    Parameters
    ----------
    timeout_s
        Longest wait for a connection, and for an answer.
    is_stopped
        Returns whether the association is to end at once.
    """

    def __init__(self, timeout_s: float, is_stopped: IsStopped = never) -> None:
        self._timeout_s, self._is_stopped = timeout_s, is_stopped
        self._deadline = math.inf
        self._association: Association | None = None
        self._over = threading.Event()
        self.reason = ""
        """Why the association was ended; "" where it was not."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, name="association watch", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self.reason and self._association is not None:
            self._cut(self._association)
            self._association.kill()
            connection = self._association.dul.socket
            if connection is not None and connection.socket is not None:
                connection.socket.close()

    def opening(self, event: evt.Event) -> None:
        """Begin with an association that is asked for: the handler of pynetdicom's ``EVT_REQUESTED``."""
        self._association = event.assoc

    def allow(self) -> None:
        """Set the limit anew, for what begins now: to open or to end the association, to write a piece, to be answered.

        What the peer sends never sets it anew.
        """
        self._deadline = time.monotonic() + 2 * self._timeout_s

    def _run(self) -> None:
        while not self._over.wait(_LOOK_S):
            if not self.reason:
                self.reason = self._problem()
            if self.reason and self._association is not None:
                self._cut(self._association)  # again and again: it may have been about to begin something

    def _problem(self) -> str:
        if self._is_stopped():
            return STOPPED
        return "does not answer in time" if time.monotonic() > self._deadline else ""

    @staticmethod
    def _cut(association: Association) -> None:
        """Shut the connection, stop the thread that owns it, and wake whoever waits for that thread."""
        dul: Any = association.dul
        if dul.socket is not None:
            if dul.socket.socket is not None:
                with suppress(OSError):  # it is not connected yet, or not any more
                    socket.socket.shutdown(dul.socket.socket, socket.SHUT_RDWR)  # TLS would say goodbye first
            dul.socket._ready.set()
        dul.kill_dul()
        dul.to_user_queue.put(None)
        association.dimse.msg_queue.put((None, None))


_lock: Final = threading.Lock()
_pending: Final[dict[str, Future[str]]] = {}


def address_of(host: str, timeout_s: float) -> str:
    """Return the IP address of a host.

    The system's resolver has no time-out of ours, so it runs in a thread that is left behind when it takes too long;
    of each name there is one at a time.

    Parameters
    ----------
    host
        A name or an address.
    timeout_s
        Longest wait, in seconds.

    Raises
    ------
    OSError
        There is no such host, or the resolver takes too long.
    """
    with _lock:
        found = _pending.get(host)
        if found is None:
            found = _pending[host] = Future()
            threading.Thread(target=_look_up, args=(host, found), name="resolver", daemon=True).start()
    return found.result(timeout_s)


def _look_up(host: str, found: Future[str]) -> None:
    try:
        found.set_result(AddressInformation(host, 0).address)
    except (OSError, UnicodeError) as error:
        found.set_exception(OSError(str(error)))
    finally:
        with _lock:
            del _pending[host]
