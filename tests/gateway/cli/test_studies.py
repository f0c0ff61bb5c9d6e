"""The verbs around studies, as an operator calls them."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from candor.study.errors import CandorError, SettingsError
from candor.study.provenance import ForeignFit
from gateway.assess.fit import Fit
from gateway.cli.studies import (
    add_live,
    add_replay,
    add_shadow,
    add_status,
    add_upkeep,
    add_work,
)
from gateway.jobs.jobs import DELIVERIES
from gateway.settings import Settings, load_settings
from gateway.store import schema
from gateway.store.alarms import AlarmKind, raise_alarm
from gateway.store.mode import foreign_fit_of, mode_of
from gateway.store.states import Mode
from gateway.store.study import Study
from tests.conftest import ROOT
from tests.gateway.conftest import PACS, Clock
from tests.gateway.network import image
from tests.gateway.node import FakeApplication, Node
from tests.gateway.test_recovery import wait_for

FITTED_TO = "NIH ChestX-ray14"
"""What the shipped bundle is fitted to."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    destination = PACS.model_dump(include={"name", "ae_title", "host", "port"})
    values: dict[str, Any] = {
        "site": FITTED_TO,
        "destinations": [destination],
        "studies": {"quiet_s": 0.0},
        "work": {"models": str(ROOT / "models"), "application": str(ROOT / "app.yaml")},
    }
    file.write_text(yaml.safe_dump(values))
    return file


@pytest.fixture
def node(config: Path, clock: Clock) -> Iterator[Node]:
    node = Node(load_settings(config), clock)
    yield node
    node.close()


def call(*words: str | Path) -> None:
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers()

    def add(run: Callable[[argparse.Namespace], None], name: str, text: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=text)
        verb.set_defaults(verb=run)
        return verb

    for adder in (add_work, add_upkeep, add_status, add_replay, add_live, add_shadow):
        adder(add)
    options = parser.parse_args([str(word) for word in words])
    options.verb(options)


