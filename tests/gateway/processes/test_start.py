"""The start that all processes of the node share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from candor.study.errors import SettingsError
from gateway.processes.start import SUPERVISED, _log_thread_failed, open_spool, opened_database, started, stop_event
from gateway.settings import Settings
from tests.conftest import ROOT


@pytest.mark.usefixtures("process_state")
def test_what_a_process_opens_is_its_owners_alone_and_closed_at_the_end(settings: Settings) -> None:
    with started(settings, "work") as (database, spool):
        (spool.root / "file").touch()
        (spool.root / "folder").mkdir()
        before = database.pool
    assert database.pool is not before  # SQLAlchemy makes a new pool where one was disposed of
    made = [spool.root / name for name in ("file", "folder", "gateway.db")]
    assert [path.stat().st_mode & 0o077 for path in made] == [0, 0, 0]


@pytest.mark.usefixtures("process_state")
def test_the_database_is_closed_after_an_error_too(settings: Settings) -> None:
    pools = []

    def fail() -> None:
        with opened_database(settings) as database:
            pools.append((database, database.pool))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    ((database, before),) = pools
    assert database.pool is not before


def test_a_spool_that_cannot_be_made_is_said(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"the spool .*/file cannot be used \(File exists\)"):
        open_spool(settings.model_copy(update={"spool": str(tmp_path / "file")}))


@pytest.mark.usefixtures("process_state")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_event(number: signal.Signals) -> None:
    stopping = stop_event()
    assert not stopping.is_set()
    os.kill(os.getpid(), number)
    assert stopping.wait(20)


FAILS = """
import sys
from pathlib import Path
from gateway.processes.start import started
from gateway.settings import Settings
with started(Settings.model_validate_json(Path(sys.argv[1]).read_text()), "work"):
    raise ValueError("CANARY^PATIENT")
"""


def test_an_error_that_ends_a_process_is_logged_without_its_message(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(settings.model_dump_json(exclude={"receive"}))
    ended = subprocess.run([sys.executable, "-c", FAILS, str(file)], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1
    line = json.loads(ended.stderr)
    assert (line["process"], line["event"], line["kind"]) == ("work", "process failed", "ValueError")
    assert line["where"] == "<string>:7 <module>"
    assert "CANARY" not in ended.stderr + ended.stdout


@pytest.mark.usefixtures("process_state")
def test_a_thread_that_fails_says_what_and_not_about_whom(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ValueError("CANARY^PATIENT")

    with started(settings, "work"):
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["kind"]) == ("thread failed", "ValueError")
    assert "CANARY" not in str(line)


def test_a_thread_that_fails_says_its_errors_kind_alone(caplog: pytest.LogCaptureFixture) -> None:
    failure = threading.ExceptHookArgs((ValueError, ValueError("CANARY"), None, None))
    _log_thread_failed(failure)
    (record,) = caplog.records
    assert record.facts == {"kind": "ValueError"}
    assert "CANARY" not in caplog.text


SHOWS_CORES = """
import ctypes, resource, sys
from pathlib import Path
from gateway.processes.start import started
from gateway.settings import Settings
with started(Settings.model_validate_json(Path(sys.argv[1]).read_text()), "work"):
    print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))  # PR_GET_DUMPABLE
"""


def test_a_process_leaves_no_core_dump(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(settings.model_dump_json(exclude={"receive"}))
    command = [sys.executable, "-c", SHOWS_CORES, str(file)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "(0, 0) 0\n"


STAYS = """
import sys, time
from pathlib import Path
from gateway.processes.start import started
from gateway.settings import Settings
with started(Settings.model_validate_json(Path(sys.argv[1]).read_text()), "work"):
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_process_dies_when_the_pipe_of_its_supervisor_ends(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(settings.model_dump_json(exclude={"receive"}))
    command, pipe = [sys.executable, "-c", STAYS, str(file)], subprocess.PIPE
    environment = os.environ | {SUPERVISED: "1"}
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, env=environment) as process:
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018 - for mypy
        assert process.stdout.readline() == b"ready\n"
        process.stdin.close()
        assert process.wait(60) == -signal.SIGKILL


@pytest.mark.usefixtures("process_state")
def test_what_keeps_a_supervised_process_from_starting_stands_in_the_log(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SUPERVISED, "1")
    monkeypatch.setattr("gateway.processes.start._die_with_supervisor", lambda: None)
    Path(settings.database.removeprefix("sqlite:///")).parent.mkdir()
    Path(settings.database.removeprefix("sqlite:///")).write_bytes(b"no database" * 1000)
    with pytest.raises(SettingsError), started(settings, "work"):
        pass
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["process"]) == ("process cannot run", "work")
    assert "is damaged, or is no database" in line["reason"]
