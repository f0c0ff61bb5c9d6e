"""Peers that stall: a proxy before an archive that passes on so much, and then holds everything or lets it drip."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

PATIENCE_S = 600.0
Result = TypeVar("Result")


def finished(act: Callable[[], Result]) -> Result:
    """What a function returns; fails where it hangs."""
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(act()), daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "it hangs"
    return results[0]


@dataclass
class Stall:
    """What a peer does.

    Parameters
    ----------
    answers
        So many whole PDUs are passed on to the node; None for all.
    then
        So many bytes of the next one; then nothing more.
    drip
        Instead of nothing: a byte at a time.
    reads
        So many bytes are read from the node; None for all.
    pause_s
        Before each piece that is read.
    """

    answers: int | None = None
    then: int = 0
    drip: bool = False
    reads: int | None = None
    pause_s: float = 0.0


SILENT = Stall(answers=0)
HALF_ACCEPT = Stall(answers=0, then=3)
DRIPPING_ACCEPT = Stall(answers=0, drip=True)
NEVER_READS = Stall(answers=0, reads=0)
STOPS_READING = Stall(reads=1 << 17)
NO_ANSWER = Stall(answers=1)
HALF_ANSWER = Stall(answers=1, then=8)
DRIPPING_ANSWER = Stall(answers=1, drip=True)
SLOW = Stall(pause_s=0.002)


class Proxy:
    """Listens on ``port``, and passes on to another port as ``stall`` says."""

    def __init__(self, to: int, stall: Stall) -> None:
        self._to, self.stall = to, stall
        self._over = threading.Event()
        self._held: list[socket.socket] = []
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(64)
        self.port = int(self._socket.getsockname()[1])
        self.calls = threading.Semaphore(0)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        for each in (self._socket, *self._held):
            with suppress(OSError):  # it is not connected
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                node, _ = self._socket.accept()
                archive = socket.create_connection(("127.0.0.1", self._to)) if self._to else socket.socket()
            except OSError:
                return
            self._held += [node, archive]
            self.calls.release()
            if self._to:
                for act in (self._requests, self._answers):
                    threading.Thread(target=self._quietly, args=(act, node, archive), daemon=True).start()

    def _quietly(self, act: Callable[[socket.socket, socket.socket], None], *ends: socket.socket) -> None:
        try:
            act(*ends)
        except OSError:
            for end in ends:
                end.close()

    def _requests(self, node: socket.socket, archive: socket.socket) -> None:
        left = self.stall.reads
        while left is None or left > 0:
            data = node.recv(1 << 14 if left is None else min(left, 1 << 14))
            if not data:
                archive.shutdown(socket.SHUT_WR)
                return
            left = None if left is None else left - len(data)
            time.sleep(self.stall.pause_s)
            archive.sendall(data)

    def _answers(self, node: socket.socket, archive: socket.socket) -> None:
        left = self.stall.answers
        while left is None or left > 0:
            header = _exactly(archive, 6)
            node.sendall(header + _exactly(archive, int.from_bytes(header[2:], "big")))
            left = None if left is None else left - 1
        if self.stall.then:
            node.sendall(_exactly(archive, self.stall.then))
        while self.stall.drip and not self._over.wait(0.3):
            node.sendall(_exactly(archive, 1))


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise OSError("it has ended")
        data += more
    return data


@contextmanager
def stalling(to: int, stall: Stall) -> Iterator[Proxy]:
    """Let a proxy listen."""
    proxy = Proxy(to, stall)
    try:
        yield proxy
    finally:
        proxy.close()
