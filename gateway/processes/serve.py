"""The process that runs all others on this machine."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.logs import log_event
from gateway.processes.check import check_files
from gateway.processes.start import on_stop_signal, started
from gateway.processes.supervisor import Supervisor
from gateway.settings import load_settings
from gateway.store.alarms import AlarmKind, raise_alarm


def run_serve(
    config: Path, kinds: Sequence[str], drain_s: float, alive: Path | None, now: Callable[[], float] = time.time
) -> None:
    """Run processes of the node until a signal ends them.

    Parameters
    ----------
    config
        ``gateway.yaml``.
    kinds
        Which of :data:`gateway.processes.supervisor.KINDS` to run.
    drain_s
        How long the processes get to end, in seconds.
    alive
        A file that is touched while all processes run; None for none.
    now
        The time of an alarm, in seconds since 1970.

    Raises
    ------
    SettingsError
        The settings, a file that they name, the database or the spool cannot be used.
    """
    settings = load_settings(config)
    check_files(settings)
    with started(settings, "serve") as (database, _):

        def keeps_dying(kind: str) -> None:
            text = f"the process {kind!r} stops again and again; run 'candor node {kind}' to see why"
            raise_alarm(database, AlarmKind.PROCESS, kind, text, now())

        def stop(number: signal.Signals) -> None:
            log_event("stopping", signal=number.name)
            supervisor.stop()

        supervisor = Supervisor(config, kinds, drain_s, keeps_dying, alive=alive)
        on_stop_signal(stop)
        supervisor.run()
