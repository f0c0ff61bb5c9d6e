"""The supervisor: it starts, restarts, gives up on nothing, drains, and lets nothing through that is not an event."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.processes import supervisor as module
from gateway.processes.supervisor import Child, Supervisor, pass_log_lines_on
from gateway.watch.heartbeats import Beat, Heartbeats, run_folder
from tests.conftest import ROOT

EVENT = json.dumps({"time": "t", "level": "info", "process": "work", "event": "ready"})
STAYS = f"import sys, time; print({EVENT!r}, flush=True); print('CANARY^BIRD', flush=True); time.sleep(60)"
DEAF = (
    f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print({EVENT!r}, flush=True); time.sleep(60)"
)


def supervisor(*scripts: str, drain_s: float = 60.0, **options: object) -> tuple[Supervisor, io.StringIO]:
    sink = io.StringIO()
    made = Supervisor(Path("x.yaml"), (), drain_s, sink=sink, **options)  # type: ignore[arg-type]
    made._children = [Child(f"child{k}", [sys.executable, "-c", script]) for k, script in enumerate(scripts)]
    return made, sink


def wait(until: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_process_that_is_killed_is_started_again_and_all_end_with_the_supervisor() -> None:
    made, sink = supervisor(STAYS, STAYS)
    thread = threading.Thread(target=made.run)
    thread.start()
    wait(lambda: sink.getvalue().count("ready") == 2)
    first = made._children[0].process
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    wait(lambda: sink.getvalue().count("ready") == 3)
    made.stop()
    thread.join(60)
    assert [child.process.returncode for child in made._children if child.process] == [-signal.SIGTERM] * 2
    assert "CANARY" not in sink.getvalue()


def test_a_process_that_does_not_end_in_time_is_killed() -> None:
    made, sink = supervisor(DEAF, drain_s=0.3)
    thread = threading.Thread(target=made.run)
    thread.start()
    wait(lambda: "ready" in sink.getvalue())
    made.stop()
    thread.join(60)
    process = made._children[0].process
    assert process is not None
    assert process.returncode == -signal.SIGKILL


def test_the_pause_before_the_next_life_doubles_and_a_person_is_told() -> None:
    told: list[str] = []
    made, _ = supervisor("", on_keeps_dying=told.append)
    child, pauses, now = made._children[0], [], 1000.0
    for _ in range(8):
        made._note_death(child, now)
        pauses.append(child.start_at - now)
        now += 1
    assert pauses[:5] == [0.0, 1.0, 2.0, 4.0, 8.0]
    assert max(pauses) <= 30.0
    assert set(told) == {"child0"}
    made._note_death(child, now + 1000)
    assert child.start_at == now + 1000


def test_the_file_of_life_is_touched_only_while_every_process_runs(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    made, _ = supervisor(STAYS, "", alive=alive)
    made._children[1].start_at = float("inf")
    made._touch_alive_file(0.0)
    assert not alive.exists()
    made._children = made._children[:1]
    made._keep_running(made._children[0], 0.0)
    made._touch_alive_file(0.0)
    assert alive.exists()
    alive.unlink()
    made._touch_alive_file(4.0)
    assert not alive.exists()
    made._touch_alive_file(5.0)
    assert alive.exists()
    made._drain()


@pytest.mark.parametrize("line", ["", "text", "{", "[1]", '{"event": "x"}', "{'a': 1}"])
def test_nothing_is_passed_on_that_is_not_an_event(line: str) -> None:
    sink = io.StringIO()
    pass_log_lines_on(io.BytesIO(line.encode() + b"\n\xff\xfe\n" + EVENT.encode()), sink)
    assert sink.getvalue() == EVENT + "\n"


BEATS = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from gateway.watch.heartbeats import Heartbeat
beat = Heartbeat(Path(sys.argv[1]), sys.argv[2], "loop", 20)
print({EVENT!r}, flush=True)
while True:
    beat()
    time.sleep(0.1)
"""


