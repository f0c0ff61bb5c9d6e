"""The verbs around delivering: ``deliver``, ``resend`` and ``recall``."""

from __future__ import annotations

import argparse
import getpass
import re
from typing import Final

from candor.command_line import AddVerb
from candor.study.errors import CandorError, ObjectIncomplete, SettingsError
from gateway.cli.options import NothingToDo, with_config

_BUNDLE: Final = re.compile(r"[0-9a-fA-F]{8,64}")
_REASONS: Final = {"patient-safety": "PATIENT_SAFETY", "quality": "QUALITY"}
"""Names of :class:`candor.dicom.write.rejection_note.Rejection`, as a person types them."""


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
    verb.add_argument("--despite-shadow", action="store_true", help="send the rejection notes in shadow mode too")


def _deliver(options: argparse.Namespace) -> None:
    from gateway.processes.deliver import run_deliver
    from gateway.settings import load_settings

    run_deliver(load_settings(options.config))


def _resend(options: argparse.Namespace) -> None:
    from gateway.deliver.resend import Selection, resend
    from gateway.processes.queue import opened_queue
    from gateway.processes.start import opened_database
    from gateway.settings import load_settings
    from gateway.store.database import database_clock

    settings = load_settings(options.config)
    known = [destination.name for destination in settings.destinations]
    if options.to is not None and options.to not in known:
        raise SettingsError(f"no destination is named {options.to!r}; known are {', '.join(known) or 'none'}")
    with opened_database(settings) as database, opened_queue(database, settings) as jobs:
        selection = Selection(options.study, options.to, options.sent)
        due = resend(database, jobs, selection, getpass.getuser(), database_clock(database)())
    if not due:
        raise NothingToDo("nothing like that lies in the dead letter; add --sent for what was sent before")
    print(f"{due} objects are sent again")


def _recall(options: argparse.Namespace) -> None:
    from candor.dicom.write.rejection_note import Rejection
    from gateway.deliver.recall import answered_with, answers_to, line_of, recall
    from gateway.processes.queue import opened_queue
    from gateway.processes.start import open_spool, opened_database
    from gateway.settings import load_settings
    from gateway.store.database import database_clock
    from gateway.store.mode import is_shadow

    if options.bundle is not None and not _BUNDLE.fullmatch(options.bundle):
        raise SettingsError("--bundle takes 8 to 64 hexadecimal digits, as `status` and the reports show them")
    settings, who, rejection = load_settings(options.config), getpass.getuser(), Rejection[_REASONS[options.reason]]
    with opened_database(settings) as database:
        found = answers_to(database, options.study) if options.study else answered_with(database, options.bundle)
        if not found:
            raise NothingToDo("no study has such results")
        print("\n".join(map(line_of, found)))
        left = [answered for answered in found if not answered.is_recalled]
        if not options.yes:
            print(f"{len(left)} to recall; nothing was done: add --yes to recall them")
            return
        spool = open_spool(settings)
        failed, incomplete, now = 0, [], database_clock(database)
        with opened_queue(database, settings) as jobs:
            for answered in left:
                try:
                    failed += not recall(database, spool, jobs, answered, rejection, who, now(), options.despite_shadow)
                except ObjectIncomplete as error:
                    incomplete.append(f"{answered.study.study_instance_uid} version {answered.study.version}: {error}")
            held = is_shadow(database) and not options.despite_shadow
    print(f"{len(left) - failed - len(incomplete)} recalled")
    if held:
        print("the node is in shadow mode: the rejection notes go out when it is live; --despite-shadow sends them now")
    if incomplete:
        print("\n".join(incomplete))
    reasons = {
        "their files were deleted by retention, so nothing says whose they are": failed,
        "their rejection notes failed the check; an alarm says what to do": len(incomplete),
    }
    told = [f"{number} are not: {reason}" for reason, number in reasons.items() if number]
    if told:
        raise NotRecalled(f"{'; '.join(told)}; reject them in the archive")
