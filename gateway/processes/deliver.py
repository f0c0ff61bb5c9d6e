"""The process that delivers results."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from gateway.deliver.commitment_request import Committer
from gateway.deliver.completion import settle_studies, watch_dead_letters
from gateway.deliver.deliverer import Deliverer
from gateway.processes.queue import Busy, opened_queue
from gateway.processes.start import started, stop_event
from gateway.processes.sweeps import Sweep, running
from gateway.settings import Settings
from gateway.store.database import database_clock
from gateway.store.spool import Spool
from gateway.store.study import Study
from gateway.watch.heartbeats import Heartbeat

_DRAIN_S: Final = 20.0
_LOOK_S: Final = 0.5
_HOUR_S: Final = 3600.0
_DELIVERY_S: Final = 3600.0
"""One delivery is all objects of a study: many, to a slow archive."""

_ASKING_S: Final = 600.0
"""Of the storage commitment of all destinations in turn, some of which do not answer."""


def run_deliver(settings: Settings) -> None:
    """Run the process until a signal ends it."""
    with started(settings, "deliver") as (database, spool):
        deliver(settings, database, spool, stop_event())


def deliver(settings: Settings, database: sa.Engine, spool: Spool, stopping: threading.Event) -> None:
    """Make deliveries and look after them until asked to stop.

    Parameters
    ----------
    settings
        The node's.
    database
        The node's database.
    spool
        Holds the results.
    stopping
        Is set when the deliverer is to stop.
    """
    folder = Path(settings.spool)
    busy, beat = Busy(_DELIVERY_S), Heartbeat(folder, "deliver", "jobs")
    with opened_queue(database, settings, _DRAIN_S, process="deliver") as jobs:
        deliverer = Deliverer(database, settings, spool, jobs, now=database_clock(database))

        def send(study: Study, destination: str, attempt: int) -> None:
            with busy.job():
                deliverer.deliver(study, destination, attempt)

        jobs.run_deliveries(send)
        with running(sweeps(database, settings, deliverer), folder, "deliver"):
            busy.beat_until(stopping, beat)


def sweeps(database: sa.Engine, settings: Settings, deliverer: Deliverer) -> list[Sweep]:
    """Return the sweeps that look after deliveries.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    deliverer
        Sends again what no archive committed to.
    """
    now = database_clock(database)
    committer = Committer(database, settings, now=now)
    return [
        Sweep("commitment", _LOOK_S, committer.ask, _ASKING_S),
        Sweep("old commitments", _HOUR_S, committer.forget),
        Sweep("uncommitted", _LOOK_S, deliverer.requeue_uncommitted),
        Sweep("settle", _LOOK_S, lambda: settle_studies(database, settings, now())),
        Sweep("dead letters", _LOOK_S, lambda: watch_dead_letters(database, now())),
    ]