def test_a_process_that_hangs_is_killed_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_END_S", 0.5)
    told: list[tuple[str, str]] = []
    made, sink = supervisor(spool=tmp_path, on_hangs=lambda kind, loop, seconds: told.append((kind, loop)))
    made._children = [Child(kind, [sys.executable, "-c", BEATS, str(tmp_path), kind]) for kind in ("work", "web")]
    thread = threading.Thread(target=made.run)
    thread.start()
    wait(lambda: sink.getvalue().count("ready") == 2)
    hung, other = (child.process for child in made._children)
    assert hung is not None and other is not None  # noqa: PT018 - for mypy
    os.kill(hung.pid, signal.SIGSTOP)
    wait(lambda: sink.getvalue().count("ready") == 3)
    assert hung.returncode == -signal.SIGKILL
    assert made._children[1].process is other
    assert other.poll() is None
    made.stop()
    thread.join(60)
    assert told == [("work", "loop")]


def beats_of(spool: Path, *kinds: str, age_s: float = 0.0) -> list[Beat]:
    return [Beat(run_folder(spool).name, kind, "loop", 10.0, 0.0, age_s) for kind in kinds]


def test_a_process_that_never_begins_to_beat_is_ended(tmp_path: Path) -> None:
    told: list[tuple[str, str, float]] = []
    made, _ = supervisor(STAYS, spool=tmp_path, on_hangs=lambda *what: told.append(what))
    child = made._children[0]
    made._keep_running(child, 0.0)
    assert child.process is not None
    made._end_if_it_hangs(child, [], 899.0)
    made._end_if_it_hangs(child, beats_of(tmp_path, "child0"), 901.0)
    assert (told, child.kill_at) == ([], None)
    made._end_if_it_hangs(child, [], 901.0)
    assert told == [("child0", "start", 901.0)]
    assert child.process.wait(60) == -signal.SIGTERM
    made._drain()


def test_another_machines_process_that_hangs_is_not_ours(tmp_path: Path) -> None:
    made, _ = supervisor("", spool=tmp_path)
    beat = Beat("another", "child0", "loop", 10.0, 0.0, 99.0)
    assert not made._is_of(made._children[0], beat)
    assert made._is_of(made._children[0], beats_of(tmp_path, "child0")[0])


def test_neither_a_full_disk_nor_a_want_of_processes_ends_the_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made, _ = supervisor(STAYS, alive=tmp_path / "there is no such folder" / "alive", spool=tmp_path)
    child = made._children[0]
    made._keep_running(child, 0.0)
    made._touch_alive_file(0.0)
    assert "file of life cannot be touched" in caplog.text
    made._drain()

    def fail(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(module.subprocess, "Popen", fail)
    child.process = None
    for now in (1.0, 2.0):
        made._keep_running(child, now)
    assert caplog.text.count("process cannot be started") == 2
    assert (len(child.deaths), child.start_at) == (2, 3.0)


def test_a_spool_that_hangs_stops_neither_the_supervisor_nor_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SILENT_S", 0.5)
    answers, silent = threading.Event(), threading.Event()
    look = Heartbeats.look

    def hang(heartbeats: Heartbeats) -> list[Beat]:
        answers.wait(60)
        return look(heartbeats)

    monkeypatch.setattr(Heartbeats, "look", hang)
    made, sink = supervisor(STAYS, spool=tmp_path, on_silent=silent.set)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    wait(lambda: sink.getvalue().count("ready") == 1)
    assert silent.wait(60)
    first = made._children[0].process
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    wait(lambda: sink.getvalue().count("ready") == 2)
    made.stop()
    thread.join(60)
    assert not thread.is_alive()
    answers.set()


def test_a_beat_of_an_earlier_life_is_not_this_ones(tmp_path: Path) -> None:
    made, _ = supervisor(STAYS, spool=tmp_path)
    child = made._children[0]
    made._keep_running(child, 100.0)
    made._beats = beats_of(tmp_path, "child0", age_s=99.0)
    made._end_what_hangs(101.0)
    assert child.kill_at is None
    child.started = 0.0
    made._end_what_hangs(101.0)
    assert child.kill_at is not None
    made._drain()
