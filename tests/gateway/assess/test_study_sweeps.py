"""The sweeps that keep studies moving, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from gateway.assess.study_sweeps import bound_times, end_overtaking, queue_complete, requeue_lost
from gateway.jobs.jobs import STUDIES
from gateway.settings import Settings, Studies
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


def names(node: Node) -> list[str]:
    return sorted(node.jobs.under_way(STUDIES))


def test_a_quiet_study_becomes_one_job(node: Node) -> None:
    uid = node.receive(image("a"))
    assert queue_complete(node.database, node.settings, node.jobs, node.clock()) == 0
    node.clock.pass_s(10)
    assert queue_complete(node.database, node.settings, node.jobs, node.clock()) == 1
    assert queue_complete(node.database, node.settings, node.jobs, node.clock()) == 0
    assert (node.study(uid).state, node.study(uid).queued) == ("waiting", node.clock())
    assert names(node) == [f"study:{node.tokens.token(uid)}:1:1"]


def between(node: Node, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let something happen after a sweep has looked, and before it writes."""

    def late(database: sa.Engine) -> object:
        monkeypatch.undo()
        act()
        return writing(database)

    monkeypatch.setattr("gateway.assess.study_sweeps.writing", late)


def test_an_image_that_comes_while_a_sweep_looks_is_not_left_behind(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = node.receive(image("a"))
    node.clock.pass_s(10)
    between(node, monkeypatch, lambda: node.receive(image("b", study="a")))
    assert queue_complete(node.database, node.settings, node.jobs, node.clock()) == 0
    assert (node.study(uid).state, node.study(uid).images) == ("receiving", 2)
    assert names(node) == []


def test_of_two_sweeps_one_queues(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.receive(image("a"))
    node.clock.pass_s(10)
    between(node, monkeypatch, lambda: queue_complete(node.database, node.settings, node.jobs, node.clock()))
    assert queue_complete(node.database, node.settings, node.jobs, node.clock()) == 0
    assert len(names(node)) == 1


def test_a_routine_study_is_overtaken_only_for_so_long(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    routine, backfill = node.receive(image("a")), node.receive(image("b"), Priority.BACKFILL)
    node.wait(routine)
    node.wait(backfill)
    node.clock.pass_s(599)
    assert end_overtaking(node.database, node.settings, node.jobs, node.clock()) == 0
    node.clock.pass_s(1)
    between(node, monkeypatch, lambda: end_overtaking(node.database, node.settings, node.jobs, node.clock()))
    assert end_overtaking(node.database, node.settings, node.jobs, node.clock()) == 0
    assert node.study(routine).priority == Priority.URGENT.value
    assert node.study(backfill).priority == Priority.BACKFILL.value
    assert names(node) == [f"study:{node.tokens.token(routine)}:1:1"]


def test_a_study_without_a_job_gets_one(node: Node) -> None:
    uid, held = node.receive(image("a")), node.receive(image("b"))
    for each in (uid, held):
        node.wait(each)
    with writing(node.database) as connection:
        node.jobs.enqueue_study(connection, Study(held, 1), Priority.ROUTINE)
    node.clock.pass_s(59)
    assert requeue_lost(node.database, node.jobs, node.clock()) == 0
    node.clock.pass_s(1)
    assert requeue_lost(node.database, node.jobs, node.clock()) == 1
    assert names(node) == sorted(f"study:{node.tokens.token(each)}:1:1" for each in (uid, held))


@pytest.mark.parametrize(("taken_before_s", "lost"), [(61, 1), (59, 0)])
def test_a_study_whose_job_was_taken_and_never_begun_gets_another(node: Node, taken_before_s: int, lost: int) -> None:
    """The job runner takes a job in one transaction and begins it after another: between them it may fail."""
    uid = node.receive(image("a"))
    node.wait(uid)
    with writing(node.database) as connection:
        node.jobs.enqueue_study(connection, Study(uid, 1), Priority.ROUTINE)
    node.clock.pass_s(100)
    table = "dbos.workflow_status" if node.database.dialect.name == "postgresql" else "workflow_status"
    taken = int((node.clock() - taken_before_s) * 1000)
    node.execute(sa.text(f"UPDATE {table} SET status = 'PENDING', started_at_epoch_ms = {taken}"))
    assert requeue_lost(node.database, node.jobs, node.clock()) == lost
    assert len(names(node)) == 1 + lost


def test_a_study_that_runs_without_a_job_gets_one(node: Node) -> None:
    lost, held = node.receive(image("a")), node.receive(image("b"))
    for uid in (lost, held):
        node.put(uid, state="running", started=node.clock() - 100, executor="worker", tries=1)
    with writing(node.database) as connection:
        node.jobs.enqueue_study(connection, Study(held, 1), Priority.ROUTINE)
    assert requeue_lost(node.database, node.jobs, node.clock()) == 1
    assert (node.study(lost).state, node.study(lost).executor, node.study(lost).tries) == ("waiting", None, 1)
    assert node.study(held).state == "running"


def test_images_that_arrive_while_sweeps_queue_are_all_in_the_newest_version(node: Node) -> None:
    node.settings = node.settings.model_copy(update={"studies": Studies(quiet_s=0.0)})
    images = [image(f"{study}{number}", study=study) for number in range(6) for study in "ab"]
    arriving = threading.Event()

    def sweep() -> None:
        while not arriving.is_set():
            queue_complete(node.database, node.settings, node.jobs, node.clock())

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    for thread in sweepers:
        thread.start()
    with ThreadPoolExecutor(4) as senders:
        uids = set(senders.map(node.receive, images))
    arriving.set()
    for thread in sweepers:
        thread.join()
    queue_complete(node.database, node.settings, node.jobs, node.clock())
    rows = node.table(schema.studies)
    assert {row.study_instance_uid for row in rows} == uids
    for uid in uids:
        newest = max(row.version for row in rows if row.study_instance_uid == uid)
        links = [row for row in node.table(schema.study_instances) if row.study_instance_uid == uid]
        assert len([row for row in links if row.version == newest]) == 6
        assert node.study(uid, newest).images == 6
    assert {row.state for row in rows} == {"waiting"}
    assert names(node) == sorted(f"study:{row.token}:{row.version}:1" for row in rows)


def test_a_clock_that_is_set_back_costs_a_quiet_period_and_not_the_step(node: Node) -> None:
    uid = node.receive(image("a"))
    running = node.receive(image("b"))
    node.put(running, state="running", queued=node.clock(), started=node.clock())
    done = node.receive(image("c"))
    node.put(done, state="stored")
    untouched = node.study(done)
    node.clock.pass_s(-3600)
    assert bound_times(node.database, node.settings.studies, node.clock()) == 2
    assert bound_times(node.database, node.settings.studies, node.clock()) == 0
    assert node.study(done) == untouched
    for row in (node.study(uid), node.study(running)):
        assert (row.first_image, row.last_image, row.deadline) == (node.clock(), node.clock(), node.clock() + 900)
    assert node.study(running).started == node.clock()
    node.clock.pass_s(10)
    assert queue_complete(node.database, node.settings, node.jobs, node.clock()) == 1
    assert node.study(uid).state == "waiting"


def test_a_clock_that_is_set_forward_loses_no_image(node: Node) -> None:
    """What it costs: the study is complete early, and the image after it makes the next version of both."""
    uid = node.receive(image("a"))
    node.clock.pass_s(3600)
    assert queue_complete(node.database, node.settings, node.jobs, node.clock()) == 1
    node.receive(image("b", study="a"))
    assert node.study(uid, 2).images == 2
    node.clock.pass_s(10)
    assert queue_complete(node.database, node.settings, node.jobs, node.clock()) == 1


def test_times_that_are_not_ahead_stay(node: Node) -> None:
    uid = node.receive(image("a"))
    before = node.study(uid)
    node.clock.pass_s(-4)  # two clocks need not agree to the second
    assert bound_times(node.database, node.settings.studies, node.clock()) == 0
    assert node.study(uid) == before
