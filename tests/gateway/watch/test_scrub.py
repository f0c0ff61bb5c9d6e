"""The scrubber: at its hours, at its rate, once a night, and from where it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from gateway.assess.deadline import settle_alarms
from gateway.settings import Keep, Settings
from gateway.store import schema
from gateway.store.study import Study
from gateway.watch.scrub import scrub
from tests.gateway.conftest import Clock
from tests.gateway.network import image
from tests.gateway.node import Node


@pytest.fixture
def node(either: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(either, clock)
    clock.time = datetime(2026, 1, 1, 2, 30).timestamp()
    yield node
    node.close()


def assessed(node: Node, seed: str) -> str:
    uid = node.receive(image(seed))
    node.wait(uid)
    node.assessor.assess(Study(uid, 1))
    return uid


def step(node: Node, **settings: float) -> int:
    return scrub(node.database, Keep(**settings), node.spool, node.clock())  # type: ignore[arg-type]


def counted(node: Node) -> dict[str, float]:
    return {f"{row.name}{row.labels}": row.value for row in node.table(schema.counters) if "_received" not in row.name}


def test_all_files_are_compared_once_a_night(node: Node) -> None:
    assessed(node, "a")
    assessed(node, "b")
    assert step(node) == 6  # two images, two reports, two overlays
    assert step(node) == 0
    node.clock.pass_s(24 * 3600)
    assert step(node) == 6
    assert (counted(node)["files_compared_total"], counted(node)["scrubs_total"]) == (12, 2)
    assert node.table(schema.alarms) == []


@pytest.mark.parametrize(
    ("hour", "hours", "compared"),
    [(0, {}, 0), (1, {}, 1), (4, {}, 1), (5, {}, 0), (3, {"scrub_hours": 0}, 0), (0, {"scrub_from_hour": 22}, 1)],
)
def test_it_works_at_its_hours(node: Node, hour: int, hours: dict[str, float], compared: int) -> None:
    node.receive(image("a"))
    node.clock.time = datetime(2026, 1, 1, hour, 30).timestamp()
    assert step(node, **hours) == compared


def test_a_step_reads_as_much_as_its_rate_and_the_next_goes_on(node: Node) -> None:
    for seed in "abc":
        node.receive(image(seed))
    assert [step(node, scrub_mib_per_s=1e-6) for _ in range(5)] == [1, 1, 1, 0, 0]


def test_a_damaged_image_is_set_aside_with_an_alarm(node: Node) -> None:
    uid = assessed(node, "a")
    (row,) = node.table(schema.instances)
    node.spool.path(row.file).unlink()
    step(node)
    assert node.scalars(schema.instances.c.state) == ["damaged"]
    assert [(each.kind, each.subject) for each in node.table(schema.alarms)] == [("damaged", node.tokens.token(uid))]
    assert counted(node)['files_damaged_totalkind="instance"'] == 1


def test_a_damaged_result_raises_an_alarm(node: Node) -> None:
    uid = assessed(node, "a")
    report = next(row for row in node.table(schema.objects) if row.kind == "sr")
    with node.spool.path(report.file).open("ab") as file:
        file.write(b"x")
    assert step(node) == 3
    settle_alarms(node.database, node.clock())  # it is for a person to clear
    (alarm,) = node.table(schema.alarms)
    assert (alarm.kind, alarm.subject, alarm.cleared) == ("damaged_result", node.tokens.token(uid), None)
    assert counted(node)['files_damaged_totalkind="object"'] == 1


def test_what_retention_has_deleted_is_not_missed(node: Node) -> None:
    uid = assessed(node, "a")
    node.put(uid, purged=1.0)
    assert step(node) == 0
    assert node.table(schema.alarms) == []


def test_a_spool_that_is_away_is_not_taken_for_damaged(node: Node) -> None:
    node.receive(image("a"))
    (node.spool.root / "instances").rename(node.spool.root / "away")
    with pytest.raises(FileNotFoundError, match="the spool is not there"):
        step(node)
    assert node.scalars(schema.instances.c.state) == ["kept"]
