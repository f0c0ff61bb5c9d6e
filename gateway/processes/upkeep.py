"""The process of sweeps. Each sweep looks at the tables, finds what is due, and does it; none keeps anything in memory.

Several may run at once, on several machines: what a sweep changes, it changes with a condition on what it found.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from candor.files.privacy import name_of, place_of
from gateway.assess.completion import (
    bound_times,
    end_overtaking,
    queue_complete,
    requeue_lost,
    requeue_lost_deliveries,
)
from gateway.assess.deadline import enforce_deadlines, settle_alarms
from gateway.jobs.jobs import Jobs
from gateway.logs import log_event
from gateway.processes.queue import opened_queue
from gateway.processes.start import started, stop_event
from gateway.settings import Settings
from gateway.store.alarms import AlarmKind, clear_alarm, raise_alarm
from gateway.store.database import database_clock
from gateway.store.spool import Spool
from gateway.watch.drift import watch_drift
from gateway.watch.retention import retain
from gateway.watch.scrub import EVERY_S as SCRUB_EVERY_S
from gateway.watch.scrub import scrub
from gateway.watch.webhook import tell

_SHORTEST_S: Final = 0.02
_LONGEST_S: Final = 0.1


@dataclass
class Sweep:
    """Something that is run again and again.

    Parameters
    ----------
    name
        Stands in the log when the sweep fails.
    every_s
        Seconds from the end of one run to the start of the next.
    run
        Looks for what is due, and does it.
    due
        When to run next, by the clock of the process.
    """

    name: str
    every_s: float
    run: Callable[[], object]
    due: float = field(default=0.0)


class Sweeper:
    """Run sweeps in turn until asked to stop; one that fails is logged, and the others go on.

    Parameters
    ----------
    sweeps
        Those to run.
    clock
        Returns seconds of any origin, which never go back.
    """

    def __init__(self, sweeps: Sequence[Sweep], clock: Callable[[], float] = time.monotonic) -> None:
        self._sweeps, self._clock = sweeps, clock
        self._stopping = threading.Event()

    def run(self) -> None:
        """Run until :meth:`stop`."""
        while not self._stopping.wait(max(0.0, min(sweep.due for sweep in self._sweeps) - self._clock())):
            self.step()

    def step(self) -> None:
        """Run what is due."""
        for sweep in self._sweeps:
            if sweep.due <= self._clock():
                _attempt(sweep)
                sweep.due = self._clock() + sweep.every_s

    def stop(self) -> None:
        """Ask :meth:`run` to end; may be called by a signal handler."""
        self._stopping.set()


def quick_sweeps(database: sa.Engine, settings: Settings, jobs: Jobs, now: Callable[[], float]) -> list[Sweep]:
    """Return the sweeps that a study's way through the node waits for.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    jobs
        The queue of jobs.
    now
        Returns the time, in seconds since 1970.
    """
    every_s = min(_LONGEST_S, max(_SHORTEST_S, settings.studies.quiet_s / 10))
    return [Sweep("complete", every_s, lambda: queue_complete(database, settings, jobs, now()))]


def slow_sweeps(
    database: sa.Engine, settings: Settings, spool: Spool, jobs: Jobs, now: Callable[[], float]
) -> list[Sweep]:
    """Return the sweeps that may take long; they must not hold up a study.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    spool
        Holds images and results.
    jobs
        The queue of jobs.
    now
        Returns the time, in seconds since 1970.
    """
    return [
        Sweep("deadlines", 1.0, lambda: enforce_deadlines(database, settings, spool, jobs, now())),
        Sweep("webhook", 2.0, lambda: tell(database, settings.alarms.webhook, now())),
        Sweep("times ahead", 5.0, lambda: bound_times(database, settings.studies, now())),
        Sweep("overtaking", 5.0, lambda: end_overtaking(database, settings, jobs, now())),
        Sweep("settled alarms", 5.0, lambda: settle_alarms(database, now())),
        Sweep("lost studies", 10.0, lambda: requeue_lost(database, jobs, now())),
        Sweep("lost deliveries", 30.0, lambda: requeue_lost_deliveries(database, jobs, now())),
        Sweep("broken jobs", 30.0, lambda: watch_jobs(database, jobs, now())),
        Sweep("retention", 60.0, lambda: retain(database, settings, spool, jobs, now())),
        Sweep("scrub", SCRUB_EVERY_S, lambda: scrub(database, settings.keep, spool, now())),
        Sweep("drift", 60.0, lambda: watch_drift(database, settings, now())),
    ]


def watch_jobs(database: sa.Engine, jobs: Jobs, now: float) -> int:
    """Raise an alarm while there are jobs that were given up, and clear it when they are gone.

    Parameters
    ----------
    database
        The node's database.
    jobs
        The queue of jobs.
    now
        The time, in seconds since 1970.

    Returns
    -------
    How many jobs were given up.
    """
    broken = len(jobs.broken())
    if broken:
        text = f"{broken} jobs failed and are queued again; the log says why"
        raise_alarm(database, AlarmKind.PROCESS, "jobs", text, now)
    else:
        clear_alarm(database, AlarmKind.PROCESS, "jobs", now)
    return broken


def run_upkeep(settings: Settings) -> None:
    """Run the process until a signal ends it."""
    with started(settings, "upkeep") as (database, spool), opened_queue(database, settings) as jobs:
        upkeep(database, settings, spool, jobs, stop_event(), database_clock(database))


def upkeep(
    database: sa.Engine,
    settings: Settings,
    spool: Spool,
    jobs: Jobs,
    stopping: threading.Event,
    now: Callable[[], float] = time.time,
) -> None:
    """Run all sweeps until asked to stop: the slow ones beside the quick ones.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    spool
        Holds images and results.
    jobs
        The queue of jobs.
    stopping
        Is set when the sweeps are to stop.
    now
        Returns the time, in seconds since 1970.
    """
    quick = Sweeper(quick_sweeps(database, settings, jobs, now))
    slow = Sweeper(slow_sweeps(database, settings, spool, jobs, now))
    threads = [threading.Thread(target=sweeper.run, name="upkeep", daemon=True) for sweeper in (quick, slow)]
    for thread in threads:
        thread.start()
    stopping.wait()
    for sweeper in (quick, slow):
        sweeper.stop()
    for thread in threads:
        thread.join()


def _attempt(sweep: Sweep) -> None:
    try:
        sweep.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the other sweeps and the next look must come
        log_event("sweep failed", "error", what=sweep.name, kind=name_of(error), where=place_of(error))
