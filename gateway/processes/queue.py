"""Open the queue of jobs, for a process that does them and for a verb that adds to them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from gateway.jobs.jobs import Jobs
from gateway.jobs.lease import TTL_S, new_executor_id
from gateway.settings import Settings
from gateway.watch.heartbeats import Heartbeat


@contextmanager
def opened_queue(
    database: sa.Engine, settings: Settings, drain_s: float = 0.0, ttl_s: float = TTL_S, process: str | None = None
) -> Iterator[Jobs]:
    """Open the queue of jobs, and close it at the end.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    drain_s
        How long the jobs of this process get to finish at the end, in seconds.
    ttl_s
        How long the lease of this process lasts without being extended, in seconds.
    process
        Its name where it does jobs; None where it adds to them only.
    """
    turned = (lambda: None) if process is None else Heartbeat(Path(settings.spool), process, "lease")
    jobs = Jobs(database, settings, new_executor_id(), ttl_s, turned)
    try:
        yield jobs
    finally:
        jobs.stop(drain_s)


class Busy:
    """The jobs that a process has under way: whether one of them takes too long.

    Parameters
    ----------
    limit_s
        A job that takes longer, in seconds, hangs.
    clock
        Returns seconds of any origin, which never go back.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s, self._clock = limit_s, clock
        self._begun: dict[object, float] = {}

    @contextmanager
    def job(self) -> Iterator[None]:
        """Count the time of a job."""
        key = object()
        self._begun[key] = self._clock()
        try:
            yield
        finally:
            del self._begun[key]

    def beat_until(self, stopping: threading.Event, beat: Callable[[], None], every_s: float = 1.0) -> None:
        """Beat while no job hangs, until asked to stop.

        Parameters
        ----------
        stopping
            Is set when the process is to stop.
        beat
            The heartbeat of the jobs.
        every_s
            Seconds between two beats.
        """
        while not stopping.wait(every_s):
            if not self.hangs:
                beat()

    @property
    def hangs(self) -> bool:
        """Return whether a job takes too long."""
        return any(self._clock() - begun > self._limit_s for begun in tuple(self._begun.values()))