def test_status_says_what_a_person_wants_to_know(node: Node, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("status", "--config", config)
    assert capsys.readouterr().out == "mode: shadow\n"
    call("live", "--reason", "validated", "--config", config)
    uid = node.receive(image("a"))
    node.receive(image("b"))
    node.wait(uid)
    node.assessor.assess(Study(uid, 1))
    raise_alarm(node.database, AlarmKind.DISK, "", "the disk is full", 1.0)
    raise_alarm(node.database, AlarmKind.NO_RESULT, "f" * 24, "no result", 1.0)
    capsys.readouterr()
    call("status", "--config", config)
    assert capsys.readouterr().out.splitlines() == [
        "mode: live",
        "studies receiving: 1",
        "studies delivering: 1",
        "objects of kind sr: 1",
        "objects of kind sc: 1",
        "objects for pacs, due: 2",
        "alarm disk: the disk is full",
        f"alarm no_result ({'f' * 24}): no result",
    ]


def test_going_live_and_back_is_an_act_of_the_audit_trail(
    node: Node, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("live", "live", "shadow"):
        call(verb, "--reason", "because", "--config", config)
    assert capsys.readouterr().out.splitlines() == [
        "the node is live",
        "the node is live already",
        "the node is shadow",
    ]
    acts = [(row.what, row.detail) for row in node.table(schema.audit_trail)]
    assert acts == [("mode live", "because"), ("mode shadow", "because")]
    assert all(row.who for row in node.table(schema.audit_trail))


def test_acts_have_the_time_of_the_database(node: Node, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's machine may have another one, and what it makes due would be late by the difference."""
    monkeypatch.setattr("gateway.store.database.database_clock", lambda database: lambda: 5.0)
    for verb in ("live", "shadow"):
        call(verb, "--config", config)
    assert [row.at for row in node.table(schema.audit_trail)] == [5.0, 5.0]


def test_nobody_goes_live_without_a_destination(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("")
    with pytest.raises(SettingsError, match="names no destination"):
        call("live", "--config", config)


def test_replay_starts_what_is_parked(node: Node, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uid, other = node.receive(image("a")), node.receive(image("b"))
    with pytest.raises(CandorError, match="no such study is parked"):
        call("replay", "--all", "--config", config)
    node.put(uid, state="failed", finished=1.0)
    node.put(other, state="failed", finished=2.0)
    call("replay", "--study", uid, "--config", config)
    assert [node.study(each).state for each in (uid, other)] == ["waiting", "failed"]
    call("replay", "--all", "--config", config)
    assert node.study(other).state == "waiting"
    assert capsys.readouterr().out == "1 started again\n" * 2


class FakeWorker(FakeApplication):
    """Stands for the resident application: a context that is called."""

    def __init__(self, settings: Settings, permission: Callable[[str], ForeignFit | None]) -> None:
        super().__init__()
        self.fit = Fit("b" * 64, (("the gate", FITTED_TO),), settings.site)
        self.permission = permission

    def __enter__(self) -> FakeWorker:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as holoscan takes the signals for itself
        return self

    def __exit__(self, *error: object) -> None:
        return


def test_a_bundle_that_was_fitted_to_other_patients_goes_live_for_a_reason_alone(
    node: Node, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().replace(FITTED_TO, "St Elsewhere"))
    with pytest.raises(SettingsError, match=f"fitted to {FITTED_TO}, not to this site .* say `live --foreign-fit REAS"):
        call("live", "--reason", "because", "--config", config)
    with node.database.connect() as connection:
        assert mode_of(connection) is Mode.SHADOW
    call("live", "--reason", "because", "--foreign-fit", "a trial", "--config", config)
    call("status", "--config", config)
    assert capsys.readouterr().out.splitlines() == [
        "the node is live",
        f"every report says that the answers rest on a fit to {FITTED_TO}, and your reason",
        "mode: live",
        f"fitted to {FITTED_TO}, not to this site: a trial",
    ]
    config.write_text(config.read_text().replace("St Elsewhere", FITTED_TO))
    call("live", "--foreign-fit", "a trial", "--config", config)
    assert capsys.readouterr().out.splitlines()[1].startswith("no reason was needed, and none is kept")
    with node.database.connect() as connection:
        assert foreign_fit_of(connection) is None


def test_the_stop_needs_no_bundle(node: Node, config: Path, tmp_path: Path) -> None:
    call("live", "--config", config)
    config.write_text(config.read_text().replace(str(ROOT / "models"), str(tmp_path / "nowhere")))
    call("shadow", "--config", config)
    with node.database.connect() as connection:
        assert mode_of(connection) is Mode.SHADOW


@pytest.mark.usefixtures("process_state")
def test_the_processes_upkeep_and_work_bring_a_study_to_its_result(
    node: Node, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.clock.time = time.time()
    uid = node.receive(image("a"))
    monkeypatch.setitem(sys.modules, "gateway.assess.application", types.SimpleNamespace(Worker=FakeWorker))

    def stop_when(state: str) -> None:
        wait_for(lambda: node.study(uid).state == state)
        os.kill(os.getpid(), signal.SIGTERM)

    for verb, state in (("upkeep", "waiting"), ("work", "stored")):
        stopper = threading.Thread(target=stop_when, args=(state,))
        stopper.start()
        call(verb, "--config", config)
        stopper.join()
    assert node.study(uid).state == "stored"
    report = node.spool.path(node.rows(schema.objects.select())[0].file)
    assert report.stat().st_mode & 0o077 == 0


def test_the_stop_and_its_end_say_how_many_deliveries_are_due(
    node: Node, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uid = node.receive(image("a"))
    row = {"sop_instance_uid": "1.1", "sop_class_uid": "1.2", "series_instance_uid": "1.3", "kind": "sr"}
    row |= {"study_instance_uid": uid, "version": 1, "file": "f", "sha256": "s", "made": 0.0}
    node.execute(schema.objects.insert().values(row))
    delivery = {"sop_instance_uid": "1.1", "destination": "pacs", "state": "due", "due": 0.0, "tries": 0}
    node.execute(schema.deliveries.insert().values(delivery))
    for verb in ("live", "shadow"):
        call(verb, "--reason", "because", "--config", config)
    assert capsys.readouterr().out.splitlines() == [
        "the node is live",
        "1 deliveries that are due go out now",
        "the node is shadow",
        "1 deliveries that are due stay here; recall withdraws them",
    ]
    (job,) = node.jobs.under_way(DELIVERIES)
    assert job.startswith(f"deliver:{node.tokens.token(uid)}:1:pacs:0:live-")
