"""The verbs around receiving: ``receive``, ``echo`` and ``send``."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from candor.command_line import AddVerb
from candor.dicom.read.file import read_header
from candor.dicom.read.folder import input_files
from candor.dicom.shared.attributes import is_uid
from candor.study.errors import CandorError, Refused, SettingsError
from gateway.cli.options import with_config
from gateway.deliver.commitment import take
from gateway.dimse.association import NoAssociation, Remote, associated
from gateway.dimse.status import Status, explain, hexadecimal
from gateway.logs import configure_logs, log_event
from gateway.receive.receiver import Receiver, TakeReport
from gateway.settings import Destination, Settings, load_settings
from gateway.store.database import open_database
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens

_DRAIN_S: Final = 20.0
_MOST_CONTEXTS: Final = 128
"""PS3.8 9.3.2.2: their identifiers are the odd numbers of one byte."""

Sent = tuple[str, int | None]
"""A file's name, and the status that it was answered with; None without an answer."""


class NotSent(CandorError):
    """Not everything that was to be sent was taken."""


def add_receive(add: AddVerb) -> None:
    """Add the receiver."""
    with_config(add(_receive, "receive", "Receive images: the DICOM receiver alone (serve runs everything)."))


def add_echo(add: AddVerb) -> None:
    """Add C-ECHO to one or all of whom we know."""
    verb = with_config(add(_echo, "echo", "Ask our own receiver and every destination whether it answers (C-ECHO)."))
    verb.add_argument("--to", metavar="NAME", help="only this destination; 'node' for our own receiver")


def add_send(add: AddVerb) -> None:
    """Add C-STORE of a folder."""
    verb = with_config(add(_send, "send", "Send a folder's DICOM files (C-STORE), by default to our own receiver."))
    verb.add_argument("folder", type=Path, metavar="FOLDER", help="searched with all its subfolders")
    verb.add_argument("--to", metavar="NAME", default="node", help="a destination; 'node' for our own receiver")
    verb.add_argument("--calling", metavar="AE", help="calling AE title; by default the node's own")


def receive(settings: Settings, take_report: TakeReport, stopping: threading.Event) -> None:
    """Run the receiver until it is asked to stop.

    Raises
    ------
    SettingsError
        The database, the spool, the port or the keys cannot be used.
    """
    try:
        spool = Spool(Path(settings.spool))
        engine = open_database(settings.database)
        receiver = Receiver(settings, engine, spool, Tokens(Path(settings.spool)), take_report)
        receiver.start()
    except OSError as error:
        where = f"spool {settings.spool} or port {settings.receive.host}:{settings.receive.port}"
        raise SettingsError(f"{where} cannot be used ({error.strerror}); check both") from error
    stopping.wait()
    receiver.stop(_DRAIN_S)
    engine.dispose()


def send(association: Association, files: list[tuple[Path, Dataset]]) -> list[Sent]:
    """Send files over an association, each as it is."""
    sent: list[Sent] = []
    for path, header in files:
        offered = (str(header.SOPClassUID), str(header.file_meta.TransferSyntaxUID))
        taken = {(cx.abstract_syntax, cx.transfer_syntax[0]) for cx in association.accepted_contexts}
        if not association.is_established:
            sent.append((path.name, None))
        elif offered not in taken:
            sent.append((path.name, Status.CLASS_NOT_SUPPORTED.code))
        else:
            answer = association.send_c_store(path)
            sent.append((path.name, answer.get("Status")))
    return sent


def _receive(options: argparse.Namespace) -> None:
    settings = load_settings(options.config)
    os.umask(0o077)
    configure_logs(settings.log_level, "receive")
    threading.excepthook = _say_thread_failed
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    receive(settings, take, stopping)


def _say_thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Say that a thread failed, without its error's text, which may quote a message."""
    log_event("thread failed", "error", kind=failure.exc_type.__name__)


def _echo(options: argparse.Namespace) -> None:
    settings = load_settings(options.config)
    named = _remotes(settings)
    wanted = named if options.to is None else {options.to: _named(named, options.to)}
    silent = [name for name, remote in wanted.items() if not _answers(name, remote, settings)]
    if silent:
        raise NoAssociation(f"no answer from {', '.join(silent)}")


def _answers(name: str, remote: Remote, settings: Settings) -> bool:
    try:
        with associated(
            remote, settings.delivering_ae_title, [build_context(Verification)], settings.deliver.timeout_s
        ) as association:
            status = association.send_c_echo().get("Status")
    except NoAssociation as error:
        print(f"{name}: {error}")
        return False
    print(f"{name}: {'no answer' if status is None else explain(status)}")
    return bool(status == Status.SUCCESS.code)


def _send(options: argparse.Namespace) -> None:
    settings = load_settings(options.config)
    remote = _named(_remotes(settings), options.to)
    files = [(path, header) for path in input_files(options.folder) if (header := _instance(path)) is not None]
    pairs = sorted({(str(header.SOPClassUID), str(header.file_meta.TransferSyntaxUID)) for _, header in files})
    if not 0 < len(pairs) <= _MOST_CONTEXTS:
        raise NotSent(
            f"{options.folder} holds no DICOM file, or of more than {_MOST_CONTEXTS} kinds; send a part of it"
        )
    contexts = [build_context(*pair) for pair in pairs]
    calling = options.calling or settings.delivering_ae_title
    with associated(remote, calling, contexts, settings.deliver.timeout_s) as association:
        sent = send(association, files)
    _say(sent)


def _say(sent: list[Sent]) -> None:
    """Print the files that were not taken, and how many were.

    Raises
    ------
    NotSent
        Not all were taken.
    """
    for name, status in sent:
        if status != Status.SUCCESS.code:
            print(f"{name}: {'no answer' if status is None else explain(status)}")
    counted = Counter("no answer" if status is None else hexadecimal(status) for _, status in sent)
    print(", ".join(f"{number} x {status}" for status, number in sorted(counted.items())))
    if counted[Status.SUCCESS.hexadecimal] != len(sent):
        raise NotSent(f"{len(sent) - counted[Status.SUCCESS.hexadecimal]} of {len(sent)} files were not taken")


def _instance(path: Path) -> Dataset | None:
    """Read a file's header; None for what is no DICOM file with a SOP Class and a transfer syntax."""
    try:
        header = read_header(path)
    except Refused:
        return None
    syntax = header.file_meta.get("TransferSyntaxUID")
    return header if is_uid(header.get("SOPClassUID")) and is_uid(syntax) else None


def _remotes(settings: Settings) -> dict[str, Remote]:
    def remote(destination: Destination) -> Remote:
        return Remote.destination(destination)

    return {"node": Remote.ourselves(settings)} | {item.name: remote(item) for item in settings.destinations}


def _named(remotes: dict[str, Remote], name: str) -> Remote:
    if name not in remotes:
        raise SettingsError(f"no destination is named {name!r}; known are {', '.join(remotes)}")
    return remotes[name]
