"""The verbs of the node as a whole: ``serve``, and ``check-config``."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Final

from candor.command_line import AddVerb
from candor.study.errors import SettingsError
from candor.study.profile import ReportClass
from gateway.cli.options import with_config
from gateway.logs import configure_logs, log_event
from gateway.processes.supervisor import KINDS, Supervisor
from gateway.settings import Destination, Settings, load_settings, tls_blocks
from gateway.store.alarms import AlarmKind, raise_alarm
from gateway.store.database import open_database
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens
from gateway.watch.accuracy import measure, write_table

_USUAL_CLASS: Final = ReportClass.COMPREHENSIVE_3D.value
_TLS_FILES: Final = ("certificate", "key", "authorities")


def add_serve(add: AddVerb, now: Callable[[], float]) -> None:
    """Add the whole node."""

    def run(options: argparse.Namespace) -> None:
        _serve(options, now)

    verb = with_config(add(run, "serve", "Run the whole node on this machine, and start again what dies."))
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--without", action="append", default=[], choices=KINDS, help="leave a process to others")
    which.add_argument("--only", action="append", default=[], choices=KINDS, help="run this process, others elsewhere")
    verb.add_argument("--alive", type=Path, metavar="FILE", help="touch FILE every 5 s while all processes run")
    verb.add_argument("--drain-s", type=float, default=60.0, help="seconds that the processes get to end")


def _serve(options: argparse.Namespace, now: Callable[[], float]) -> None:
    settings = load_settings(options.config)
    configure_logs(settings.log_level, "serve")
    check(settings)
    engine = open_database(settings.database)
    kinds = [kind for kind in KINDS if kind not in options.without and (not options.only or kind in options.only)]

    def restless(kind: str) -> None:
        text = f"the process {kind!r} keeps dying; run 'python -m gateway {kind}' by hand to see why"
        raise_alarm(engine, AlarmKind.PROCESS, kind, text, now())

    supervisor = Supervisor(options.config, kinds, options.drain_s, restless, alive=options.alive)

    def stop(signum: int, frame: FrameType | None) -> None:
        log_event("stopping", signal=signal.Signals(signum).name)
        supervisor.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    supervisor.run()


def add_check_config(add: AddVerb) -> None:
    """Add a look at the settings."""
    text = "Read gateway.yaml and say what would run, or what is wrong and on which line."
    with_config(add(_check_config, "check-config", text))


def _check_config(options: argparse.Namespace) -> None:
    settings = load_settings(options.config)
    check(settings)
    receive, web = settings.receive, settings.web
    secured = "with TLS" if receive.tls else "without TLS"
    known = ", ".join(caller.ae_title for caller in receive.callers) or "anybody: name the callers before going live"
    print(f"receive   {receive.ae_title} at {receive.host}:{receive.port}, {secured}, from {known}")
    for peer in settings.destinations:
        print(f"deliver   {_taken(peer)} to {peer.name}: {peer.ae_title} at {peer.host}:{peer.port}{_asked(peer)}")
    if not settings.destinations:
        print("deliver   nowhere: results are stored and shown")
    print(f"page      {'https' if web.certificate else 'http'}://{web.host}:{web.port}")
    print(f"spool     {settings.spool}")
    print("The settings can be used.")


def _taken(peer: Destination) -> str:
    """Say which kinds a destination takes, the report with its SOP class where that is not the usual one."""
    report = "sr" if peer.report_class == _USUAL_CLASS else f"sr ({peer.report_class})"
    return ", ".join(report if kind == "sr" else kind for kind in peer.kinds)


def _asked(peer: Destination) -> str:
    flags = ", flags deferrals" if peer.flag_deferrals and "ko" in peer.kinds else ""
    return flags + (", asks for storage commitment" if peer.commitment else "")


def check(settings: Settings) -> None:
    """Look for the files that settings name.

    Raises
    ------
    SettingsError
        One is missing.
    """
    web = settings.web
    named = [("work.models", settings.work.models), ("work.application", settings.work.application)]
    named += [(f"{place}.{name}", getattr(tls, name)) for place, tls in tls_blocks(settings) for name in _TLS_FILES]
    named += [(f"web.{name}", getattr(web, name)) for name in ("certificate", "key") if getattr(web, name)]
    for name, path in named:
        if not Path(path).exists():
            raise SettingsError(f"{name}: {path} is not there; correct the setting or bring the file")


def add_audit(add: AddVerb) -> None:
    """Add the site's own figures."""
    verb = with_config(add(_audit, "audit", "Measure what the node said of its studies against the site's labels."))
    verb.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="CSV",
        help="image (SOP Instance UID), patient, and a column for each finding: 1, 0, or blank",
    )
    verb.add_argument("--out", type=Path, metavar="FOLDER", help="for the figures; by default audit/ in the spool")
    verb.add_argument("--date", type=date.fromisoformat, default=date.today(), help="stands in the figures")


def _audit(options: argparse.Namespace) -> None:
    settings = load_settings(options.config)
    spool = Path(settings.spool)
    folder = options.out or spool / "audit"
    count = write_table(open_database(settings.database), Spool(spool), Tokens(spool), folder)
    print(f"{count} images; the table and the figures are patient data and lie in {folder}\n")
    print(measure(folder, options.labels, options.date), end="")
