"""The verbs ``deliver``, ``resend`` and ``recall``, with the real job runner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from gateway.__main__ import main
from gateway.jobs.jobs import Jobs
from gateway.jobs.lease import new_executor_id
from gateway.processes import deliver as deliver_process
from gateway.settings import Settings, load_settings
from gateway.store.database import writing
from gateway.store.schema import objects
from gateway.store.spool import Spool
from gateway.store.study import Study
from tests.conftest import ROOT
from tests.gateway.archive import STUDY, Archive, Sender, on_the_same_association, running
from tests.gateway.conftest import Clock
from tests.spoilt import spoil_function, without_language


@pytest.fixture
def archive() -> Iterator[Archive]:
    with running(Archive(commits=on_the_same_association)) as listening:
        yield listening


@pytest.fixture
def config(tmp_path: Path, archive: Archive) -> Path:
    path = tmp_path / "gateway.yaml"
    pacs = {"name": "pacs", "ae_title": "ARCHIVE", "host": "localhost", "port": archive.port, "commitment": True}
    values = {
        "database": "sqlite:///spool/gateway.db",
        "spool": "spool",
        "destinations": [pacs],
        "deliver": {"first_retry_s": 0.2},
    }
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def sender(config: Path, settings: Settings, database: sa.Engine, spool: Spool, clock: Clock) -> Sender:
    clock.time = time.time()
    return Sender(load_settings(config), database, spool, clock)


def wait_until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not done():
        if time.monotonic() > deadline:
            pytest.fail(f"it does not come: {done()}")
        time.sleep(0.05)


def enqueue(sender: Sender) -> None:
    jobs = Jobs(sender.database, sender.settings, new_executor_id())
    with writing(sender.database) as connection:
        jobs.enqueue_delivery(connection, Study(STUDY, 1), "pacs")
    jobs.stop()


def run_while(sender: Sender, done: Callable[[], object]) -> None:
    """Run the deliverer in this process until something has come about."""
    stopping = threading.Event()
    arguments = (sender.settings, sender.database, sender.spool, stopping)
    thread = threading.Thread(target=deliver_process.deliver, args=arguments)
    thread.start()
    try:
        wait_until(done)
    finally:
        stopping.set()
        thread.join()


def test_a_delivery_is_retried_committed_resent_and_recalled(
    sender: Sender,
    archive: Archive,
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deliver_process, "_LOOK_S", 0.05)
    archive.statuses = [0xA700, 0xA700, 0, 0xC000]
    report, overlay = sender.both()
    enqueue(sender)
    run_while(sender, lambda: sender.state_of_study() == "failed")
    assert archive.uids() == [report, overlay, report, overlay]
    assert sorted(sender.states()) == ["committed", "dead"]

    assert main(["resend", "--config", str(config), "--to", "pacs"]) == 0
    assert capsys.readouterr().out == "1 objects are sent again\n"
    run_while(sender, lambda: sender.state_of_study() == "delivered")
    assert sender.states() == ["committed", "committed"]

    assert main(["recall", "--config", str(config), "--study", STUDY]) == 0
    listed = capsys.readouterr().out
    assert STUDY in listed
    assert "1 to recall; nothing was done" in listed
    assert sender.states() == ["committed", "committed"]

    assert main(["recall", "--config", str(config), "--bundle", "ab" * 4, "--yes", "--reason", "quality"]) == 0
    assert "1 recalled" in capsys.readouterr().out
    run_while(sender, lambda: sender.states() == ["committed", "recalled", "recalled"])
    (note,) = sender.column(objects.c.sop_instance_uid, objects.c.kind == "note")
    assert archive.uids()[-1] == note
    assert main(["recall", "--config", str(config), "--study", STUDY]) == 0
    assert "recalled already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resend"], "nothing like that lies in the dead letter"),
        (["resend", "--to", "moon"], "no destination is named 'moon'"),
        (["recall", "--study", "1.2.3"], "no study has such results"),
        (["recall", "--bundle", "%%%%%%%%"], "--bundle takes 8 to 64 hexadecimal digits"),
    ],
)
def test_what_cannot_be_done_is_said(
    sender: Sender, config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    verb, *options = arguments
    assert main([verb, "--config", str(config), *options]) == 2
    assert said in capsys.readouterr().err


def test_what_cannot_be_recalled_is_said(sender: Sender, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for uid in sender.both():
        sender.path(uid).unlink()
    sender.change("deliveries", state="sent", tries=1)
    sender.change("studies", purged=1.0)
    assert main(["recall", "--config", str(config), "--study", STUDY, "--yes"]) == 2
    said = capsys.readouterr()
    assert "files deleted" in said.out
    assert "1 are not" in said.err


def test_a_note_that_fails_the_check_is_said(
    sender: Sender, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.both()
    sender.change("deliveries", state="sent", tries=1)
    spoil_function(monkeypatch, "gateway.deliver.recall.build_rejection_note", without_language)
    assert main(["recall", "--config", str(config), "--study", STUDY, "--yes"]) == 2
    said = capsys.readouterr()
    assert "0 recalled" in said.out
    assert f"{STUDY} version 1: an object of kind note lacks what it must have" in said.out
    assert "1 are not: their rejection notes failed the check" in said.err
    assert sender.states() == ["sent", "sent"]


def test_the_process_delivers_until_it_is_asked_to_stop(sender: Sender, archive: Archive, config: Path) -> None:
    sender.both()
    enqueue(sender)
    command = [sys.executable, "-m", "gateway", "deliver", "--config", str(config)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: sender.state_of_study() == "delivered")
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert '"event": "study delivered"' in said
    assert STUDY not in said


@pytest.mark.usefixtures("process_state")
def test_a_signal_ends_the_process_in_good_order(
    sender: Sender, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped: list[bool] = []

    def deliver(_: object, __: object, ___: object, stopping: threading.Event) -> None:
        thread = threading.Thread(target=lambda: [][1])
        thread.start()
        thread.join()
        os.kill(os.getpid(), signal.SIGTERM)
        stopped.append(stopping.wait(60))

    monkeypatch.setattr(deliver_process, "deliver", deliver)
    assert main(["deliver", "--config", str(config)]) == 0
    assert stopped == [True]
    assert '"event": "thread failed", "kind": "IndexError"' in capsys.readouterr().err
