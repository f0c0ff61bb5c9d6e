"""Start a process of the node. All of them start here, in the same way."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType

import sqlalchemy as sa

from candor.files.privacy import name_of, place_of
from candor.study.errors import SettingsError
from gateway.logs import configure_logs, log_event
from gateway.settings import Settings
from gateway.store.database import open_database
from gateway.store.spool import Spool


@contextmanager
def started(settings: Settings, process: str) -> Iterator[tuple[sa.Engine, Spool]]:
    """Start a process: its logs, its last resort for errors, its database and its spool; close them at the end.

    Signals are not part of it, since a process takes them when it is ready: see :func:`stop_event`.

    Parameters
    ----------
    settings
        The node's.
    process
        Its name in every log line: ``"receive"``, ``"work"``, ...

    Raises
    ------
    SettingsError
        The database or the spool cannot be used.
    """
    configure_logs(settings.log_level, process)
    sys.excepthook = _log_process_failed
    threading.excepthook = _log_thread_failed
    with opened_database(settings) as database:
        yield database, open_spool(settings)


@contextmanager
def opened_database(settings: Settings) -> Iterator[sa.Engine]:
    """Open the node's database, and close it at the end. Files that are made from now on are their owner's alone.

    Raises
    ------
    SettingsError
        The database cannot be used.
    """
    os.umask(0o077)
    database = open_database(settings.database)
    try:
        yield database
    finally:
        database.dispose()


def open_spool(settings: Settings) -> Spool:
    """Return the node's spool.

    Raises
    ------
    SettingsError
        Its folders cannot be made.
    """
    try:
        return Spool(Path(settings.spool))
    except OSError as error:
        raise SettingsError(f"the spool {settings.spool} cannot be used ({error.strerror}); check it") from error


def stop_event() -> threading.Event:
    """Return an event that SIGTERM or SIGINT sets."""
    stopping = threading.Event()
    on_stop_signal(lambda _: stopping.set())
    return stopping


def on_stop_signal(stop: Callable[[signal.Signals], None]) -> None:
    """Call a function at SIGTERM and at SIGINT."""

    def handle(number: int, frame: FrameType | None) -> None:
        stop(signal.Signals(number))

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _log_process_failed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log the error that ends the process, without its message, which may quote a patient's data."""
    log_event("process failed", "error", kind=name_of(error), where=place_of(error))


def _log_thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Log the error that ends a thread, without its message, which may quote a patient's data."""
    log_event("thread failed", "error", kind=failure.exc_type.__name__)
