"""The process that receives images."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from candor.study.errors import SettingsError
from gateway.deliver.commitment import take
from gateway.processes.start import started, stop_event
from gateway.receive.receiver import Receiver, TakeReport
from gateway.settings import Settings
from gateway.store.database import database_clock
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens
from gateway.watch.heartbeats import ACKNOWLEDGED, Heartbeat

_DRAIN_S: Final = 20.0


def run_receive(settings: Settings) -> None:
    """Run the process until a signal ends it."""
    with started(settings, "receive") as (database, spool):
        receive(settings, database, spool, take, stop_event())


def receive(
    settings: Settings, database: sa.Engine, spool: Spool, take_report: TakeReport, stopping: threading.Event
) -> None:
    """Run the receiver until it is asked to stop.

    Parameters
    ----------
    settings
        The node's.
    database
        The node's database.
    spool
        Gets the images.
    take_report
        Gets the storage commitment reports.
    stopping
        Is set when the receiver is to stop.

    Raises
    ------
    SettingsError
        The spool, the port or the keys cannot be used.
    """
    try:
        folder = Path(settings.spool)
        accepts, acknowledged = Heartbeat(folder, "receive", "accept"), Heartbeat(folder, *ACKNOWLEDGED, limit_s=0)
        receiver = Receiver(
            settings,
            database,
            spool,
            Tokens(folder),
            take_report,
            database_clock(database),
            turned=accepts,
            acknowledged=acknowledged,
        )
        receiver.start()
    except OSError as error:
        where = f"spool {settings.spool} or port {settings.receive.host}:{settings.receive.port}"
        raise SettingsError(f"{where} cannot be used ({error.strerror}); check both") from error
    stopping.wait()
    receiver.stop(_DRAIN_S)
