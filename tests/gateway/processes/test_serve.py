"""The process that runs all others."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from candor.study.errors import SettingsError
from gateway.processes import serve
from gateway.settings import load_settings
from gateway.store.database import open_database
from gateway.store.schema import alarms
from gateway.watch.kept_alarms import kept_alarms
from tests.conftest import ROOT
from tests.gateway.conftest import Clock


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump({"work": {"models": "models", "application": "app.yaml"}}))
    (tmp_path / "models").mkdir()
    (tmp_path / "app.yaml").touch()
    return path


class DyingChild:
    """Stands for the supervisor: its child keeps dying, then, when the alarm is passed on, a signal comes."""

    waits_for_passing_on = True

    def __init__(
        self, config: Path, kinds: Any, drain_s: float, on_keeps_dying: Callable[[str], None], spool: Path, **_: Any
    ):
        self.stopped, self.spool = False, spool
        self._on_keeps_dying = on_keeps_dying

    def run(self) -> None:
        self._on_keeps_dying("work")
        give_up = time.monotonic() + 60
        while self.waits_for_passing_on and kept_alarms(self.spool):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        assert self.stopped

    def stop(self) -> None:
        self.stopped = True


@pytest.mark.usefixtures("process_state")
def test_a_process_that_keeps_dying_is_an_alarm_and_a_signal_stops_the_supervisor(
    config: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "Supervisor", DyingChild)
    serve.run_serve(config, ("work",), 1.0, None, clock)
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (line["process"], line["event"], line["signal"]) == ("serve", "stopping", "SIGTERM")
    database = open_database(load_settings(config).database)
    with database.connect() as connection:
        (alarm,) = connection.execute(alarms.select()).all()
    database.dispose()
    assert (alarm.kind, alarm.subject, alarm.raised) == ("process", "work", clock())
    assert "candor node work" in alarm.text


@pytest.mark.usefixtures("process_state")
def test_the_supervisor_outlives_its_database(
    config: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: object) -> None:
        raise sa.exc.OperationalError("", {}, ConnectionError())

    monkeypatch.setattr("gateway.watch.kept_alarms.raise_alarm", away)
    monkeypatch.setattr(DyingChild, "waits_for_passing_on", False)
    monkeypatch.setattr(serve, "Supervisor", DyingChild)
    serve.run_serve(config, ("work",), 1.0, None, clock)
    (alarm,) = kept_alarms(config.parent / "spool")
    assert (alarm.kind, alarm.subject, alarm.raised) == ("process", "work", clock())
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert ("alarm of the supervisor", "error") in [(line["event"], line["level"]) for line in events]


@pytest.mark.usefixtures("process_state")
def test_a_second_serve_for_the_same_process_and_spool_is_refused(
    config: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "Supervisor", DyingChild)
    with serve.locked(config.parent / "spool", ("receive", "work")):
        with pytest.raises(SettingsError, match=r"another 'serve' on this machine runs 'work' with the spool .*; stop"):
            serve.run_serve(config, ("upkeep", "work"), 1.0, None, clock)
        serve.run_serve(config, ("upkeep",), 1.0, None, clock)  # other processes may be another's
    serve.run_serve(config, ("upkeep", "work"), 1.0, None, clock)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_there(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_a_serve_that_is_killed_takes_its_processes_with_it(config: Path) -> None:
    command = [sys.executable, "-m", "gateway", "serve", "--only", "upkeep", "--only", "deliver"]
    beats = ["upkeep.complete.120", "deliver.jobs.120"]
    with subprocess.Popen([*command, "--config", str(config)], cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: all(list((config.parent / "spool" / "run").glob(f"*/{beat}")) for beat in beats))
            children = children_of(process.pid)
            assert len(children) == 2
            os.kill(children[0], signal.SIGSTOP)  # one that hangs dies too
        finally:
            process.kill()
    wait_for(lambda: not any(is_there(child) for child in children))


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        serve.notify_systemd("READY=1")
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        serve.notify_systemd("WATCHDOG=1")
        assert systemd.recv(100) == b"WATCHDOG=1"


def test_a_file_that_is_missing_is_said_before_anything_is_made(config: Path) -> None:
    (config.parent / "app.yaml").unlink()
    with pytest.raises(SettingsError, match=r"work\.application: .* is not there"):
        serve.run_serve(config, (), 1.0, None)
    assert not (config.parent / "spool").exists()
