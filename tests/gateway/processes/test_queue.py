"""The jobs of a process: whether one takes too long."""

from __future__ import annotations

import threading

from gateway.processes.queue import Busy
from tests.gateway.conftest import Clock


def test_the_heartbeat_stops_while_a_job_takes_too_long(clock: Clock) -> None:
    busy, stopping, beats = Busy(300.0, clock), threading.Event(), threading.Semaphore(0)
    assert not busy.hangs
    with busy.job():
        clock.pass_s(200)
        with busy.job():
            clock.pass_s(101)
            assert busy.hangs
        assert busy.hangs
    assert not busy.hangs
    thread = threading.Thread(target=busy.beat_until, args=(stopping, beats.release, 0.01))
    thread.start()
    assert beats.acquire(timeout=60)
    stopping.set()
    thread.join(60)
    assert not thread.is_alive()
