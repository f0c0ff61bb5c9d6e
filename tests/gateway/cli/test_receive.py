"""The verbs ``receive``, ``echo`` and ``send``, as they are typed."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from candor.study.errors import SettingsError
from gateway.cli.receive import add_echo, add_receive, add_send
from gateway.dimse.association import NoAssociation, Remote
from gateway.dimse.client import NotSent
from gateway.processes.receive import receive
from gateway.settings import Destination, Receive, Settings, load_settings
from gateway.store import schema
from gateway.store.database import open_database
from gateway.store.spool import Spool
from tests.gateway.network import image
from tools.small_pacs import free_port

RUN = "from tests.gateway.cli.test_receive import run; import sys; run(*sys.argv[1:])"


def run(*arguments: str) -> None:
    """Run one of the verbs as ``python -m gateway`` does."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True)

    def add(verb: object, name: str, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text)
        added.set_defaults(verb=verb)
        return added

    for adder in (add_receive, add_echo, add_send):
        adder(add)
    options = parser.parse_args(arguments)
    options.verb(options)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        f"receive: {{host: 127.0.0.1, port: {free_port()}}}\nkeep: {{reserve_gib: 0.0}}\n"
        f"deliver: {{timeout_s: 5.0}}\n"
        f"destinations: [{{name: pacs, ae_title: PACS, host: 127.0.0.1, port: {free_port()}}}]\n"
    )
    return path


@pytest.fixture
def node(config: Path) -> Iterator[Settings]:
    """The receiver, in this process."""
    settings, stopping = load_settings(config), threading.Event()
    database, spool = open_database(settings.database), Spool(Path(settings.spool))
    thread = threading.Thread(target=receive, args=(settings, database, spool, lambda *_: None, stopping))
    thread.start()
    while True:
        try:
            socket.create_connection(("127.0.0.1", settings.receive.port), 1).close()
            break
        except OSError:
            assert thread.is_alive()
    yield settings
    stopping.set()
    thread.join()
    database.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        image(str(number)).save_as(folder / f"{number}.dcm", enforce_file_format=True)
    (folder / "notes.txt").write_text("no DICOM file")
    return folder


def test_echo(node: Settings, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("echo", "--to", "node", "--config", str(config))
    assert capsys.readouterr().out == "node: success (0x0000, PS3.7 C.1.1)\n"
    with pytest.raises(NoAssociation, match="no answer from pacs"):
        run("echo", "--config", str(config))
    assert "pacs: PACS at 127.0.0.1:" in capsys.readouterr().out
    with pytest.raises(SettingsError, match="known are node, pacs"):
        run("echo", "--to", "nobody", "--config", str(config))


def test_send(node: Settings, config: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("send", str(folder), "--config", str(config))
    assert capsys.readouterr().out == "3 x 0x0000\n"
    database = open_database(node.database)
    with database.connect() as connection:
        uids = connection.execute(sa.select(schema.instances.c.sop_instance_uid)).scalars().all()
    database.dispose()
    assert sorted(uids) == sorted(image(str(number)).SOPInstanceUID for number in range(3))


def test_what_is_not_taken_is_said(
    node: Settings, config: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = image("x", SOPClassUID="1.2.752.24.3.1")  # a private class that the node does not accept
    document.save_as(folder / "document.dcm", enforce_file_format=True)
    with pytest.raises(NotSent, match="1 of 4 files"):
        run("send", str(folder), "--config", str(config))
    said = capsys.readouterr().out
    assert "document.dcm: SOP class not supported (0x0122" in said
    assert said.endswith("3 x 0x0000, 1 x 0x0122\n")


def test_nothing_to_send(node: Settings, config: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("x")
    with pytest.raises(NotSent, match="no DICOM file"):
        run("send", str(empty), "--config", str(config))


def test_a_stranger_is_told_so(config: Path, folder: Path) -> None:
    with pytest.raises(NoAssociation, match="does not answer"):
        run("send", str(folder), "--to", "pacs", "--config", str(config))


def test_a_receiver_that_refuses_us(node: Settings, config: Path, folder: Path) -> None:
    config.write_text(config.read_text().replace("host: 127.0.0.1, port", "ae_title: OTHER, host: 127.0.0.1, port", 1))
    with pytest.raises(NoAssociation, match="refuses the association"):
        run("send", str(folder), "--config", str(config))


def test_our_own_receiver_is_called_on_this_machine() -> None:
    anywhere = Remote.ourselves(Settings(receive=Receive(host="0.0.0.0")))
    assert (anywhere.host, anywhere.ae_title) == ("localhost", "CANDOR")
    assert Remote.ourselves(Settings(receive=Receive(host="192.0.2.1"))).host == "192.0.2.1"
    there = Destination(name="pacs", ae_title="PACS", host="pacs.example", port=104)
    assert Remote.destination(there) == Remote("PACS", "pacs.example", 104, None)


def test_receive_runs_until_it_is_told_to_stop(config: Path) -> None:
    command = [sys.executable, "-c", RUN, "receive", "--config", str(config)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(Path.cwd())}
    )
    assert process.stderr is not None
    with process.stderr:
        assert json.loads(process.stderr.readline())["event"] == "receiver listens"
        process.send_signal(signal.SIGTERM)
        assert json.loads(process.stderr.readline())["event"] == "receiver stopped"
    assert process.wait(30) == 0
