"""The process that assesses studies."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from candor.study.provenance import ForeignFit
from gateway.assess.assessor import Application, ApplicationStopped, Assessor
from gateway.assess.fit import hold_unless_permitted
from gateway.jobs.lease import TTL_S
from gateway.logs import log_event
from gateway.processes.queue import Busy, opened_queue
from gateway.processes.start import started, stop_event
from gateway.settings import Settings
from gateway.store.database import database_clock, writing
from gateway.store.mode import foreign_fit_of
from gateway.store.spool import Spool
from gateway.store.study import Study
from gateway.watch.heartbeats import WORKED, Heartbeat

_DRAIN_S: Final = 30.0
_GRACE_S: Final = 120.0
"""Beyond ``work.study_timeout_s``, when the worker ends itself: for the objects' check and the database."""


def run_work(settings: Settings) -> None:
    """Run the process until a signal ends it."""
    from gateway.assess.application import Worker  # torch comes with it, and whoever needs work() alone needs no torch

    with (
        started(settings, "work") as (database, spool),
        Worker(settings, partial(_permission, database)) as application,
    ):
        stopping = stop_event()  # after the application's start: holoscan traps the signals for itself
        with writing(database) as connection:
            hold_unless_permitted(connection, application.fit, database_clock(database)())
        log_event("worker ready")
        work(settings, database, spool, application, stopping)


def work(
    settings: Settings,
    database: sa.Engine,
    spool: Spool,
    application: Application,
    stopping: threading.Event,
    ttl_s: float = TTL_S,
) -> None:
    """Do the jobs of the queue of studies until asked to stop, or until the application has ended.

    Parameters
    ----------
    settings
        The node's.
    database
        The node's database.
    spool
        Holds the images, and gets the results.
    application
        Assesses a study.
    stopping
        Is set when the worker is to stop; set here when the application has ended.
    ttl_s
        How long the lease of this process lasts without being extended, in seconds.
    """
    folder = Path(settings.spool)
    busy, worked = Busy(settings.work.study_timeout_s + _GRACE_S), Heartbeat(folder, *WORKED, limit_s=0, every_s=0)
    beat = Heartbeat(folder, "work", "jobs")
    worked()  # a new worker: those that wait are waited for anew
    with opened_queue(database, settings, _DRAIN_S, ttl_s, "work") as jobs:
        assessor = Assessor(database, settings, spool, jobs, application, database_clock(database), _end_process)

        def assess(study: Study) -> None:
            try:
                with busy.job():
                    assessor.assess(study)
            except ApplicationStopped:
                stopping.set()
                raise
            finally:
                worked()

        jobs.run_studies(assess)
        busy.beat_until(stopping, beat)


def _permission(database: sa.Engine, bundle_sha256: str) -> ForeignFit | None:
    with database.connect() as connection:
        return foreign_fit_of(connection, bundle_sha256)


def _end_process() -> None:
    """End at once: what hangs in native code hears nothing else. Another process gets the job then."""
    os.kill(os.getpid(), signal.SIGKILL)
