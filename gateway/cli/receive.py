"""The verbs around receiving: ``receive``, ``echo`` and ``send``."""

from __future__ import annotations

import argparse
from pathlib import Path

from candor.command_line import AddVerb
from gateway.cli.options import with_config


def add_receive(add: AddVerb) -> None:
    """Add the receiver."""
    with_config(add(_receive, "receive", "Receive images: the DICOM receiver alone (serve runs everything)."))


def add_echo(add: AddVerb) -> None:
    """Add C-ECHO to our own receiver and to the destinations."""
    verb = with_config(add(_echo, "echo", "Ask our own receiver and every destination whether it answers (C-ECHO)."))
    verb.add_argument("--to", metavar="NAME", help="only this destination; 'node' for our own receiver")


def add_send(add: AddVerb) -> None:
    """Add C-STORE of a folder."""
    verb = with_config(add(_send, "send", "Send a folder's DICOM files (C-STORE), by default to our own receiver."))
    verb.add_argument("folder", type=Path, metavar="FOLDER", help="searched with all its subfolders")
    verb.add_argument("--to", metavar="NAME", default="node", help="a destination; 'node' for our own receiver")
    verb.add_argument("--calling", metavar="AE", help="calling AE title; by default the node's own")


def _receive(options: argparse.Namespace) -> None:
    from gateway.processes.receive import run_receive
    from gateway.settings import load_settings

    run_receive(load_settings(options.config))


def _echo(options: argparse.Namespace) -> None:
    from gateway.dimse.association import NoAssociation
    from gateway.dimse.client import echo, remote_named, remotes_of
    from gateway.settings import load_settings

    settings = load_settings(options.config)
    remotes = remotes_of(settings)
    asked = remotes if options.to is None else {options.to: remote_named(remotes, options.to)}
    silent = []
    for name, remote in asked.items():
        answered, words = echo(remote, settings)
        print(f"{name}: {words}")
        if not answered:
            silent.append(name)
    if silent:
        raise NoAssociation(f"no answer from {', '.join(silent)}")


def _send(options: argparse.Namespace) -> None:
    from gateway.dimse.client import NotSent, count_refused, outcome, remote_named, remotes_of, send_folder
    from gateway.settings import load_settings

    settings = load_settings(options.config)
    remote = remote_named(remotes_of(settings), options.to)
    calling = options.calling or settings.delivering_ae_title
    sent = send_folder(options.folder, remote, calling, settings.deliver.timeout_s)
    print("\n".join(outcome(sent)))
    if refused := count_refused(sent):
        raise NotSent(f"{refused} of {len(sent)} files were not taken")
