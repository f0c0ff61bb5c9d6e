"""The verbs around studies: ``work``, ``tend``, ``status``, ``replay``, ``live`` and ``shadow``."""

from __future__ import annotations

import argparse
import getpass
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from candor.command_line import AddVerb
from candor.study.errors import SettingsError
from candor.study.result_object import KINDS, NOTE
from gateway.assess.assessor import Application, ApplicationStopped, Assessor
from gateway.assess.replay import parked, replay_study
from gateway.cli.options import NothingToDo, with_config
from gateway.jobs.jobs import Jobs
from gateway.jobs.lease import TTL_S, new_executor_id
from gateway.logs import configure_logs, log_event
from gateway.processes.upkeep import run_tend
from gateway.settings import Settings, load_settings
from gateway.store.database import open_database
from gateway.store.mode import mode_of, set_mode
from gateway.store.schema import alarms, deliveries, objects, studies
from gateway.store.spool import Spool
from gateway.store.states import Mode, StudyState

_DRAIN_S: Final = 30.0


def add_work(add: AddVerb) -> None:
    """Add the worker."""
    with_config(add(_work, "work", "Assess studies: one worker alone (serve runs everything)."))


def add_tend(add: AddVerb) -> None:
    """Add the process of sweeps."""
    with_config(add(_tend, "tend", "Look after studies, deadlines and retention alone (serve runs everything)."))


def add_status(add: AddVerb) -> None:
    """Add a summary for people."""
    with_config(add(_status, "status", "Say how many studies are in each state, what is due, and what needs a person."))


def add_replay(add: AddVerb) -> None:
    """Add the second start of parked studies."""
    verb = with_config(add(_replay, "replay", "Start parked studies again."))
    which = verb.add_mutually_exclusive_group(required=True)
    which.add_argument("--study", metavar="UID", help="this study")
    which.add_argument("--all", action="store_true", help="all parked studies")


def add_live(add: AddVerb) -> None:
    """Add going live."""
    verb = with_config(add(_go_live, "live", "Deliver results from now on; written into the audit trail."))
    verb.add_argument("--reason", metavar="TEXT", default="", help="why, for the audit trail")


def add_shadow(add: AddVerb) -> None:
    """Add the way back."""
    verb = with_config(add(_go_dark, "shadow", "Keep results and deliver none; written into the audit trail."))
    verb.add_argument("--reason", metavar="TEXT", default="", help="why, for the audit trail")


def summary(engine: sa.Engine) -> list[str]:
    """Sum the node up, one line a fact; nothing of a patient is in it."""
    with engine.connect() as connection:
        mode = mode_of(connection)
        states = connection.execute(sa.select(studies.c.state, sa.func.count()).group_by(studies.c.state)).all()
        counted: dict[str, int] = {row[0]: row[1] for row in states}
        made = connection.execute(sa.select(objects.c.kind, sa.func.count()).group_by(objects.c.kind)).all()
        kinds: dict[str, int] = {row[0]: row[1] for row in made}
        sent = connection.execute(
            sa.select(deliveries.c.destination, deliveries.c.state, sa.func.count())
            .group_by(deliveries.c.destination, deliveries.c.state)
            .order_by(deliveries.c.destination, deliveries.c.state)
        ).all()
        opened = connection.execute(
            sa.select(alarms.c.kind, alarms.c.subject, alarms.c.text).where(alarms.c.cleared.is_(None))
        ).all()
    lines = [f"mode: {mode.value}"]
    lines += [f"studies {state.value}: {counted[state.value]}" for state in StudyState if state.value in counted]
    lines += [f"objects of kind {kind}: {kinds[kind]}" for kind in (*KINDS, NOTE) if kind in kinds]
    lines += [f"objects for {destination}, {state}: {number}" for destination, state, number in sent]
    return lines + [f"alarm {kind}{f' ({subject})' if subject else ''}: {text}" for kind, subject, text in opened]


def _work(options: argparse.Namespace) -> None:
    from gateway.assess.application import Worker  # torch comes with it: no other verb may pay for that

    with _node(options, "work") as (settings, engine, spool), Worker(settings) as application:
        stopping = _stopping()  # after the application's start: holoscan traps the signals for itself
        log_event("worker ready")
        work(settings, engine, spool, application, stopping)


def work(
    settings: Settings,
    engine: sa.Engine,
    spool: Spool,
    application: Application,
    stopping: threading.Event,
    ttl_s: float = TTL_S,
) -> None:
    """Do the jobs of the queue of studies until asked to stop, or until the application has ended.

    Parameters
    ----------
    ttl_s
        Of this process's lease.
    """
    jobs = Jobs(engine, settings, new_executor_id(), ttl_s)
    assessor = Assessor(engine, settings, spool, jobs, application, time.time, _end_process)

    def assess(study_instance_uid: str, version: int) -> None:
        try:
            assessor.assess(study_instance_uid, version)
        except ApplicationStopped:
            stopping.set()
            raise

    jobs.run_studies(assess)
    stopping.wait()
    jobs.stop(_DRAIN_S)


def _end_process() -> None:
    """End at once: what hangs in native code hears nothing else. The job is another process's then."""
    os.kill(os.getpid(), signal.SIGKILL)


def _tend(options: argparse.Namespace) -> None:
    with _node(options, "tend") as (settings, engine, spool):
        jobs = Jobs(engine, settings, new_executor_id())
        run_tend(engine, settings, spool, jobs, _stopping())
        jobs.stop()


def _status(options: argparse.Namespace) -> None:
    engine = open_database(load_settings(options.config).database)
    print("\n".join(summary(engine)))
    engine.dispose()


def _replay(options: argparse.Namespace) -> None:
    settings = load_settings(options.config)
    engine = open_database(settings.database)
    jobs = Jobs(engine, settings, new_executor_id())
    found = parked(engine, options.study)
    who = getpass.getuser()
    started = sum(replay_study(engine, settings, jobs, uid, version, who, time.time()) for uid, version in found)
    jobs.stop()
    engine.dispose()
    if not started:
        raise NothingToDo("no such study is parked; see `status` for how many are")
    print(f"{started} started again")


def _go_live(options: argparse.Namespace) -> None:
    settings = load_settings(options.config)
    if not settings.destinations:
        raise SettingsError(f"{options.config} names no destination; results could go nowhere")
    _enter(settings, Mode.LIVE, options.reason)


def _go_dark(options: argparse.Namespace) -> None:
    _enter(load_settings(options.config), Mode.SHADOW, options.reason)


def _enter(settings: Settings, mode: Mode, reason: str) -> None:
    engine = open_database(settings.database)
    changed = set_mode(engine, mode, getpass.getuser(), time.time(), reason)
    engine.dispose()
    print(f"the node is {mode.value}" + ("" if changed else " already"))


@contextmanager
def _node(options: argparse.Namespace, process: str) -> Iterator[tuple[Settings, sa.Engine, Spool]]:
    """Open what a process of the node shares with the others."""
    settings = load_settings(options.config)
    os.umask(0o077)
    configure_logs(settings.log_level, process)
    threading.excepthook = _say_thread_failed
    engine = open_database(settings.database)
    yield settings, engine, Spool(Path(settings.spool))
    engine.dispose()


def _stopping() -> threading.Event:
    """Return an event that a signal sets."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def _say_thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Say that a thread failed, without its error's text, which may quote a patient's data."""
    log_event("thread failed", "error", kind=failure.exc_type.__name__)
