"""Heartbeats: who hangs, and whether anything moves, without the database and by no clock but the watcher's."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.settings import Settings
from gateway.store.alarms import AlarmKind
from gateway.store.schema import alarms
from gateway.watch import kept_alarms as module
from gateway.watch.heartbeats import (
    ACKNOWLEDGED,
    LOOKED,
    NONE_WAITS,
    RUN,
    WAITING,
    WORKED,
    Beat,
    Heartbeat,
    Heartbeats,
    Standstill,
    forget,
    run_folder,
)
from gateway.watch.kept_alarms import KeptAlarms, forget_machines, kept_alarms
from tests.gateway.conftest import Clock


def beat_again(spool: Path, name: str, seconds: float) -> None:
    """Change a heartbeat's time by the clock of whoever beats, forwards or back."""
    path = run_folder(spool) / name
    changed = path.stat().st_mtime + seconds
    os.utime(path, (changed, changed))


def late(watch: Heartbeats) -> list[str]:
    return [beat.loop for beat in watch.look() if beat.is_late]


def test_a_loop_that_does_not_beat_is_late_after_its_own_limit(tmp_path: Path, clock: Clock) -> None:
    watch = Heartbeats(tmp_path, clock)
    Heartbeat(tmp_path, "upkeep", "quick", 10)
    Heartbeat(tmp_path, "upkeep", "slow", 100)
    assert late(watch) == []
    clock.pass_s(11)
    assert late(watch) == ["quick"]
    beat_again(tmp_path, "upkeep.quick.10", -5000)  # a clock that is set back is a beat too
    assert late(watch) == []
    clock.pass_s(101)
    assert late(watch) == ["quick", "slow"]


def test_a_loop_that_is_named_after_a_destination_is_seen(tmp_path: Path, clock: Clock) -> None:
    watch = Heartbeats(tmp_path, clock)
    Heartbeat(tmp_path, "deliver", "commitment of pacs_2-b", 10)
    assert [beat.loop for beat in watch.look()] == ["commitment-of-pacs_2-b"]
    clock.pass_s(11)
    assert late(watch) == ["commitment-of-pacs_2-b"]


def test_a_watcher_that_was_stopped_itself_calls_nobody_late(tmp_path: Path, clock: Clock) -> None:
    watch = Heartbeats(tmp_path, clock, pause_s=10)
    Heartbeat(tmp_path, "upkeep", "quick", 5)
    assert late(watch) == []
    clock.pass_s(1000)
    assert late(watch) == []
    clock.pass_s(6)
    assert late(watch) == ["quick"]


def test_a_process_that_ended_is_late_no_more(tmp_path: Path) -> None:
    Heartbeat(tmp_path, "work", "jobs", 5)
    Heartbeat(tmp_path, "web", "page", 5)
    forget(tmp_path, "work")
    assert [beat.process for beat in Heartbeats(tmp_path).look()] == ["web"]


def test_a_beat_without_a_disk_is_logged_and_the_loop_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / RUN).touch()
    Heartbeat(tmp_path, "work", "jobs")
    assert "heartbeat cannot be written" in caplog.text


def seen(**changed: float) -> list[Beat]:
    marks = {"acknowledged": ACKNOWLEDGED, "looked": LOOKED, "waiting": WAITING, "worked": WORKED}
    marks["none_waits"] = NONE_WAITS
    return [Beat("node", *marks[name], 0.0, at, 0.0) for name, at in changed.items()]


def test_images_that_are_acknowledged_and_not_looked_at_are_a_standstill(settings: Settings) -> None:
    standstill = Standstill(settings)
    assert standstill.look(seen(acknowledged=5, looked=5), 100) == ""
    assert standstill.look(seen(acknowledged=110, looked=100), 110) == ""
    assert standstill.look(seen(acknowledged=200, looked=100), 230) == ""
    assert "no study is made of them" in standstill.look(seen(acknowledged=230, looked=100), 231)
    assert standstill.look(seen(acknowledged=230, looked=232), 232) == ""


def test_a_loop_that_turns_is_no_mark(settings: Settings) -> None:
    standstill = Standstill(settings)
    for now in (0, 1000):
        assert standstill.look([Beat("node", *WAITING, 120.0, now, 0.0)], now) == ""


def test_an_image_that_nobody_ever_looked_at_is_a_standstill(settings: Settings) -> None:
    standstill = Standstill(settings)
    assert standstill.look(seen(acknowledged=1), 1) == ""
    assert standstill.look(seen(acknowledged=1), 122) != ""


def test_studies_that_wait_while_none_is_assessed_are_a_standstill(settings: Settings) -> None:
    standstill = Standstill(settings)
    limit_s = settings.work.study_timeout_s + 120
    for now in range(0, int(limit_s) + 1, 5):
        assert standstill.look(seen(waiting=now, worked=-1), now) == ""
    assert "none is assessed" in standstill.look(seen(waiting=now, worked=-1), limit_s + 6)
    assert standstill.look(seen(waiting=1000, worked=1001), 1002) == ""


def test_a_study_that_went_without_a_worker_is_waited_for_no_more(settings: Settings) -> None:
    """A newer version has overtaken it."""
    standstill = Standstill(settings)
    assert standstill.look(seen(waiting=10, worked=5), 10) == ""
    assert standstill.look(seen(waiting=10, worked=5, none_waits=15), 1000) == ""


