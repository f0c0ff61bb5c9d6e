"""Sweeps: each in a thread of its own, with a heartbeat."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gateway.processes.sweeps import Sweep, repeat, running
from gateway.watch.heartbeats import Heartbeats, run_folder


def test_a_sweep_that_hangs_holds_up_itself_alone_and_is_seen(tmp_path: Path) -> None:
    begun, never, others = threading.Event(), threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        begun.set()
        never.wait()

    sweeps = [Sweep("hangs", 0.0, hang, limit_s=7), Sweep("other one", 0.01, others.release)]
    with running(sweeps, tmp_path, "upkeep"):
        assert begun.wait(60)
        for _ in range(5):
            assert others.acquire(timeout=60)
        beats = {beat.loop: beat.limit_s for beat in Heartbeats(tmp_path).look()}
        never.set()
    assert beats == {"hangs": 7, "other-one": 120}


def test_a_sweep_that_hangs_does_not_beat() -> None:
    beats, begun, never, stopping = [], threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        never.wait()

    sweep = Sweep("hangs", 0.0, hang)
    thread = threading.Thread(target=repeat, args=(sweep, lambda: beats.append(1), stopping), daemon=True)
    thread.start()
    assert begun.wait(60)
    assert beats == [1]
    stopping.set()
    never.set()
    thread.join(60)
    assert not thread.is_alive()


def test_a_sweep_that_fails_goes_on_and_says_only_where_and_only_once(caplog: pytest.LogCaptureFixture) -> None:
    stopping, tries = threading.Event(), []

    def fail() -> None:
        tries.append(1)
        if len(tries) == 30:
            stopping.set()
        raise ValueError("CANARY^PATIENT")

    repeat(Sweep("bad", 0.0, fail), lambda: None, stopping)
    assert len(tries) == 30
    (record,) = caplog.records
    facts = record.__dict__["facts"]
    assert (facts["what"], facts["kind"], facts["count"]) == ("bad", "ValueError", 1)
    assert "CANARY" not in str(facts)


def test_a_sweep_rests_between_its_runs() -> None:
    """The rest is waited for with the event that stops it, so that no stop waits for a rest to end."""
    stopping, ran = threading.Event(), threading.Semaphore(0)
    thread = threading.Thread(target=repeat, args=(Sweep("a", 3600.0, ran.release), lambda: None, stopping))
    thread.start()
    assert ran.acquire(timeout=60)
    stopping.set()
    thread.join(60)
    assert not thread.is_alive()
    assert not ran.acquire(blocking=False)


def test_the_files_of_heartbeats_are_their_owners_alone(tmp_path: Path) -> None:
    with running([Sweep("a", 1.0, lambda: None)], tmp_path, "upkeep"):
        pass
    (beat,) = run_folder(tmp_path).iterdir()
    assert (beat.name, beat.stat().st_mode & 0o077, run_folder(tmp_path).stat().st_mode & 0o077) == (
        "upkeep.a.120",
        0,
        0,
    )
