"""The share of deferred findings against its own baseline."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.settings import Settings
from gateway.store import schema
from gateway.watch.drift import baseline_of, deferral_share, watch_drift
from tests.gateway.conftest import Clock
from tests.gateway.node import Node


@pytest.fixture
def node(settings: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(settings, clock)
    yield node
    node.close()


def add(node: Node, number: int, deferred: int, bundle: str = "b", findings: int = 10) -> None:
    """Add studies of which each has so many deferred findings."""
    decisions = {str(i): "deferred" if i < deferred else "absent" for i in range(findings)}
    base = {"token": "t", "state": "stored", "priority": 10, "first_image": 0.0, "last_image": 0.0, "deadline": 0.0}
    rows = []
    for _ in range(number):
        node.clock.pass_s(1)
        row = {"study_instance_uid": str(node.clock()), "version": 1, "assessed": node.clock()}
        rows.append(base | row | {"findings": decisions, "bundle_sha256": bundle})
    node.execute(schema.studies.insert().values(rows))


def drift(node: Node) -> float | None:
    return watch_drift(node.database, node.settings, node.clock())


def alarm_texts(node: Node) -> list[str]:
    return [row.text for row in node.table(schema.alarms) if row.cleared is None]


def test_the_share_is_of_the_assessed_findings() -> None:
    assert deferral_share([]) is None
    assert deferral_share([{"Nodule": "not assessed"}]) is None
    assert (
        deferral_share([{"a": "present", "b": "deferred"}, {"a": "absent", "b": "deferred", "c": "not assessed"}])
        == 0.5
    )


def test_the_first_studies_are_the_baseline_and_a_change_raises_an_alarm(node: Node) -> None:
    assert drift(node) is None
    add(node, 199, 2)
    assert drift(node) is None
    add(node, 1, 2)
    assert drift(node) is None
    with node.database.connect() as connection:
        baseline = baseline_of(connection)
    assert baseline is not None
    assert (baseline.bundle_sha256, baseline.share, baseline.studies) == ("b", pytest.approx(0.2), 200)
    add(node, 99, 3)
    assert drift(node) is None
    add(node, 1, 3)
    assert drift(node) == pytest.approx(0.3)
    assert alarm_texts(node) == []
    add(node, 100, 4)
    assert drift(node) == pytest.approx(0.4)
    assert alarm_texts(node) == ["40% of the findings of the newest studies are deferred; the baseline is 20%"]
    add(node, 100, 1)
    assert drift(node) == pytest.approx(0.1)
    assert alarm_texts(node) == []


def test_fewer_deferrals_are_drift_too_and_a_new_model_begins_anew(node: Node) -> None:
    add(node, 200, 5)
    drift(node)
    add(node, 100, 0)
    assert drift(node) == 0.0
    assert len(alarm_texts(node)) == 1
    add(node, 200, 1, bundle="new")
    assert drift(node) is None
    with node.database.connect() as connection:
        baseline = baseline_of(connection)
    assert baseline is not None
    assert (baseline.bundle_sha256, baseline.share) == ("new", pytest.approx(0.1))
