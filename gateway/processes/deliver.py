"""The process that delivers results."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from gateway.deliver.commitment_request import Committer
from gateway.deliver.deliverer import Deliverer
from gateway.deliver.delivery_outcome import settle_studies, watch_dead_letters
from gateway.deliver.stop import Stop
from gateway.processes.queue import Busy, opened_queue
from gateway.processes.start import started, stop_event
from gateway.processes.sweeps import Sweep, running
from gateway.settings import Settings
from gateway.store.database import database_clock
from gateway.store.spool import Spool
from gateway.store.study import Study
from gateway.watch.heartbeats import Heartbeat

_DRAIN_S: Final = 20.0
"""How long the process may take to end. After half of it the associations that are still under way are ended."""

_LOOK_S: Final = 0.5
_MODE_LOOK_S: Final = 0.25
_HOUR_S: Final = 3600.0
_DELIVERY_S: Final = 3600.0
"""One delivery is all objects of a study: many, to a slow archive."""

_ASKING_S: Final = 600.0
"""Of the storage commitment of a destination that does not answer."""


def run_deliver(settings: Settings) -> None:
    """Run the process until a signal ends it."""
    with started(settings, "deliver") as (database, spool):
        deliver(settings, database, spool, stop_event())


def deliver(settings: Settings, database: sa.Engine, spool: Spool, stopping: threading.Event) -> None:
    """Make deliveries and look after them until asked to stop.

    Each destination has its own jobs (:mod:`gateway.jobs.jobs`) and its own thread that asks for storage commitment, so
    one that hangs holds back no other.

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
    stop = Stop()
    stop.look(database)
    mode = Sweep("mode", _MODE_LOOK_S, lambda: stop.look(database))
    with (
        running([mode], folder, "deliver"),  # to the end: what drains is stopped by shadow mode too
        opened_queue(database, settings, _DRAIN_S, process="deliver") as jobs,
    ):
        deliverer = Deliverer(database, settings, spool, jobs, now=database_clock(database), stop=stop)

        def send(study: Study, destination: str, attempt: int) -> None:
            with busy.job():
                deliverer.deliver(study, destination, attempt)

        jobs.run_deliveries(send)
        ending = threading.Timer(_DRAIN_S / 2, stop.end)
        ending.daemon = True
        with running(sweeps(database, settings, deliverer, stop), folder, "deliver"):
            busy.beat_until(stopping, beat)
            ending.start()
    ending.cancel()
    stop.end()


def sweeps(database: sa.Engine, settings: Settings, deliverer: Deliverer, stop: Stop) -> list[Sweep]:
    """Return the sweeps that look after deliveries; each destination has one that asks for storage commitment.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    deliverer
        Sends again what no archive committed to.
    stop
        Ends all sending at once.
    """
    now = database_clock(database)
    committer = Committer(database, settings, now=now, stop=stop)
    committing = [destination for destination in settings.destinations if destination.commitment]
    return [
        Sweep("old commitments", _HOUR_S, committer.forget),
        Sweep("uncommitted", _LOOK_S, deliverer.requeue_uncommitted),
        Sweep("settle", _LOOK_S, lambda: settle_studies(database, settings, now())),
        Sweep("dead letters", _LOOK_S, lambda: watch_dead_letters(database, now())),
        *(
            Sweep(f"commitment of {destination.name}", _LOOK_S, partial(committer.ask_one, destination), _ASKING_S)
            for destination in committing
        ),
    ]
