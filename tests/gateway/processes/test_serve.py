"""The process that runs all others."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from candor.study.errors import SettingsError
from gateway.processes import serve
from gateway.settings import load_settings
from gateway.store.database import open_database
from gateway.store.schema import alarms
from tests.gateway.conftest import Clock


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump({"work": {"models": "models", "application": "app.yaml"}}))
    (tmp_path / "models").mkdir()
    (tmp_path / "app.yaml").touch()
    return path


class DyingChild:
    """Stands for the supervisor: its child keeps dying, then a signal comes."""

    def __init__(self, config: Path, kinds: Any, drain_s: float, on_keeps_dying: Callable[[str], None], **_: Any):
        self.stopped = False
        self._on_keeps_dying = on_keeps_dying

    def run(self) -> None:
        self._on_keeps_dying("work")
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


def test_a_file_that_is_missing_is_said_before_anything_is_made(config: Path) -> None:
    (config.parent / "app.yaml").unlink()
    with pytest.raises(SettingsError, match=r"work\.application: .* is not there"):
        serve.run_serve(config, (), 1.0, None)
    assert not (config.parent / "spool").exists()
