"""The process of sweeps, the webhook, the mode, and the second start of a parked study."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.assess.replay import parked, replay_study
from gateway.jobs.jobs import STUDIES
from gateway.processes.upkeep import mark_waiting, quick_sweeps, slow_sweeps, upkeep, watch_jobs
from gateway.settings import Alarms, Settings, Studies
from gateway.store import schema
from gateway.store.alarms import AlarmKind, clear_alarm, raise_alarm
from gateway.store.mode import mode_of, set_mode
from gateway.store.states import Mode, Priority
from gateway.store.study import Study
from gateway.watch.webhook import tell
from tests.gateway.conftest import Clock
from tests.gateway.network import image
from tests.gateway.node import Node


@pytest.fixture
def node(settings: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(settings, clock)
    yield node
    node.close()


def open_alarms(node: Node) -> list[tuple[str, str]]:
    return [(row.kind, row.subject) for row in node.table(schema.alarms) if row.cleared is None]


@pytest.mark.parametrize(("quiet_s", "every_s"), [(0.0, 0.02), (0.5, 0.05), (10.0, 0.1)])
def test_the_shorter_the_quiet_period_the_oftener_it_is_looked_at(node: Node, quiet_s: float, every_s: float) -> None:
    settings = node.settings.model_copy(update={"studies": Studies(quiet_s=quiet_s)})
    (sweep,) = quick_sweeps(node.database, settings, node.jobs, node.clock)
    assert sweep.every_s == every_s


def test_the_process_runs_all_its_sweeps_until_it_is_stopped(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    uid, late = node.receive(image("a")), node.receive(image("b"))
    node.put(late, state="delivering")
    node.clock.pass_s(901)
    stopping = threading.Event()
    arguments = (node.database, node.settings, node.spool, node.jobs, stopping, node.clock)
    process = threading.Thread(target=upkeep, args=arguments)
    process.start()
    give_up = time.monotonic() + 60
    while (node.study(uid).state, node.study(late).overdue) != ("waiting", node.clock()):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    stopping.set()
    process.join(60)
    assert not process.is_alive()
    for sweep in slow_sweeps(node.database, node.settings, node.spool, node.jobs, node.clock):
        sweep.run()
    assert "sweep failed" not in caplog.text


def test_a_study_that_waits_is_marked_for_the_supervisor(node: Node) -> None:
    marks: list[str] = []
    uid = node.receive(image("a"))
    for state in ("receiving", "waiting", "running"):
        node.put(uid, state=state)
        mark_waiting(node.database, lambda: marks.append("waits"), lambda: marks.append("none waits"))
    assert marks == ["none waits", "waits", "none waits"]


def test_jobs_that_the_job_runner_gave_up_are_an_alarm_until_they_are_gone(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.jobs, "broken", lambda: ["study:x:1:1"])
    assert watch_jobs(node.database, node.jobs, node.clock()) == 1
    assert open_alarms(node) == [("process", "jobs")]
    monkeypatch.setattr(node.jobs, "broken", list)
    assert watch_jobs(node.database, node.jobs, node.clock()) == 0
    assert open_alarms(node) == []


def test_the_webhook_gets_every_alarm_until_it_takes_it(node: Node) -> None:
    calls: list[dict[str, Any]] = []
    answers = iter([500, 200, 200])

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(json.loads(request.content))
        return httpx.Response(next(answers))

    def sweep() -> int:
        return tell(node.database, "https://site.example/hook", node.clock(), mock)

    mock = httpx.MockTransport(answer)
    assert sweep() == 0
    raise_alarm(node.database, AlarmKind.DISK, "", "the disk is full", node.clock())
    raise_alarm(node.database, AlarmKind.NO_RESULT, "f" * 24, "no result", node.clock())
    clear_alarm(node.database, AlarmKind.DISK, "", node.clock())
    assert sweep() == 1
    assert sweep() == 1
    assert sweep() == 0
    assert [call["alarm"]["kind"] for call in calls] == ["disk", "no_result", "disk"]
    assert calls[1] == {
        "source": "candor",
        "alarm": {
            "id": 2,
            "kind": "no_result",
            "subject": "f" * 24,
            "text": "no result",
            "raised": node.clock(),
            "cleared": None,
        },
    }


def test_a_webhook_that_is_away_is_called_again(node: Node) -> None:
    raise_alarm(node.database, AlarmKind.DISK, "", "the disk is full", node.clock())

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    mock = httpx.MockTransport(refuse)
    assert tell(node.database, "https://site.example/hook", node.clock(), mock) == 0
    assert node.table(schema.alarms)[0].told is None
    assert tell(node.database, None, node.clock()) == 0
    assert Alarms().webhook is None


def test_the_node_is_in_the_shadow_until_an_operator_says_otherwise(node: Node) -> None:
    with node.database.connect() as connection:
        assert mode_of(connection) is Mode.SHADOW
    assert not set_mode(node.database, Mode.SHADOW, "nobody", node.clock())
    assert set_mode(node.database, Mode.LIVE, "operator", node.clock(), "validated by physics")
    assert not set_mode(node.database, Mode.LIVE, "operator", node.clock())
    with node.database.connect() as connection:
        assert mode_of(connection) is Mode.LIVE
    assert set_mode(node.database, Mode.SHADOW, "other", node.clock())
    acts = [(row.who, row.what, row.detail, row.at) for row in node.table(schema.audit_trail)]
    assert acts == [
        ("operator", "mode live", "validated by physics", node.clock()),
        ("other", "mode shadow", "", node.clock()),
    ]


def test_a_parked_study_starts_again_with_all_its_tries(node: Node) -> None:
    uid = node.receive(image("a"), Priority.URGENT)
    replay = (node.database, node.settings, node.jobs, Study(uid, 1), "operator")
    assert not replay_study(*replay, node.clock())
    node.put(uid, state="failed", tries=3, reason="why", overdue=1.0, finished=2.0)
    other = node.receive(image("b"))
    node.put(other, state="failed", finished=1.0)
    undelivered = node.receive(image("c"))
    node.put(undelivered, state="failed", finished=1.0, assessed=1.0)
    assert not replay_study(*replay[:3], Study(undelivered, 1), "operator", node.clock())
    assert parked(node.database) == [Study(other, 1), Study(uid, 1)]
    assert parked(node.database, uid) == [Study(uid, 1)]
    node.clock.pass_s(5000)
    assert replay_study(*replay, node.clock())
    row = node.study(uid)
    assert (row.state, row.tries, row.reason, row.overdue, row.finished) == ("waiting", 0, "", None, None)
    assert row.deadline == node.clock() + 900
    assert node.jobs.under_way(STUDIES) == [f"study:{row.token}:1:1"]
    (act,) = node.table(schema.audit_trail)
    assert (act.who, act.what, act.subject) == ("operator", "replay", row.token)
