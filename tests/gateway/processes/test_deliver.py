"""The process that delivers: a destination that hangs holds back no other, nor the end of the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from gateway.jobs.jobs import Jobs
from gateway.jobs.lease import new_executor_id
from gateway.processes.deliver import deliver
from gateway.settings import Destination, Settings
from gateway.store.database import writing
from gateway.store.mode import set_mode
from gateway.store.schema import deliveries, destinations
from gateway.store.spool import Spool
from gateway.store.states import Mode
from gateway.store.study import Study
from tests.gateway import stalled
from tests.gateway.archive import STUDY, Archive, Sender, running
from tests.gateway.conftest import Clock
from tests.gateway.stalled import PATIENCE_S, stalling

STUDIES = 9
"""More than are sent to one destination at once."""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never comes"
        time.sleep(0.05)


@contextmanager
def delivering(sender: Sender, ports: dict[str, int], timeout_s: float) -> Iterator[None]:
    """Let the process run with a report of each study for each destination; the first destination's jobs come first."""
    sender.clock.time = 0.0  # all is due
    peers = [Destination(name=name, ae_title="ARCHIVE", host="127.0.0.1", port=port) for name, port in ports.items()]
    settings = sender.with_deliver(timeout_s=timeout_s).settings.model_copy(update={"destinations": tuple(peers)})
    jobs = Jobs(sender.database, settings, new_executor_id())
    studies = [sender.study(uid=f"{STUDY[:50]}.{100 + number}") for number in range(STUDIES)]
    uids = {study: sender.result("sr", study=study, due=False) for study in studies}
    for name in ports:
        for study, uid in uids.items():
            row = {"sop_instance_uid": uid, "destination": name, "state": "due", "due": 0.0, "tries": 0, "reason": ""}
            with writing(sender.database) as connection:
                connection.execute(deliveries.insert().values(row))
                jobs.enqueue_delivery(connection, Study(study, 1), name)
    jobs.stop()
    stopping = threading.Event()
    arguments = (settings, sender.database, sender.spool, stopping)
    thread = threading.Thread(target=deliver, args=arguments, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive(), "it does not stop"


@pytest.mark.parametrize("name", ["HALF_ACCEPT", "STOPS_READING", "HALF_ANSWER"])
def test_a_destination_that_hangs_holds_back_neither_another_nor_the_end(
    settings: Settings, database: sa.Engine, spool: Spool, clock: Clock, name: str
) -> None:
    """Its time-outs are longer than the test waits, so only lanes and the end of the process help."""
    with running(Archive()) as archive, stalling(archive.port, getattr(stalled, name)) as peer:
        if name == "STOPS_READING":
            peer.stall = stalled.Stall(reads=200)
        with running(Archive()) as healthy:
            sender = Sender(settings, database, spool, clock)
            with delivering(sender, {"hanging": peer.port, "healthy": healthy.port}, 20 * PATIENCE_S):
                for _ in range(4):
                    assert peer.calls.acquire(timeout=PATIENCE_S)
                wait_until(lambda: len(healthy.received) == STUDIES)
    assert sender.column(deliveries.c.state, deliveries.c.destination == "hanging") == ["due"] * STUDIES


def test_shadow_ends_an_object_that_is_under_way(
    settings: Settings, database: sa.Engine, spool: Spool, clock: Clock
) -> None:
    """The destination never answers, and no time-out comes while the test waits."""
    with running(Archive()) as archive, stalling(archive.port, stalled.NO_ANSWER) as peer:
        sender = Sender(settings, database, spool, clock)
        with delivering(sender, {"hanging": peer.port}, 20 * PATIENCE_S):
            wait_until(lambda: len(archive.received) == 4)
            set_mode(database, Mode.SHADOW, "ann", 0.0)
            wait_until(lambda: sum(map(bool, sender.column(deliveries.c.reason))) == 4)
    assert len(archive.received) == 4
    assert sender.column(deliveries.c.state) == ["due"] * STUDIES
    assert sender.column(destinations.c.failures) == []  # it is not the destination's fault


def test_a_destination_that_never_accepts_opens_its_breaker_alone(
    settings: Settings, database: sa.Engine, spool: Spool, clock: Clock
) -> None:
    with running(Archive()) as healthy, stalling(healthy.port, stalled.HALF_ACCEPT) as peer:
        sender = Sender(settings, database, spool, clock)
        with delivering(sender, {"hanging": peer.port, "healthy": healthy.port}, 0.3):
            hanging = destinations.c.name == "hanging"
            wait_until(lambda: any(sender.column(destinations.c.open_until, hanging)))
            wait_until(lambda: len(healthy.received) == STUDIES)
    assert sender.column(destinations.c.failures, destinations.c.name == "healthy") == [0]
