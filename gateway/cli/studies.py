"""The verbs around studies: ``work``, ``upkeep``, ``status``, ``replay``, ``live`` and ``shadow``."""

from __future__ import annotations

import argparse
import getpass

from candor.command_line import AddVerb
from candor.study.errors import SettingsError
from gateway.cli.options import NothingToDo, with_config


def add_work(add: AddVerb) -> None:
    """Add the worker."""
    with_config(add(_work, "work", "Assess studies: one worker alone (serve runs everything)."))


def add_upkeep(add: AddVerb) -> None:
    """Add the process of sweeps."""
    with_config(add(_upkeep, "upkeep", "Look after studies, deadlines and retention alone (serve runs everything)."))


def add_status(add: AddVerb) -> None:
    """Add a summary for people."""
    with_config(add(_status, "status", "Show how many studies are in each state, what is due and what needs a person."))


def add_replay(add: AddVerb) -> None:
    """Add the second start of parked studies."""
    verb = with_config(add(_replay, "replay", "Start parked studies again."))
    which = verb.add_mutually_exclusive_group(required=True)
    which.add_argument("--study", metavar="UID", help="this study")
    which.add_argument("--all", action="store_true", help="all parked studies")


def add_live(add: AddVerb) -> None:
    """Add going live."""
    verb = with_config(add(_live, "live", "Deliver results from now on; written into the audit trail."))
    verb.add_argument("--reason", metavar="TEXT", default="", help="why, for the audit trail")
    verb.add_argument(
        "--foreign-fit",
        metavar="REASON",
        help="go live with a bundle that was fitted to other patients than this site's; the audit trail and every "
        "report name the reason, so it holds no patient's data",
    )


def add_shadow(add: AddVerb) -> None:
    """Add the way back."""
    verb = with_config(add(_shadow, "shadow", "Keep results and deliver none; written into the audit trail."))
    verb.add_argument("--reason", metavar="TEXT", default="", help="why, for the audit trail")


def _work(options: argparse.Namespace) -> None:
    from gateway.processes.work import run_work
    from gateway.settings import load_settings

    run_work(load_settings(options.config))


def _upkeep(options: argparse.Namespace) -> None:
    from gateway.processes.upkeep import run_upkeep
    from gateway.settings import load_settings

    run_upkeep(load_settings(options.config))


def _status(options: argparse.Namespace) -> None:
    from gateway.processes.start import opened_database
    from gateway.settings import load_settings
    from gateway.watch.summary import summary

    with opened_database(load_settings(options.config)) as database:
        print("\n".join(summary(database)))


def _replay(options: argparse.Namespace) -> None:
    from gateway.assess.replay import parked, replay_study
    from gateway.processes.queue import opened_queue
    from gateway.processes.start import opened_database
    from gateway.settings import load_settings
    from gateway.store.database import database_clock

    settings, who = load_settings(options.config), getpass.getuser()
    with opened_database(settings) as database, opened_queue(database, settings) as jobs:
        found, now = parked(database, options.study), database_clock(database)
        started = sum(replay_study(database, settings, jobs, study, who, now()) for study in found)
    if not started:
        raise NothingToDo("no such study is parked; see `status` for how many are")
    print(f"{started} started again")


def _live(options: argparse.Namespace) -> None:
    from gateway.assess.fit import load_fit
    from gateway.deliver.requeue import queue_held
    from gateway.processes.queue import opened_queue
    from gateway.processes.start import opened_database
    from gateway.settings import load_settings
    from gateway.store.database import database_clock
    from gateway.store.mode import count_held, set_mode
    from gateway.store.states import Mode

    settings = load_settings(options.config)
    if not settings.destinations:
        raise SettingsError(f"{options.config} names no destination; results could go nowhere")
    foreign_fit = load_fit(settings).permit(options.foreign_fit)
    with opened_database(settings) as database:
        now = database_clock(database)()
        changed = set_mode(database, Mode.LIVE, getpass.getuser(), now, options.reason, foreign_fit)
        held = count_held(database) if changed else 0
        print("the node is live" + ("" if changed else " already"))
        if foreign_fit is not None:
            print(f"every report says that the answers rest on a fit to {foreign_fit.fitted_to}, and your reason")
        elif options.foreign_fit:
            print("no reason was needed, and none is kept: the gate was fitted to this site, or answers nothing")
        if held:
            with opened_queue(database, settings) as jobs:
                queue_held(database, jobs, now)
            print(f"{held} deliveries that are due go out now")


def _shadow(options: argparse.Namespace) -> None:
    from gateway.processes.start import opened_database
    from gateway.settings import load_settings
    from gateway.store.database import database_clock
    from gateway.store.mode import count_held, set_mode
    from gateway.store.states import Mode

    with opened_database(load_settings(options.config)) as database:
        changed = set_mode(database, Mode.SHADOW, getpass.getuser(), database_clock(database)(), options.reason)
        held = count_held(database) if changed else 0
    print("the node is shadow" + ("" if changed else " already"))
    if held:
        print(f"{held} deliveries that are due stay here; recall withdraws them")
