"""Jobs and leases: queued with their transaction, done in their order, taken over from the dead."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer

from gateway.jobs.jobs import DELIVERIES, STUDIES, Jobs
from gateway.jobs.lease import Lease, live_executors, new_executor_id
from gateway.settings import Settings
from gateway.store import schema
from gateway.store.database import writing
from gateway.store.states import Priority
from gateway.store.study import Study
from tests.gateway.conftest import Clock
from tests.gateway.network import image
from tests.gateway.node import Node


@pytest.fixture
def node(either: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(either, clock)
    yield node
    node.close()


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "nothing happened"
        time.sleep(0.01)


def enqueue(node: Node, uid: str, priority: Priority = Priority.ROUTINE) -> str:
    with writing(node.database) as connection:
        return node.jobs.enqueue_study(connection, Study(uid, 1), priority)


def test_a_job_is_queued_with_its_transaction_or_not_at_all(node: Node) -> None:
    uid = node.receive(image("a"))

    class Undone(Exception):
        pass

    def undone() -> None:
        with writing(node.database) as connection:
            node.jobs.enqueue_study(connection, Study(uid, 1), Priority.ROUTINE)
            raise Undone

    with pytest.raises(Undone):
        undone()
    assert node.jobs.under_way(STUDIES) == []
    assert node.study(uid).jobs == 0
    token = node.tokens.token(uid)
    assert enqueue(node, uid) == f"study:{token}:1:1"
    assert enqueue(node, uid) == f"study:{token}:1:2"
    assert sorted(node.jobs.under_way(STUDIES)) == [f"study:{token}:1:1", f"study:{token}:1:2"]


def test_the_same_attempt_at_a_delivery_is_one_job(node: Node) -> None:
    uid = node.receive(image("a"))
    with writing(node.database) as connection:
        for attempt, occasion in ((0, ""), (0, ""), (1, ""), (0, "again")):
            node.jobs.enqueue_delivery(connection, Study(uid, 1), "pacs", attempt, 60.0, occasion)
    start = f"deliver:{node.tokens.token(uid)}:1:pacs"
    assert sorted(node.jobs.under_way(DELIVERIES)) == [f"{start}:0", f"{start}:0:again", f"{start}:1"]


def test_jobs_hold_uids_as_json_and_nothing_else(node: Node) -> None:
    uid = node.receive(image("a"))
    enqueue(node, uid)
    client = DBOSClient(system_database_url=node.settings.database, serializer=DBOSPortableJSONSerializer())
    (job,) = client.list_workflows()
    assert job.input == {"args": (uid, 1), "kwargs": {}}
    assert job.app_version == "1"
    table = "workflow_status" if node.database.dialect.name == "sqlite" else "dbos.workflow_status"
    assert node.rows(sa.text(f"SELECT serialization FROM {table}")) == [("portable_json",)]
    client.destroy()


def test_studies_run_one_at_a_time_the_urgent_ones_first(node: Node) -> None:
    uids = [node.receive(image(seed)) for seed in "abcd"]
    for uid, priority in zip(
        uids, (Priority.BACKFILL, Priority.ROUTINE, Priority.URGENT, Priority.ROUTINE), strict=True
    ):
        enqueue(node, uid, priority)
    done: list[str] = []
    at_once: list[int] = []
    running = threading.Semaphore(1)

    def assess(study: Study) -> None:
        at_once.append(running.acquire(blocking=False))
        time.sleep(0.02)
        done.append(study.study_instance_uid)
        running.release()

    node.jobs.run_studies(assess)
    wait_for(lambda: len(done) == 4)
    assert done == [uids[2], uids[1], uids[3], uids[0]]
    assert all(at_once)


def test_a_failed_job_holds_nothing_up_and_tells_no_more_than_its_place(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    uids = [node.receive(image(seed)) for seed in "ab"]
    for uid in uids:
        enqueue(node, uid)
    done: list[str] = []

    def assess(study: Study) -> None:
        if study == Study(uids[0], 1):
            raise ValueError("CANARY^PATIENT")
        done.append(study.study_instance_uid)

    with caplog.at_level(logging.DEBUG):
        node.jobs.run_studies(assess)
        wait_for(lambda: done and node.jobs.broken())
    assert node.jobs.broken() == [f"study:{node.tokens.token(uids[0])}:1:1"]
    failed = [record for record in caplog.records if record.getMessage() == "job failed"]
    assert failed[0].__dict__["facts"]["kind"] == "ValueError"
    name = "workflow_status" if node.database.dialect.name == "sqlite" else "dbos.workflow_status"
    assert "CANARY" not in caplog.text + str(node.rows(sa.text(f"SELECT * FROM {name}")))
    assert node.jobs.forget(time.time() - 3600) == 0
    wait_for(lambda: node.jobs.under_way(STUDIES) == [])
    assert node.jobs.forget(time.time() + 3600) == 2
    assert node.jobs.broken() == []


def test_deliveries_have_a_queue_of_their_own(node: Node) -> None:
    uid = node.receive(image("a"))
    enqueue(node, uid)
    with writing(node.database) as connection:
        node.jobs.enqueue_delivery(connection, Study(uid, 1), "pacs", 3)
    done: list[tuple[Any, ...]] = []
    node.jobs.run_deliveries(lambda *arguments: done.append(arguments))
    wait_for(lambda: done)
    assert done == [(Study(uid, 1), "pacs", 3)]
    assert len(node.jobs.under_way(STUDIES)) == 1


def test_a_delayed_job_is_done_after_its_time(node: Node) -> None:
    uid = node.receive(image("a"))
    done: list[str] = []
    with writing(node.database) as connection:
        node.jobs.enqueue_delivery(connection, Study(uid, 1), "later", 1, 3600.0)
        node.jobs.enqueue_delivery(connection, Study(uid, 1), "now", 1)
    node.jobs.run_deliveries(lambda study, destination, attempt: done.append(destination))
    wait_for(lambda: done)
    assert done == ["now"]
    table = "workflow_status" if node.database.dialect.name == "sqlite" else "dbos.workflow_status"
    node.execute(sa.text(f"UPDATE {table} SET delay_until_epoch_ms = 1 WHERE delay_until_epoch_ms > 0"))  # an hour on
    wait_for(lambda: len(done) == 2)
    assert done == ["now", "later"]


def test_what_a_dead_process_was_at_is_done_by_one_that_lives(node: Node) -> None:
    uid = node.receive(image("a"))
    enqueue(node, uid)
    began, hold, done = threading.Event(), threading.Event(), []

    def hang(study: Study) -> None:
        began.set()
        hold.wait(60)

    first = Jobs(node.database, node.settings, "dead:1", ttl_s=60)
    first.run_studies(hang)
    assert began.wait(60)
    first._lease.stop()  # as if it had been killed: its job is under way, and its lease is gone
    DBOS.destroy()
    first._running = False
    second = Jobs(node.database, node.settings, new_executor_id(), ttl_s=4)
    second.run_studies(done.append)
    wait_for(lambda: done)
    assert done == [Study(uid, 1)]
    hold.set()
    second.stop()
    first.stop()


def test_the_job_runner_still_has_the_private_call_that_recovery_needs() -> None:
    parameters = inspect.signature(DBOS._recover_pending_workflows).parameters
    assert list(parameters) == ["executor_ids"]


def test_a_lease_holds_until_it_is_given_back_or_runs_out(node: Node) -> None:
    leases = {name: Lease(node.database, name, lambda dead: 0, ttl) for name, ttl in (("long", 60.0), ("short", -1.0))}
    for lease in leases.values():
        lease.beat()
    assert node.rows(live_executors(node.database)) == [("long",)]
    assert leases["long"].dead({"long", "short", "never"}) == ["never", "short"]
    leases["long"].beat()
    leases["long"].stop()
    assert node.rows(live_executors(node.database)) == []
    assert node.scalars(schema.leases.c.executor_id) == ["short"]


def test_leases_of_long_ago_are_forgotten(node: Node) -> None:
    node.execute(schema.leases.insert().values(executor_id="old", expires=1.0))
    Lease(node.database, "new", lambda dead: 0).beat()
    assert node.scalars(schema.leases.c.executor_id) == ["new"]


def test_a_lease_outlives_a_database_that_is_away(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    swept = threading.Event()

    def recover(dead: object) -> int:
        swept.set()
        return 3

    lease = Lease(node.database, "here", recover, 0.02)
    lease.start()
    beat, failed = lease.beat, threading.Event()

    def broken() -> None:
        failed.set()
        raise sa.exc.OperationalError("", {}, Exception())

    monkeypatch.setattr(lease, "beat", broken)
    assert failed.wait(60)
    monkeypatch.setattr(lease, "beat", beat)
    swept.clear()
    assert swept.wait(60)
    lease.stop()


def test_jobs_that_are_brought_back_are_counted_and_logged(
    database: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    counts = iter((0, 3))
    lease = Lease(database, "here", lambda dead: next(counts))
    assert [lease.sweep(), lease.sweep()] == [0, 3]
    assert [record.facts for record in caplog.records if record.message == "jobs taken over"] == [{"count": 3}]


def test_a_lease_without_its_database_goes_on_turning_and_says_so_once(
    database: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "candor.gateway")
    turns = threading.Semaphore(0)
    lease = Lease(database, new_executor_id(), lambda dead: 0, ttl_s=0.04, turned=turns.release)
    lease.start()
    assert turns.acquire(timeout=60)
    with writing(database) as connection:
        connection.execute(sa.text("ALTER TABLE leases RENAME TO away"))
    for _ in range(30):
        assert turns.acquire(timeout=60)
    with writing(database) as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO leases"))
    wait_for(lambda: any(record.message == "lease could not be extended: over" for record in caplog.records))
    lease.stop()
    said = [record for record in caplog.records if record.message == "lease could not be extended"]
    assert 1 <= len(said) <= 2  # the lease may look while the table is being renamed


def test_a_lease_holds_from_its_start_and_nothing_turns_after_its_end(database: sa.Engine) -> None:
    lease = Lease(database, "here", lambda dead: 0, ttl_s=60.0)
    lease.start()
    with database.connect() as connection:
        assert connection.execute(live_executors(database)).scalars().all() == ["here"]
    lease.stop()
    assert not lease._thread.is_alive()
    with database.connect() as connection:
        assert connection.execute(live_executors(database)).scalars().all() == []
