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

from gateway.processes.supervisor import Child, Supervisor, pass_log_lines_on

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
