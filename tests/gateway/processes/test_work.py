"""The process that assesses studies."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.assess.assessor import ApplicationStopped
from gateway.processes.work import _end_process, work
from gateway.settings import Settings
from gateway.store import schema
from tests.gateway.conftest import Clock
from tests.gateway.node import FakeApplication, Node
from tests.gateway.test_recovery import queue, wait_for


@pytest.fixture
def node(settings: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(settings, clock)
    yield node
    node.close()


def in_background(node: Node, application: Any) -> tuple[threading.Thread, threading.Event]:
    stopping = threading.Event()
    arguments = (node.settings, node.database, node.spool, application, stopping)
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    return thread, stopping


def test_a_worker_works_until_it_is_stopped_and_gives_its_lease_back(node: Node) -> None:
    uid = queue(node, "a")
    thread, stopping = in_background(node, FakeApplication())
    wait_for(lambda: node.study(uid).state == "stored")
    assert len(node.table(schema.leases)) == 1
    stopping.set()
    thread.join(60)
    assert not thread.is_alive()
    assert node.table(schema.leases) == []


def test_a_worker_whose_application_has_ended_ends_too(node: Node) -> None:
    uid = queue(node, "a")
    thread, _ = in_background(node, FakeApplication(error=ApplicationStopped("ended")))
    thread.join(60)
    assert not thread.is_alive()
    assert node.study(uid).state == "waiting"


def test_what_takes_too_long_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    _end_process()
    assert killed == [(os.getpid(), signal.SIGKILL)]
