"""The process of sweeps. Each sweep looks at the tables, finds what is due, and does it; none keeps anything in memory.

Several may run at once, on several machines: what a sweep changes, it changes with a condition on what it found.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from gateway.assess.deadline import enforce_deadlines, settle_alarms
from gateway.assess.study_sweeps import bound_times, end_overtaking, queue_complete, requeue_lost
from gateway.deliver.requeue import requeue_lost_deliveries
from gateway.deliver.withdrawal import withdraw_rejected
from gateway.jobs.jobs import Jobs
from gateway.processes.queue import opened_queue
from gateway.processes.start import started, stop_event
from gateway.processes.sweeps import Sweep, running
from gateway.settings import Settings
from gateway.store.alarms import AlarmKind, clear_alarm, raise_alarm
from gateway.store.database import database_clock
from gateway.store.schema import studies
from gateway.store.spool import Spool
from gateway.store.states import StudyState
from gateway.watch.drift import watch_drift
from gateway.watch.heartbeats import LOOKED, NONE_WAITS, WAITING, Heartbeat
from gateway.watch.kept_alarms import forget_machines
from gateway.watch.retention import retain
from gateway.watch.scrub import EVERY_S as SCRUB_EVERY_S
from gateway.watch.scrub import scrub
from gateway.watch.webhook import tell

_SHORTEST_S: Final = 0.02
_LONGEST_S: Final = 0.1
_WEBHOOK_S: Final = 600.0
"""For some calls in turn, each of which may take its whole time."""

_LONG_S: Final = 3600.0
"""For what goes through all studies."""


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
    looked = Heartbeat(Path(settings.spool), *LOOKED, limit_s=0)

    def complete() -> None:
        queue_complete(database, settings, jobs, now())
        looked()

    return [Sweep("complete", every_s, complete)]


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
    waiting, none_waits = (Heartbeat(Path(settings.spool), *mark, limit_s=0) for mark in (WAITING, NONE_WAITS))
    return [
        Sweep("deadlines", 1.0, lambda: enforce_deadlines(database, settings, spool, jobs, now())),
        Sweep("webhook", 2.0, lambda: tell(database, settings.alarms.webhook, now()), _WEBHOOK_S),
        Sweep("rejections", 1.0, lambda: withdraw_rejected(database, settings, spool, jobs, now())),
        Sweep("times ahead", 5.0, lambda: bound_times(database, settings.studies, now())),
        Sweep("overtaking", 5.0, lambda: end_overtaking(database, settings, jobs, now())),
        Sweep("settled alarms", 5.0, lambda: settle_alarms(database, now())),
        Sweep("lost studies", 10.0, lambda: requeue_lost(database, jobs, now())),
        Sweep("lost deliveries", 30.0, lambda: requeue_lost_deliveries(database, jobs, now())),
        Sweep("broken jobs", 30.0, lambda: watch_jobs(database, jobs, now())),
        Sweep("retention", 60.0, lambda: retain(database, settings, spool, jobs, now()), _LONG_S),
        Sweep("scrub", SCRUB_EVERY_S, lambda: scrub(database, settings.keep, spool, now()), _LONG_S),
        Sweep("drift", 60.0, lambda: watch_drift(database, settings, now()), _LONG_S),
        Sweep("marks", 5.0, lambda: mark_waiting(database, waiting, none_waits)),
        Sweep("machines", 600.0, lambda: forget_machines(database, spool.root, now())),
    ]


def mark_waiting(database: sa.Engine, waiting: Callable[[], None], none_waits: Callable[[], None]) -> None:
    """Mark whether studies wait for a worker, for the supervisor, which asks no database.

    Parameters
    ----------
    database
        The node's database.
    waiting
        Called where a study waits.
    none_waits
        Called where none does.
    """
    query = sa.select(studies.c.version).where(studies.c.state == StudyState.WAITING.value).limit(1)
    with database.connect() as connection:
        is_waiting = connection.execute(query).first() is not None
    (waiting if is_waiting else none_waits)()


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
    """Run all sweeps until asked to stop.

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
    sweeps = quick_sweeps(database, settings, jobs, now) + slow_sweeps(database, settings, spool, jobs, now)
    with running(sweeps, Path(settings.spool), "upkeep"):
        stopping.wait()