def test_each_job_is_marked_however_soon_it_follows_another(tmp_path: Path) -> None:
    mark = Heartbeat(tmp_path, *WORKED, limit_s=0, every_s=0)
    mark()
    beat_again(tmp_path, "work.worked.0", -5000)
    before = (run_folder(tmp_path) / "work.worked.0").stat().st_mtime_ns
    mark()
    assert (run_folder(tmp_path) / "work.worked.0").stat().st_mtime_ns > before


UNREACHABLE = "postgresql+psycopg://node@127.0.0.1:1/none"


def test_an_alarm_is_kept_told_and_written_when_the_database_is_back(
    tmp_path: Path, database: sa.Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []
    monkeypatch.setattr(module, "call", lambda url, alarm: calls.append(alarm) or True)
    away = sa.create_engine(UNREACHABLE)
    kept = KeptAlarms(tmp_path)
    kept.keep(AlarmKind.PROCESS, "work", "why", clock())
    kept.keep(AlarmKind.PROCESS, "work", "again", clock())
    assert caplog.text.count("alarm of the supervisor") == 1
    assert [kept.pass_on(away, "https://site.example", clock()) for _ in range(2)] == [1, 1]
    (call,) = calls
    assert (call["kind"], call["subject"], call["text"], call["raised"]) == ("process", "work", "why", clock())
    assert [(alarm.text, alarm.is_told) for alarm in kept_alarms(tmp_path)] == [("why", True)]
    kept = KeptAlarms(tmp_path)  # the supervisor is started again
    assert kept.pass_on(database, "https://site.example", clock()) == 0
    assert (len(calls), kept_alarms(tmp_path)) == (1, [])
    with database.connect() as connection:
        (row,) = connection.execute(alarms.select()).all()
    assert (row.kind, row.subject, row.text, row.told, row.cleared) == ("process", "work", "why", clock(), None)


def test_a_standstill_is_kept_until_it_is_over_and_then_cleared(
    tmp_path: Path, database: sa.Engine, clock: Clock
) -> None:
    kept = KeptAlarms(tmp_path)
    kept.keep(AlarmKind.STANDSTILL, "", "nothing moves", clock(), goes_on=True)
    assert kept.pass_on(database, None, clock()) == 1
    assert [alarm.goes_on for alarm in kept_alarms(tmp_path)] == [True]
    kept.end(AlarmKind.STANDSTILL, "")
    assert kept.pass_on(database, None, clock()) == 0
    assert kept_alarms(tmp_path) == []
    with database.connect() as connection:
        (row,) = connection.execute(alarms.select()).all()
    assert (row.kind, row.cleared) == ("standstill", clock())


def test_an_alarm_without_a_disk_and_without_a_database_is_told_all_the_same(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []
    monkeypatch.setattr(module, "call", lambda url, alarm: calls.append(alarm) or True)
    (tmp_path / RUN).touch()
    kept = KeptAlarms(tmp_path)
    kept.keep(AlarmKind.STANDSTILL, "", "nothing moves", clock(), goes_on=True)
    kept.pass_on(sa.create_engine(UNREACHABLE), "https://site.example", clock())
    assert len(calls) == 1
    assert "kept alarm has no file" in caplog.text


def test_a_machine_that_is_gone_leaves_its_alarms_and_nothing_else(
    tmp_path: Path, database: sa.Engine, clock: Clock
) -> None:
    folder = tmp_path / RUN / "gone"
    (folder / "alarms").mkdir(parents=True)
    alarm = {"kind": "process", "subject": "work", "text": "why", "raised": 1.0, "goes_on": False}
    (folder / "alarms" / "process.work.json").write_text(json.dumps(alarm))
    (folder / "alarms" / "broken.json").write_text("{")
    (folder / "work.jobs.120").touch()
    Heartbeat(tmp_path, "work", "jobs")
    now = time.time()
    assert forget_machines(database, tmp_path, now) == 0
    assert forget_machines(database, tmp_path, now + 7200) == 1
    assert [path.name for path in (tmp_path / RUN).iterdir()] == [run_folder(tmp_path).name]
    with database.connect() as connection:
        assert connection.execute(sa.select(alarms.c.text)).scalars().all() == ["why"]


def test_an_alarm_is_told_though_the_spool_hangs(
    database: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, goes_on = KeptAlarms(tmp_path), threading.Event()
    told: list[str] = []

    def hang(_: Path) -> Any:
        goes_on.wait(60)
        raise OSError

    monkeypatch.setattr("gateway.watch.kept_alarms._DISK_S", 0.1)
    monkeypatch.setattr("gateway.watch.kept_alarms.whole_file", hang)
    monkeypatch.setattr("gateway.watch.kept_alarms.call", lambda url, alarm: not told.append(alarm["subject"]))
    kept.keep(AlarmKind.STANDSTILL, "spool", "it does not answer", 1.0, goes_on=True)
    assert not goes_on.is_set()
    assert kept.pass_on(database, "http://localhost/", 2.0) == 1
    assert told == ["spool"]
    goes_on.set()
