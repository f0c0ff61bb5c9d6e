"""The site's webhook: no answer, however slow, holds anything up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.watch.webhook import call

ALARM = {"id": 1, "kind": "disk", "subject": "", "text": "full", "raised": 1.0, "cleared": None}


@contextmanager
def dripping(head: bytes, drip: bytes) -> Iterator[tuple[str, threading.Event]]:
    """A server that answers ``head``, then ``drip`` byte by byte for ever, until its caller has hung up."""
    hung_up = threading.Event()

    def serve(door: socket.socket) -> None:
        connection, _ = door.accept()
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(head)
                while not stop.wait(0.05):
                    connection.sendall(drip)
            except OSError:
                hung_up.set()

    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=serve, args=(door,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}/hook", hung_up
        stop.set()
        thread.join(60)


def test_a_webhook_that_drips_is_left_when_its_time_is_over(caplog: pytest.LogCaptureFixture) -> None:
    with dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x") as (url, hung_up):
        assert not call(url, ALARM, timeout_s=0.5)
        assert hung_up.wait(60)
    assert "webhook cannot be reached" in caplog.text


def test_the_body_of_an_answer_is_not_waited_for() -> None:
    with dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x") as (url, hung_up):
        assert call(url, ALARM)
        assert hung_up.wait(60)
