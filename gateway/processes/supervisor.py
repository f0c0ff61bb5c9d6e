"""Run all processes of the node on one machine, start again what dies or hangs, and stop in good order.

A process hangs when one of its heartbeats (:mod:`gateway.watch.heartbeats`) is too old: it is asked to end, and killed
if it does not. The supervisor uses no database, and nothing that fails here ends it. A thread of its own looks at the
spool, which may hang: a network share does, when its server is gone.

Of what a child writes to its standard streams only our own JSON log lines are passed on. A library that prints a data
set prints it to nobody.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from candor.files.privacy import cause_of
from gateway.logs import Trouble, log_event
from gateway.processes import KINDS
from gateway.processes.start import SUPERVISED
from gateway.watch.heartbeats import Beat, Heartbeat, Heartbeats, run_folder

_LONGEST_PAUSE_S: Final = 30.0
_MANY_DEATHS: Final = 5
_WINDOW_S: Final = 120.0
"""A process that dies so often within this time needs a person."""

_END_S: Final = 30.0
"""A process that hangs gets so long to end."""

_BEGIN_S: Final = 900.0
"""A process without a heartbeat yet: the worker loads its model, the receiver reads a spool that lost its rows."""

_LOOK_S: Final = 1.0
_SILENT_S: Final = 60.0
"""A look at the spool that takes so long hangs."""

_DIE_S: Final = 5.0
"""What was killed is gone by then, or waits for a disk that hangs."""

_PAUSE_S: Final = 10.0
_POLL_S: Final = 0.1
_TOUCH_S: Final = 5.0


@dataclass
class Child:
    """One process of the node: when it began, when it is to be killed because it hangs, and when it died before."""

    kind: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    start_at: float = 0.0
    started: float = 0.0
    kill_at: float | None = None
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
        Which of :data:`gateway.processes.KINDS` to run.
    drain_s
        How long the children get to finish, in seconds; then they are killed.
    on_keeps_dying
        Called with a kind whose process keeps dying.
    sink
        Where the children's own log lines go.
    alive
        A file that is touched while every child runs, for a probe that reads its age; None for none.
    spool
        Where the children's heartbeats are; None to go by their deaths alone.
    on_hangs
        Called with a kind whose process hangs, with the loop, and for how many seconds.
    on_look
        Called about once a second with the heartbeats of all machines.
    on_silent
        Called again and again while the spool does not answer.
    """

    def __init__(
        self,
        config: Path,
        kinds: Sequence[str] = KINDS,
        drain_s: float = 60.0,
        on_keeps_dying: Callable[[str], None] = lambda kind: None,
        sink: IO[str] = sys.stderr,
        alive: Path | None = None,
        spool: Path | None = None,
        on_hangs: Callable[[str, str, float], None] = lambda kind, loop, seconds: None,
        on_look: Callable[[list[Beat]], None] = lambda beats: None,
        on_silent: Callable[[], None] = lambda: None,
    ) -> None:
        python = [sys.executable, "-m", "gateway"]
        self._children = [Child(kind, [*python, kind, "--config", str(config)]) for kind in kinds]
        self._drain_s, self._on_keeps_dying, self._sink = drain_s, on_keeps_dying, sink
        self._alive, self._touch_at = alive, 0.0
        self._spool, self._on_hangs, self._on_look, self._on_silent = spool, on_hangs, on_look, on_silent
        self._heartbeats = None if spool is None else Heartbeats(spool, pause_s=_PAUSE_S)
        self._own = None if spool is None else Heartbeat(spool, "serve", "supervisor")
        self._answered = float("inf")
        self._beats: list[Beat] | None = None
        self._unreadable = Trouble("heartbeats cannot be read", "error")
        self._untouchable = Trouble("file of life cannot be touched", "error")
        self._stopping = threading.Event()

    def run(self) -> None:
        """Run until :meth:`stop`; then drain."""
        self._answered = time.monotonic()
        threading.Thread(target=self._watch, name="spool", daemon=True).start()
        while not self._stopping.is_set():
            now = time.monotonic()
            for child in self._children:
                self._keep_running(child, now)
            if self._is_silent(now):
                self._on_silent()
            else:
                self._end_what_hangs(now)
                self._touch_alive_file(now)
            self._stopping.wait(_POLL_S)
        self._drain()

    def stop(self) -> None:
        """Ask :meth:`run` to end; may be called by a signal handler."""
        self._stopping.set()

    def _touch_alive_file(self, now: float) -> None:
        if self._alive and now >= self._touch_at and all(child.alive for child in self._children):
            self._touch_at = now + _TOUCH_S
            try:
                self._alive.touch()
                self._untouchable.worked()
            except OSError as error:
                self._untouchable.failed(reason=cause_of(error))

    def _is_silent(self, now: float) -> bool:
        return now - self._answered > _SILENT_S

    def _watch(self) -> None:
        """Look at the heartbeats again and again: the only part that touches the spool."""
        while not self._stopping.is_set():
            self._look()
            self._stopping.wait(_LOOK_S)

    def _look(self) -> None:
        if self._heartbeats is None or self._own is None:
            self._answered = float("inf")
            return
        self._own()
        try:
            beats = self._heartbeats.look()
        except OSError as error:  # nobody could beat either
            self._answered, self._beats = time.monotonic(), None
            self._unreadable.failed(reason=cause_of(error))
            return
        self._answered, self._beats = time.monotonic(), beats
        self._unreadable.worked()
        self._on_look(beats)

    def _end_what_hangs(self, now: float) -> None:
        beats = self._beats
        if beats is None:
            return
        for child in self._children:
            if child.alive:
                # What an earlier life of the process left behind was last seen to change before this one began.
                own = [beat for beat in beats if self._is_of(child, beat) and beat.changed >= child.started]
                self._end_if_it_hangs(child, own, now)

    def _is_of(self, child: Child, beat: Beat) -> bool:
        return beat.process == child.kind and self._spool is not None and beat.machine == run_folder(self._spool).name

    def _end_if_it_hangs(self, child: Child, beats: Sequence[Beat], now: float) -> None:
        """Ask a process to end in which a loop hangs, and kill it if it does not."""
        if child.process is None:
            return
        if child.kill_at is not None:
            if now >= child.kill_at:
                child.process.kill()
            return
        late = [(beat.loop, beat.age_s) for beat in beats if beat.is_late]
        if not beats and now - child.started > _BEGIN_S:
            late = [("start", now - child.started)]
        if late:
            loop, seconds = max(late, key=lambda each: each[1])
            log_event("process hangs", "error", process=child.kind, what=loop, seconds=round(seconds))
            child.process.terminate()
            child.kill_at = now + _END_S
            self._on_hangs(child.kind, loop, seconds)

    def _keep_running(self, child: Child, now: float) -> None:
        if child.alive:
            return
        if child.process is not None:
            self._note_death(child, now)
        elif now >= child.start_at:
            self._start(child, now)

    def _note_death(self, child: Child, now: float) -> None:
        """Log a death, and set when the process starts again: at once, then after 1 s, 2 s, 4 s, ..."""
        if child.process is not None:
            log_event("process ended", "error", process=child.kind, exit_code=child.process.returncode)
            _close(child.process)
        child.process = child.kill_at = None
        recent = sum(now - death < _WINDOW_S for death in child.deaths)
        child.deaths.append(now)
        child.start_at = now + (min(_LONGEST_PAUSE_S, 2.0 ** (recent - 1)) if recent else 0.0)
        if child.keeps_dying(now):
            self._on_keeps_dying(child.kind)

    def _start(self, child: Child, now: float) -> None:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                child.command,
                stdin=subprocess.PIPE,  # ends when we do: gateway.processes.start
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=os.environ | {SUPERVISED: "1"},
                start_new_session=True,
            )
        except OSError as error:  # no memory, no free process: as a death, so that it is tried again and told
            log_event("process cannot be started", "error", process=child.kind, reason=cause_of(error))
            self._note_death(child, now)
            return
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        threading.Thread(target=pass_log_lines_on, args=(process.stdout, self._sink), daemon=True).start()
        log_event("process started", process=child.kind)
        child.process, child.started = process, now

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
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(_DIE_S)
            _close(child.process)
        log_event("stopped")


def _close(process: subprocess.Popen[bytes]) -> None:
    """Close our end of the pipe that a process has watched."""
    if process.stdin is not None:
        process.stdin.close()


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
