"""The process that runs all others on this machine."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from candor.study.errors import SettingsError
from gateway.logs import log_event
from gateway.processes.check import check_files
from gateway.processes.start import on_stop_signal, started
from gateway.processes.supervisor import Supervisor
from gateway.processes.sweeps import Sweep, running
from gateway.settings import load_settings
from gateway.store.alarms import AlarmKind
from gateway.watch.heartbeats import Beat, Standstill, run_folder
from gateway.watch.kept_alarms import KeptAlarms

_PASS_ON_S: Final = 2.0
_SPOOL: Final = "spool"


def run_serve(
    config: Path,
    kinds: Sequence[str],
    drain_s: float,
    alive: Path | None,
    now: Callable[[], float] = time.time,
    new_database: bool = False,
) -> None:
    """Run processes of the node until a signal ends them.

    The database is looked at once, at the start. It may go away afterwards: what needs a person is kept in the spool
    and told to the webhook until the database is back.

    Parameters
    ----------
    config
        ``gateway.yaml``.
    kinds
        Which of :data:`gateway.processes.KINDS` to run.
    drain_s
        How long the processes get to end, in seconds.
    alive
        A file that is touched while all processes run; None for none.
    now
        The time of an alarm, in seconds since 1970.
    new_database
        Start with a new database although the spool holds images.

    Raises
    ------
    SettingsError
        The settings, a file that they name, the database or the spool cannot be used, or another ``serve`` on this
        machine runs one of the processes.
    """
    settings = load_settings(config)
    check_files(settings)
    spool = Path(settings.spool)
    with started(settings, "serve", new_database) as (database, _), locked(spool, kinds):
        alarms, standstill = KeptAlarms(spool), Standstill(settings)

        def keeps_dying(kind: str) -> None:
            text = f"the process {kind!r} stops again and again; run 'candor node {kind}' to see why"
            alarms.keep(AlarmKind.PROCESS, kind, text, now())

        def hangs(kind: str, loop: str, seconds: float) -> None:
            text = f"the process {kind!r} did nothing for {seconds:.0f} s ({loop}), and is started again"
            alarms.keep(AlarmKind.PROCESS, kind, text, now())

        def look(beats: list[Beat]) -> None:
            text = standstill.look(beats, time.monotonic())
            if text:
                alarms.keep(AlarmKind.STANDSTILL, "", text, now(), goes_on=True)
            else:
                alarms.end(AlarmKind.STANDSTILL, "")
            alarms.end(AlarmKind.STANDSTILL, _SPOOL)
            notify_systemd("WATCHDOG=1")

        def silent() -> None:
            text = "the spool does not answer; look at its disk, or at the server of its network share"
            alarms.keep(AlarmKind.STANDSTILL, _SPOOL, text, now(), goes_on=True)

        def stop(number: signal.Signals) -> None:
            log_event("stopping", signal=number.name)
            notify_systemd("STOPPING=1")
            supervisor.stop()

        supervisor = Supervisor(
            config,
            kinds,
            drain_s,
            keeps_dying,
            alive=alive,
            spool=spool,
            on_hangs=hangs,
            on_look=look,
            on_silent=silent,
        )
        on_stop_signal(stop)
        notify_systemd("READY=1")
        passing = Sweep("alarms", _PASS_ON_S, lambda: alarms.pass_on(database, settings.alarms.webhook, now()))
        with running([passing], spool, "serve"):
            supervisor.run()


@contextmanager
def locked(spool: Path, kinds: Sequence[str]) -> Iterator[None]:
    """Keep other ``serve`` on this machine from running the same processes with the same spool.

    Parameters
    ----------
    spool
        The setting ``spool``; several machines may share it.
    kinds
        The processes to run.

    Raises
    ------
    SettingsError
        Another ``serve`` runs one of them.
    """
    folder = run_folder(spool)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as locks:
        for kind in kinds:
            lock = locks.enter_context((folder / f"{kind}.lock").open("a"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = f"another 'serve' on this machine runs {kind!r} with the spool {spool}; stop it first"
                raise SettingsError(text) from None
        yield


def notify_systemd(state: str) -> None:
    """Tell systemd, where it started us and asked to be told (sd_notify(3)), about our state.

    Parameters
    ----------
    state
        ``"READY=1"``, ``"WATCHDOG=1"`` or ``"STOPPING=1"``.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notice:
        try:
            notice.sendto(state.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)
        except OSError as error:
            log_event("systemd cannot be told", "warning", reason=error.strerror)
