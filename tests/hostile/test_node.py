"""Hostile files sent to a running node: it answers a C-ECHO right after each, and every study comes to an answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydicom.filereader import read_partial
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import Verification

from benchmarks.node.crash import Node, accepts, wait_for
from candor.dicom.read.file import MALFORMED
from candor.dicom.shared.attributes import is_uid
from candor.study.provenance import derived_uid
from gateway.dimse.contexts import COMPRESSED, NATIVE, STUDY_IMAGES
from gateway.dimse.status import Status
from gateway.store.schema import studies
from gateway.store.states import StudyState
from tests.bundles import make_bundle
from tests.gateway.network import association, file_of, image
from tests.hostile.bombs import BOMBS

LARGEST = 50 << 20
UNREADABLE = "readable DICOM"
"""What the application says of a study without one file that can be read; the node parks it with a report."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node in shadow mode: results are made and kept."""
    folder = tmp_path_factory.mktemp("node")
    running = Node(folder / "node", make_bundle(folder / "cxr"), 1)
    running.start()
    try:
        wait_for(lambda: accepts(running.port), 60.0, "the receiver")
        yield running
    finally:
        assert running.stop() == 0


def command_uids(content: bytes) -> tuple[str, str, str, int]:
    """SOP Class, SOP Instance and Transfer Syntax as far as the file can be read, and where its data set begins."""
    file = BytesIO(content)
    try:
        found = read_partial(file, lambda tag, _vr, _length: tag > 0x00080018, force=True)
        sop_class, instance = str(found.get("SOPClassUID", "")), str(found.get("SOPInstanceUID", ""))
        syntax = str(found.file_meta.get("TransferSyntaxUID", ""))
        start = 0
        if found.preamble is not None:
            head = BytesIO(content)
            head.seek(132)
            read_partial_meta(head)
            start = head.tell()
    except MALFORMED:
        return "", "", "", 0
    return sop_class, instance, syntax, start


def read_partial_meta(file: BytesIO) -> None:
    """Pass over the File Meta Information, whatever its group length says."""
    while (group := file.read(2)) == b"\x02\x00":
        file.read(2)
        long = file.read(2) in (b"OB", b"UN", b"SQ")
        length = int.from_bytes(file.read(6)[2:] if long else file.read(2), "little")
        file.seek(length, 1)
    file.seek(-len(group), 1)


def send(port: int, content: bytes) -> int | None:
    """Send a file's data set as it stands, under what its head says or else as a radiograph; the status, or None."""
    sop_class, instance, syntax, start = command_uids(content)
    sop_class = sop_class if sop_class in STUDY_IMAGES else str(DigitalXRayImageStorageForPresentation)
    instance = instance if is_uid(instance) else derived_uid("hostile", str(len(content)))
    syntax = syntax if syntax in (*NATIVE, *COMPRESSED) else str(ExplicitVRLittleEndian)
    with association(port, (sop_class, syntax)) as opened:
        return _store(opened, sop_class, instance, content[start:]) if opened.is_established else None


def _store(opened: Association, sop_class: str, instance: str, data: bytes) -> int | None:
    request = C_STORE()
    request.MessageID, request.Priority = 1, 0
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(sop_class), UID(instance)
    request.DataSet = BytesIO(data)
    opened._reactor_checkpoint.clear()  # as pynetdicom's own send_c_store does, which encodes data sets anew
    while not opened._is_paused:
        time.sleep(0.01)
    opened.dimse.send_msg(request, opened.accepted_contexts[0].context_id)
    _, answer = opened.dimse.get_msg(block=True)
    opened._reactor_checkpoint.set()
    return None if answer is None else int(answer.Status)


def echoes(port: int) -> bool:
    """Whether the node answers a C-ECHO."""
    with association(port, (Verification, ExplicitVRLittleEndian)) as opened:
        return opened.is_established and opened.send_c_echo().Status == Status.SUCCESS.code


def answered(node: Node) -> bool:
    """Whether every study that was taken has its answer."""
    with node.database().connect() as connection:
        return all(not StudyState(state).is_open for state in connection.execute(sa.select(studies.c.state)).scalars())


def broken(node: Node) -> list[str]:
    """The reasons of the studies that no answer was found for, or that broke a worker."""
    failed = sa.and_(studies.c.state == StudyState.FAILED.value, studies.c.reason.not_like(f"%{UNREADABLE}%"))
    with node.database().connect() as connection:
        return list(connection.execute(sa.select(studies.c.reason).where(failed | (studies.c.tries > 1))).scalars())


def assault(node: Node, contents: Iterator[bytes], seconds: float) -> None:
    """Send all, with a C-ECHO right after each, and wait until every study is answered."""
    taken = 0
    for content in contents:
        taken += send(node.port, content) == Status.SUCCESS.code
        assert echoes(node.port)
    assert taken
    wait_for(lambda: answered(node), seconds, "an answer for every study")
    assert broken(node) == []
    good = image("after the assault")
    assert send(node.port, file_of(good)) == Status.SUCCESS.code
    wait_for(lambda: answered(node), 60.0, "an answer for the study behind them")
    assert echoes(node.port)


@pytest.mark.full
def test_every_hostile_file(node: Node, hostile_dicom: Path, ood_dicom: Path) -> None:
    paths = [path for folder in (hostile_dicom, ood_dicom) for path in sorted(folder.iterdir())]
    assault(node, (path.read_bytes() for path in paths), 300.0)


@pytest.mark.full
def test_every_bomb(node: Node) -> None:
    made = (make() for make, _ in BOMBS.values())
    assault(node, (content for content in made if len(content) < LARGEST), 300.0)
