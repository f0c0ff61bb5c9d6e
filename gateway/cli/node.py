"""The verbs of the node as a whole: ``serve``, ``check-config`` and ``audit``."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from candor.command_line import AddVerb
from gateway.cli.options import with_config
from gateway.processes import KINDS


def add_serve(add: AddVerb) -> None:
    """Add the whole node."""
    verb = with_config(add(_serve, "serve", "Run the whole node on this machine, and start again what dies."))
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--without", action="append", default=[], choices=KINDS, help="leave a process to others")
    which.add_argument("--only", action="append", default=[], choices=KINDS, help="run this process, others elsewhere")
    verb.add_argument("--alive", type=Path, metavar="FILE", help="touch FILE every 5 s while all processes run")
    verb.add_argument("--drain-s", type=float, default=60.0, help="seconds that the processes get to end")
    verb.add_argument(
        "--new-database", action="store_true", help="start with a new database although the spool holds images"
    )


def add_check_config(add: AddVerb) -> None:
    """Add a look at the settings."""
    text = "Read gateway.yaml and show what would run, or what is wrong and on which line."
    with_config(add(_check_config, "check-config", text))


def add_audit(add: AddVerb) -> None:
    """Add the site's own figures."""
    verb = with_config(add(_audit, "audit", "Measure the node's results against the site's labels."))
    verb.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="CSV",
        help="image (SOP Instance UID), patient, and a column for each finding: 1, 0, or blank",
    )
    verb.add_argument("--out", type=Path, metavar="FOLDER", help="for the figures; by default audit/ in the spool")
    verb.add_argument("--date", type=date.fromisoformat, default=date.today(), help="stands in the figures")


def _serve(options: argparse.Namespace) -> None:
    from gateway.processes.serve import run_serve

    kinds = [kind for kind in KINDS if kind not in options.without and (not options.only or kind in options.only)]
    run_serve(options.config, kinds, options.drain_s, options.alive, new_database=options.new_database)


def _check_config(options: argparse.Namespace) -> None:
    from gateway.processes.check import check_files, overview
    from gateway.settings import load_settings

    settings = load_settings(options.config)
    check_files(settings)
    print("\n".join(overview(settings)))
    print("The settings can be used.")


def _audit(options: argparse.Namespace) -> None:
    from gateway.processes.start import open_spool, opened_database
    from gateway.settings import load_settings
    from gateway.store.tokens import Tokens
    from gateway.watch.accuracy import measure, write_table

    settings = load_settings(options.config)
    folder = options.out or Path(settings.spool) / "audit"
    with opened_database(settings) as database:
        count = write_table(database, open_spool(settings), Tokens(Path(settings.spool)), folder)
    print(f"{count} images; the table and the figures are patient data and lie in {folder}\n")
    print(measure(folder, options.labels, options.date), end="")
