"""Run all processes of the node on one machine, start again what dies, and stop in good order.

Of what a child writes to its standard streams only our own JSON log lines are passed on. A library that prints a data
set prints it to nobody.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from gateway.logs import log_event

KINDS: Final = ("receive", "work", "deliver", "upkeep", "web")
"""The processes, in the order in which they are asked to stop: first nothing new comes in, then work drains."""

_LONGEST_PAUSE_S: Final = 30.0
_MANY_DEATHS: Final = 5
_WINDOW_S: Final = 120.0
"""A process that dies so often within this time needs a person."""

_POLL_S: Final = 0.1
_TOUCH_S: Final = 5.0


@dataclass
class Child:
    """One process of the node, and when it died before."""

    kind: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    start_at: float = 0.0
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=_MANY_DEATHS))

    @property
    def alive(self) -> bool:
        """Return whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def keeps_dying(self, now: float) -> bool:
        """Return whether the process died so often of late that a person should look."""
        return len(self.deaths) == _MANY_DEATHS and now - self.deaths[0] < _WINDOW_S


class Supervisor:
    """Keep one process of each kind alive.

    Parameters
    ----------
    config
        ``gateway.yaml``, handed to every child.
    kinds
        Which of :data:`KINDS` to run.
    drain_s
        How long the children get to finish, in seconds; then they are killed.
    on_keeps_dying
        Called with a kind whose process keeps dying.
    sink
        Where the children's own log lines go.
    alive
        A file that is touched while every child runs, for a probe that reads its age; None for none.
    """

    def __init__(
        self,
        config: Path,
        kinds: Sequence[str] = KINDS,
        drain_s: float = 60.0,
        on_keeps_dying: Callable[[str], None] = lambda kind: None,
        sink: IO[str] = sys.stderr,
        alive: Path | None = None,
    ) -> None:
        python = [sys.executable, "-m", "gateway"]
        self._children = [Child(kind, [*python, kind, "--config", str(config)]) for kind in kinds]
        self._drain_s, self._on_keeps_dying, self._sink = drain_s, on_keeps_dying, sink
        self._alive, self._touch_at = alive, 0.0
        self._stopping = threading.Event()

    def run(self) -> None:
        """Run until :meth:`stop`; then drain."""
        while not self._stopping.is_set():
            for child in self._children:
                self._keep_running(child, time.monotonic())
            self._touch_alive_file(time.monotonic())
            self._stopping.wait(_POLL_S)
        self._drain()

    def stop(self) -> None:
        """Ask :meth:`run` to end; may be called by a signal handler."""
        self._stopping.set()

    def _touch_alive_file(self, now: float) -> None:
        if self._alive and now >= self._touch_at and all(child.alive for child in self._children):
            self._alive.touch()
            self._touch_at = now + _TOUCH_S

    def _keep_running(self, child: Child, now: float) -> None:
        if child.alive:
            return
        if child.process is not None:
            self._note_death(child, now)
        elif now >= child.start_at:
            child.process = self._start(child)

    def _note_death(self, child: Child, now: float) -> None:
        """Log a death, and set when the process starts again: at once, then after 1 s, 2 s, 4 s, ..."""
        code = child.process.returncode if child.process else 0
        log_event("process ended", "error", process=child.kind, exit_code=code)
        child.process = None
        recent = sum(now - death < _WINDOW_S for death in child.deaths)
        child.deaths.append(now)
        child.start_at = now + (min(_LONGEST_PAUSE_S, 2.0 ** (recent - 1)) if recent else 0.0)
        if child.keeps_dying(now):
            self._on_keeps_dying(child.kind)

    def _start(self, child: Child) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            child.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        threading.Thread(target=pass_log_lines_on, args=(process.stdout, self._sink), daemon=True).start()
        log_event("process started", process=child.kind)
        return process

    def _drain(self) -> None:
        """Ask one kind after the other to end, wait for all, and kill what is still there."""
        deadline = time.monotonic() + self._drain_s
        for child in self._children:
            if child.process is not None and child.alive:
                child.process.send_signal(signal.SIGTERM)
        for child in self._children:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log_event("process did not end in time", "error", process=child.kind)
                child.process.kill()
                child.process.wait()
        log_event("stopped")


def pass_log_lines_on(stream: IO[bytes], sink: IO[str]) -> None:
    """Write our own JSON log lines to another stream, and drop everything else.

    Parameters
    ----------
    stream
        What a child writes.
    sink
        Gets the log lines.
    """
    for raw in stream:
        line = raw.decode("utf-8", "replace").rstrip("\n")
        if _is_event(line):
            print(line, file=sink, flush=True)


def _is_event(line: str) -> bool:
    if not line.startswith("{"):
        return False
    try:
        values = json.loads(line)
    except ValueError:
        return False
    return isinstance(values, dict) and {"time", "level", "process", "event"} <= values.keys()
