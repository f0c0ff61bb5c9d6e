"""The verbs around delivering: ``deliver``, ``resend`` and ``recall``."""

from __future__ import annotations

import argparse
import getpass
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from candor.command_line import AddVerb
from candor.dicom.write.rejection_note import Rejection
from candor.study.errors import CandorError, SettingsError
from gateway.cli.options import NothingToDo, with_config
from gateway.deliver.commitment_request import Committer
from gateway.deliver.completion import settle_studies, watch_dead_letters
from gateway.deliver.deliverer import Deliverer
from gateway.deliver.recall import Answered, answered_with, answers_to, recall
from gateway.deliver.resend import Selection, resend
from gateway.jobs.jobs import Jobs
from gateway.jobs.lease import new_executor_id
from gateway.logs import configure_logs, log_event
from gateway.processes.upkeep import Sweep, Tender
from gateway.settings import Settings, load_settings
from gateway.store.database import open_database
from gateway.store.spool import Spool

_DRAIN_S: Final = 20.0
_LOOK_S: Final = 0.5
_HOUR_S: Final = 3600.0
_BUNDLE: Final = re.compile(r"[0-9a-fA-F]{8,64}")
_REASONS: Final = {"patient-safety": Rejection.PATIENT_SAFETY, "quality": Rejection.QUALITY}


class NotRecalled(CandorError):
    """An archive has results that no rejection note could be made for."""


def add_deliver(add: AddVerb) -> None:
    """Add the deliverer."""
    with_config(add(_deliver, "deliver", "Deliver results: this process alone (serve runs everything)."))


def add_resend(add: AddVerb) -> None:
    """Add the second sending of stored results."""
    verb = with_config(add(_resend, "resend", "Send stored results again: by default the dead letters."))
    verb.add_argument("--study", metavar="UID", help="of this study alone")
    verb.add_argument("--to", metavar="NAME", help="to this destination alone")
    verb.add_argument("--sent", action="store_true", help="also what was sent before, where an archive lost it")


def add_recall(add: AddVerb) -> None:
    """Add the recall of results."""
    verb = with_config(
        add(_recall, "recall", "List what a model or a study got as results; with --yes, reject it all (IHE IOCM).")
    )
    which = verb.add_mutually_exclusive_group(required=True)
    which.add_argument("--bundle", metavar="HASH", help="all results of this model bundle; its first 8 digits or more")
    which.add_argument("--study", metavar="UID", help="all results of this study")
    verb.add_argument("--reason", choices=sorted(_REASONS), default="patient-safety", help="the rejection notes' title")
    verb.add_argument("--yes", action="store_true", help="do it; without, only list")


def deliver(settings: Settings, engine: sa.Engine, spool: Spool, stopping: threading.Event) -> None:
    """Make deliveries and look after them until asked to stop."""
    jobs = Jobs(engine, settings, new_executor_id())
    deliverer = Deliverer(engine, settings, spool, jobs)
    tender = Tender(sweeps(engine, settings, deliverer))
    jobs.run_deliveries(deliverer.deliver)
    while not stopping.wait(_LOOK_S):
        tender.step()
    jobs.stop(_DRAIN_S)


def sweeps(engine: sa.Engine, settings: Settings, deliverer: Deliverer) -> list[Sweep]:
    """List what deliveries need beside their jobs."""
    committer = Committer(engine, settings)
    return [
        Sweep("commitment", _LOOK_S, committer.ask),
        Sweep("old commitments", _HOUR_S, committer.forget),
        Sweep("uncommitted", _LOOK_S, deliverer.requeue_uncommitted),
        Sweep("settle", _LOOK_S, lambda: settle_studies(engine, settings, time.time())),
        Sweep("dead letters", _LOOK_S, lambda: watch_dead_letters(engine, time.time())),
    ]


def _deliver(options: argparse.Namespace) -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    settings = load_settings(options.config)
    configure_logs(settings.log_level, "deliver")
    threading.excepthook = _say_thread_failed
    with _node(settings) as (engine, spool):
        deliver(settings, engine, spool, stopping)


def _resend(options: argparse.Namespace) -> None:
    settings = load_settings(options.config)
    known = [destination.name for destination in settings.destinations]
    if options.to is not None and options.to not in known:
        raise SettingsError(f"no destination is named {options.to!r}; known are {', '.join(known) or 'none'}")
    with _node(settings) as (engine, _), _queue(settings, engine) as jobs:
        selection = Selection(options.study, options.to, options.sent)
        due = resend(engine, jobs, selection, getpass.getuser(), time.time())
    if not due:
        raise NothingToDo("nothing like that lies in the dead letter; add --sent for what was sent before")
    print(f"{due} objects are sent again")


def _recall(options: argparse.Namespace) -> None:
    if options.bundle is not None and not _BUNDLE.fullmatch(options.bundle):
        raise SettingsError("--bundle takes 8 to 64 hexadecimal digits, as `status` and the reports show them")
    settings = load_settings(options.config)
    with _node(settings) as (engine, spool):
        found = answers_to(engine, options.study) if options.study else answered_with(engine, options.bundle)
        if not found:
            raise NothingToDo("no study has such results")
        for answered in found:
            print(describe(answered))
        left = [answered for answered in found if not answered.is_recalled]
        if not options.yes:
            print(f"{len(left)} to recall; nothing was done: add --yes to recall them")
            return
        with _queue(settings, engine) as jobs:
            _recall_all(engine, spool, jobs, left, _REASONS[options.reason])


def _recall_all(engine: sa.Engine, spool: Spool, jobs: Jobs, left: list[Answered], rejection: Rejection) -> None:
    who = getpass.getuser()
    failed = [each for each in left if not recall(engine, spool, jobs, each, rejection, who, time.time())]
    print(f"{len(left) - len(failed)} recalled")
    if failed:
        raise NotRecalled(
            f"{len(failed)} are not: their files were deleted by retention, so nothing says whose they are; "
            "reject them in the archive"
        )


def describe(answered: Answered) -> str:
    """Say in one line what is to be recalled, for the operator's terminal."""
    state = "recalled already" if answered.is_recalled else f"{answered.unsent} deliveries not tried yet"
    held_by = f"may be at {', '.join(answered.destinations)}" if answered.destinations else "sent nowhere"
    return (
        f"{answered.study_instance_uid} version {answered.version}: {answered.disposition or 'no disposition'}, "
        f"model {(answered.bundle_sha256 or 'none')[:16]}, {len(answered.results)} objects, {held_by}, {state}"
        + (", files deleted" if answered.is_purged else "")
    )


@contextmanager
def _node(settings: Settings) -> Iterator[tuple[sa.Engine, Spool]]:
    os.umask(0o077)
    engine = open_database(settings.database)
    try:
        yield engine, Spool(Path(settings.spool))
    finally:
        engine.dispose()


@contextmanager
def _queue(settings: Settings, engine: sa.Engine) -> Iterator[Jobs]:
    jobs = Jobs(engine, settings, new_executor_id())
    try:
        yield jobs
    finally:
        jobs.stop()


def _say_thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Say that a thread failed, without its error's text, which may quote a message."""
    log_event("thread failed", "error", kind=failure.exc_type.__name__)
