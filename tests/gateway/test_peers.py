"""Deliveries to real archives: DCMTK's storescp and Orthanc, with storage commitment."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import sqlalchemy as sa
from pydicom import Dataset, dcmread
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    XRayRadiationDoseSRStorage,
)

from gateway.deliver.commitment import take
from gateway.deliver.commitment_request import Committer
from gateway.receive.receiver import Receiver
from gateway.settings import Settings, Tls
from gateway.store.schema import instances
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens
from tests.gateway.archive import Archive, Sender
from tests.gateway.conftest import Clock
from tests.gateway.network import Authority, image, other, rejection_note
from tools.small_pacs import free_port

PATIENCE_S = 60.0


@pytest.fixture
def sender(settings: Settings, database: sa.Engine, spool: Spool, clock: Clock) -> Sender:
    return Sender(settings, database, spool, clock)


def wait_until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def peer(port: int, *command: str | Path) -> Iterator[None]:
    """Run an archive until it is no longer needed; skip where it is not installed."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed (Debian: dcmtk, orthanc)")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([str(word) for word in command], env={**os.environ, "TCP_NODELAY": "1"}, **quiet)
    try:
        wait_until(lambda: listens(port))
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("secure", [False, True])
def test_dcmtk_takes_the_results(sender: Sender, tmp_path: Path, secure: bool) -> None:
    port, taken = free_port(), tmp_path / "taken"
    taken.mkdir()
    authority = Authority(tmp_path)
    keys: dict[str, Tls] = {}
    for name in ("node", "archive"):
        certificate, key, _ = authority.issue(name)
        keys[name] = Tls(certificate=str(certificate), key=str(key), authorities=str(authority.file))
    theirs = keys["archive"]
    options = ["+tls", theirs.key, theirs.certificate, "+cf", theirs.authorities] if secure else []
    with peer(port, "storescp", "--output-directory", taken, *options, str(port)):
        report, overlay = sender.towards(Archive(port=port), tls=keys["node"] if secure else None).both()
        sender.deliver()
    assert sender.states() == ["sent", "sent"]
    received = {str(dcmread(path).SOPInstanceUID): dcmread(path) for path in taken.iterdir()}
    assert received.keys() == {overlay, report}
    for uid, dataset in received.items():
        assert dataset == dcmread(sender.path(uid))


WHOLE_STUDY = (
    XRayRadiationDoseSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    ComprehensiveSRStorage,
    CTImageStorage,
)


def whole_study(folder: Path, is_first: bool) -> Dataset:
    """Write a radiograph with what else a study has, in the order of their names; returns the radiograph."""
    folder.mkdir()
    radiograph = image("1", study="a")
    others = [*map(other, WHOLE_STUDY), rejection_note("113000", radiograph)]
    for number, each in enumerate([radiograph, *others] if is_first else [*others, radiograph]):
        each.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return radiograph


@pytest.mark.parametrize("command", ["storescu", "dcmsend"])
@pytest.mark.parametrize("is_first", [True, False])
def test_dcmtk_sends_a_whole_study(
    settings: Settings, database: sa.Engine, spool: Spool, tmp_path: Path, command: str, is_first: bool
) -> None:
    """Nothing is refused, and the radiograph is taken, wherever it stands."""
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed (Debian: dcmtk)")
    radiograph = whole_study(tmp_path / "study", is_first)
    receiver = Receiver(settings, database, spool, Tokens(spool.root), take)
    receiver.start()
    words = [command, "-v", "-aec", "CANDOR", "localhost", str(receiver.port), "+sd", str(tmp_path / "study")]
    said = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    receiver.stop(1.0)
    assert (said.stdout + said.stderr).count("Response (Success)") == 2 + len(WHOLE_STUDY)
    with database.connect() as connection:
        assert connection.execute(sa.select(instances.c.sop_instance_uid)).scalars().all() == [
            radiograph.SOPInstanceUID
        ]


