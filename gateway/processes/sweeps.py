"""Sweeps: what is run again and again, each in a thread of its own, so that one that hangs holds up itself alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from candor.files.privacy import name_of, place_of
from gateway.logs import Trouble
from gateway.watch.heartbeats import LIMIT_S, Heartbeat

_END_S: Final = 20.0
_BEAT_S: Final = 5.0


@dataclass(frozen=True)
class Sweep:
    """Something that is run again and again.

    Parameters
    ----------
    name
        Stands in the log when the sweep fails, and names its heartbeat.
    every_s
        Seconds from the end of one run to the start of the next.
    run
        Looks for what is due, and does it.
    limit_s
        A run that takes longer, in seconds, hangs: the supervisor starts the process again.
    """

    name: str
    every_s: float
    run: Callable[[], object]
    limit_s: float = LIMIT_S


@contextmanager
def running(sweeps: Sequence[Sweep], spool: Path, process: str) -> Iterator[None]:
    """Run sweeps, each in a thread of its own; at the end ask them to stop, and leave behind what hangs.

    Parameters
    ----------
    sweeps
        Those to run.
    spool
        The setting ``spool``, for the heartbeats.
    process
        Whose sweeps they are.
    """
    stopping = threading.Event()
    beats = [Heartbeat(spool, process, sweep.name, sweep.limit_s) for sweep in sweeps]
    threads = [
        threading.Thread(target=repeat, args=(sweep, beat, stopping), name=sweep.name, daemon=True)
        for sweep, beat in zip(sweeps, beats, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        deadline = time.monotonic() + _END_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def repeat(sweep: Sweep, beat: Callable[[], None], stopping: threading.Event) -> None:
    """Run a sweep until asked to stop. That it fails is logged, once a minute, and does not end it.

    Parameters
    ----------
    sweep
        What to run.
    beat
        Called before and after each run, and while waiting for the next.
    stopping
        Is set when the sweep is to stop.
    """
    trouble = Trouble("sweep failed", "error", what=sweep.name)
    while not stopping.is_set():
        beat()
        try:
            sweep.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look must come
            trouble.failed(kind=name_of(error), where=place_of(error))
        else:
            trouble.worked()
        _wait(sweep.every_s, beat, stopping)


def _wait(seconds: float, beat: Callable[[], None], stopping: threading.Event) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        beat()
        if stopping.wait(min(left, _BEAT_S)):
            return
