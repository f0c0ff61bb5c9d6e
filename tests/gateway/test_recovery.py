"""Workers that are killed: their studies are taken over, each costs itself a try and nobody else."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.settings import Settings, Work
from gateway.store import schema
from gateway.store.database import writing
from gateway.store.states import Priority
from gateway.store.study import Study
from tests.gateway.conftest import Clock
from tests.gateway.crashing import HANGS, POISON
from tests.gateway.network import image
from tests.gateway.node import Node

EITHER = pytest.mark.parametrize(
    "either", ["sqlite", pytest.param("postgresql", marks=pytest.mark.full)], indirect=True
)


@pytest.fixture
def node(either: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(either.model_copy(update={"work": Work(max_tries=2)}), clock)
    yield node
    node.close()


def queue(node: Node, seed: str, description: str = "healthy") -> str:
    uid = node.receive(image(seed, StudyDescription=description))
    node.wait(uid)
    with writing(node.database) as connection:
        node.jobs.enqueue_study(connection, Study(uid, 1), Priority.ROUTINE)
    return uid


def start(node: Node, folder: Path) -> subprocess.Popen[bytes]:
    file = folder / "settings.json"
    file.write_text(node.settings.model_dump_json(exclude={"receive"}))
    return subprocess.Popen([sys.executable, "-m", "tests.gateway.crashing", str(file), str(folder)])


@contextmanager
def ended(*processes: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "nothing happened"
        time.sleep(0.05)


@EITHER
def test_a_study_that_kills_its_worker_is_parked_and_costs_no_other_a_try(node: Node, tmp_path: Path) -> None:
    healthy = [queue(node, "a")]
    poison = queue(node, "b", POISON)
    healthy += [queue(node, "c"), queue(node, "d")]
    deaths = 0
    process = start(node, tmp_path)

    def settled() -> bool:
        nonlocal process, deaths
        if process.poll() is not None:  # as the supervisor does
            assert process.returncode == -9
            deaths += 1
            process = start(node, tmp_path)
        return all(node.study(uid).state in ("stored", "failed") for uid in (poison, *healthy))

    try:
        wait_for(settled)
    finally:
        process.terminate()
        process.wait()
    assert deaths == 2
    assert (node.study(poison).state, node.study(poison).reason) == ("failed", "it broke the worker 2 times")
    assert [(node.study(uid).state, node.study(uid).tries) for uid in healthy] == [("stored", 1)] * 3
    assert len(node.table(schema.objects)) == 3 * 2 + 1


@EITHER
def test_what_a_killed_worker_was_at_is_taken_over_by_another(node: Node, tmp_path: Path) -> None:
    processes = [start(node, tmp_path) for _ in range(2)]
    with ended(*processes):
        uid = queue(node, "a", HANGS)
        hung = tmp_path / "hung"

        def is_hanging() -> bool:
            assert all(process.poll() is None for process in processes)
            return hung.exists() and bool(hung.read_text())

        wait_for(is_hanging)
        (victim,) = [process for process in processes if process.pid == int(hung.read_text())]
        executor = node.study(uid).executor
        victim.kill()
        wait_for(lambda: node.study(uid).state == "stored")
    assert node.study(uid).tries == 2
    leases = schema.leases
    query = sa.select(leases.c.executor_id).where(leases.c.executor_id == executor)
    assert node.rows(query) == [(executor,)]  # killed, it could not give its lease back
