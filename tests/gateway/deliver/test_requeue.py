"""Deliveries that are due and have no job get one, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.deliver.requeue import queue_held, requeue_lost_deliveries
from gateway.jobs.jobs import DELIVERIES
from gateway.settings import Settings
from gateway.store import schema
from gateway.store.mode import set_mode
from gateway.store.states import Mode
from tests.gateway.conftest import Clock
from tests.gateway.network import image
from tests.gateway.node import Node


@pytest.fixture
def node(either: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(either, clock)
    yield node
    node.close()


def names(node: Node) -> list[str]:
    return sorted(node.jobs.under_way(DELIVERIES))


def make_due(node: Node, *due: tuple[str, str, float]) -> str:
    """Give a study results that are due: name, destination, when; returns the study's token."""
    uid = node.receive(image("a"))
    for name, destination, when in due:
        row = {"sop_instance_uid": name, "sop_class_uid": "1.2", "series_instance_uid": "1.3", "kind": "sr"}
        row |= {"study_instance_uid": uid, "version": 1, "file": "f", "sha256": "s", "made": 0.0}
        node.execute(schema.objects.insert().values(row))
        delivery = {"sop_instance_uid": name, "destination": destination, "state": "due", "due": when, "tries": 2}
        node.execute(schema.deliveries.insert().values(delivery))
    return node.tokens.token(uid)


def test_a_delivery_without_a_job_gets_one_whoever_looks(node: Node) -> None:
    token = make_due(node, ("1.1", "pacs", 0.0), ("1.2", "pacs", 0.0), ("1.3", "new", node.clock() - 299))
    requeue_lost_deliveries(node.database, node.jobs, node.clock())
    assert names(node) == []  # shadow mode holds them
    set_mode(node.database, Mode.LIVE, "ann", node.clock())
    for _ in range(2):
        requeue_lost_deliveries(node.database, node.jobs, node.clock())
    (name,) = names(node)
    assert name.startswith(f"deliver:{token}:1:pacs:2:lost-")


def test_what_shadow_mode_held_gets_its_jobs_at_once(node: Node) -> None:
    """Also what is to be tried later: shadow mode may have ended its job."""
    token = make_due(node, ("1.1", "pacs", node.clock()), ("1.2", "pacs", node.clock()), ("1.3", "new", 9e9))
    now = int(node.clock())
    for _ in range(2):
        assert queue_held(node.database, node.jobs, node.clock()) == 2
    assert names(node) == [f"deliver:{token}:1:{name}:2:live-{now}" for name in ("new", "pacs")]