def orthanc_settings(folder: Path, port: int, web: int, receiver: int) -> Path:
    """Orthanc as a site would set it up: the node is a modality of it, to which its reports go."""
    settings = {
        "Name": "ARCHIVE",
        "DicomAet": "ARCHIVE",
        "DicomPort": port,
        "HttpPort": web,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomModalities": {
            "node": {"AET": "CANDOR", "Host": "127.0.0.1", "Port": receiver, "AllowStorageCommitment": True}
        },
        "Plugins": [],
        "UnknownSopClassAccepted": True,
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(settings))
    return path


def fetched(web: int, path: str) -> Any:
    with urlopen(f"http://127.0.0.1:{web}{path}", timeout=60) as answer:
        return json.load(answer)


def test_orthanc_takes_the_results_and_commits_to_them(sender: Sender, tmp_path: Path) -> None:
    receiver = Receiver(sender.settings, sender.database, sender.spool, Tokens(sender.spool.root), take, sender.clock)
    receiver.start()
    port, web = free_port(), free_port()
    try:
        with peer(port, "Orthanc", orthanc_settings(tmp_path, port, web, receiver.port)):
            wait_until(lambda: listens(web))
            report, overlay = sender.towards(Archive(port=port), commitment=True).both()
            sender.deliver()
            assert sender.states() == ["sent", "sent"]
            assert Committer(sender.database, sender.settings, sender.clock, patience_s=PATIENCE_S).ask() == 1
            wait_until(lambda: sender.states() == ["committed", "committed"])
            kept = [fetched(web, f"/instances/{name}/simplified-tags") for name in fetched(web, "/instances")]
    finally:
        receiver.stop(5)
    assert {tags["SOPInstanceUID"] for tags in kept} == {overlay, report}
    sender.deliver()
    assert sender.state_of_study() == "delivered"


def test_orthanc_says_what_it_does_not_have(sender: Sender, tmp_path: Path) -> None:
    receiver = Receiver(sender.settings, sender.database, sender.spool, Tokens(sender.spool.root), take, sender.clock)
    receiver.start()
    port, web = free_port(), free_port()
    try:
        with peer(port, "Orthanc", orthanc_settings(tmp_path, port, web, receiver.port)):
            sender.towards(Archive(port=port), commitment=True).both()
            sender.change("deliveries", state="sent", sent=sender.clock(), since=sender.clock())  # it was lost there
            Committer(sender.database, sender.settings, sender.clock, patience_s=PATIENCE_S).ask()
            wait_until(lambda: sender.states() == ["due", "due"])
    finally:
        receiver.stop(5)
    assert sender.deliverer.requeue_uncommitted() == 2


def posted(web: int, path: str, data: bytes) -> Any:
    """What Orthanc answers to a POST."""
    with urlopen(Request(f"http://127.0.0.1:{web}/{path}", data=data), timeout=PATIENCE_S) as answer:
        return json.load(answer)


def test_orthanc_sends_a_whole_study_and_then_rejects_its_image(
    settings: Settings, database: sa.Engine, spool: Spool, tmp_path: Path
) -> None:
    radiograph = whole_study(tmp_path / "study", is_first=False)
    rejection_note("113001", radiograph).save_as(tmp_path / "note.dcm", enforce_file_format=True)
    port, web = free_port(), free_port()
    receiver = Receiver(settings, database, spool, Tokens(spool.root), take)
    receiver.start()
    with peer(port, "Orthanc", orthanc_settings(tmp_path, port, web, receiver.port)):
        wait_until(lambda: listens(web))
        files = [*sorted((tmp_path / "study").iterdir()), tmp_path / "note.dcm"]
        sent = [posted(web, "instances", file.read_bytes())["ID"] for file in files]
        for which, state in ((sent[:-1], "kept"), (sent[-1:], "rejected")):
            told = posted(web, "modalities/node/store", json.dumps({"Resources": which, "Synchronous": True}).encode())
            assert (told["InstancesCount"], told["FailedInstancesCount"]) == (len(which), 0)
            with database.connect() as connection:
                found = sa.select(instances.c.state).where(instances.c.sop_instance_uid == radiograph.SOPInstanceUID)
                assert connection.execute(found).scalar_one() == state
    receiver.stop(1.0)
