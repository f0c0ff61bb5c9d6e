"""Start a process of the node. All of them start here, in the same way."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final

import sqlalchemy as sa

from candor.files.privacy import forbid_core_dumps, name_of, place_of
from candor.study.errors import SettingsError
from gateway.logs import configure_logs, log_event
from gateway.settings import Settings
from gateway.store.database import open_database
from gateway.store.spool import Spool
from gateway.watch.heartbeats import forget

SUPERVISED: Final = "CANDOR_SUPERVISED"
"""The environment variable of a process whose standard input is a pipe that its supervisor holds open."""

_PR_SET_PDEATHSIG: Final = 1
"""Of prctl(2)."""


@contextmanager
def started(settings: Settings, process: str, new_database: bool = False) -> Iterator[tuple[sa.Engine, Spool]]:
    """Start a process: its logs, its last resort for errors, its database and its spool; close them at the end.

    It leaves no core dump, and dies with its supervisor where it has one. Signals are not part of it, since a process
    takes them when it is ready: see :func:`stop_event`.

    Parameters
    ----------
    settings
        The node's.
    process
        Its name in every log line: ``"receive"``, ``"work"``, ...
    new_database
        Start with a new database although the spool holds images.

    Raises
    ------
    SettingsError
        The database or the spool cannot be used.
    """
    forbid_core_dumps()
    configure_logs(settings.log_level, process)
    sys.excepthook = _log_process_failed
    threading.excepthook = _log_thread_failed
    is_supervised = os.environ.pop(SUPERVISED, None) is not None
    if is_supervised:
        _die_with_supervisor()
    forget(Path(settings.spool), process)
    try:
        with opened_database(settings, new_database) as database:
            yield database, open_spool(settings)
    except SettingsError as error:
        if is_supervised:  # nobody sees the line that the verb prints
            log_event("process cannot run", "error", reason=str(error))
        raise
    finally:
        forget(Path(settings.spool), process)


@contextmanager
def opened_database(settings: Settings, new_database: bool = False) -> Iterator[sa.Engine]:
    """Open the node's database, and close it at the end. Files that are made from now on are their owner's alone.

    Parameters
    ----------
    settings
        The node's.
    new_database
        Take a new database although the spool holds images.

    Raises
    ------
    SettingsError
        The database cannot be used, or it is new and the spool is not.
    """
    os.umask(0o077)
    database = open_database(settings.database, None if new_database else Path(settings.spool))
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


def _die_with_supervisor() -> None:
    """Die when the supervisor does, however it dies: nobody else would see to it that all processes work.

    The kernel kills this process when the thread that started it ends. The pipe is for a supervisor that died before
    this was asked for, or that lives in another process namespace. A process that is killed loses nothing acknowledged.
    """

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    threading.Thread(target=watch, name="supervisor", daemon=True).start()


def _log_process_failed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log the error that ends the process, without its message, which may quote a patient's data."""
    log_event("process failed", "error", kind=name_of(error), where=place_of(error))


def _log_thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Log the error that ends a thread, without its message, which may quote a patient's data."""
    log_event("thread failed", "error", kind=failure.exc_type.__name__)
