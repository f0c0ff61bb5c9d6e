"""Large writes: the PDUs in them are DICOM's, and the other side gets what the file holds."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from gateway.dimse.association import Remote, associated
from gateway.dimse.framing import Frames, frames, install
from gateway.dimse.watch import Watch
from tests.factory import radiograph_dataset
from tests.gateway.archive import data_set_of
from tests.gateway.network import file_of


def parsed(written: bytes) -> list[tuple[int, int, int, bytes]]:
    """Each PDU as its length, context, control header and data (PS3.8 9.3.5, E.2)."""
    found = []
    while written:
        kind, _, length, item, context, control = struct.unpack(">BBLLBB", written[:12])
        assert kind == 4
        assert item == length - 4
        found.append((length, context, control, written[12 : 6 + length]))
        written = written[6 + length :]
    return found


@pytest.mark.parametrize("length", [1, 93, 94, 95, 188, 1000])
@pytest.mark.parametrize("maximum_pdu", [100, 16384, 0])
def test_the_pdus_hold_the_file_and_the_last_says_so(tmp_path: Path, length: int, maximum_pdu: int) -> None:
    content = bytes(number % 251 for number in range(length))
    path = tmp_path / "a"
    path.write_bytes(b"head" + content)
    pdus = [pdu for written in frames(path, 4, 3, maximum_pdu) for pdu in parsed(written)]
    assert b"".join(data for *_, data in pdus) == content
    assert [control for _, _, control, _ in pdus] == [0] * (len(pdus) - 1) + [2]
    assert {context for _, context, _, _ in pdus} == {3}
    assert all(size <= maximum_pdu for size, *_ in pdus if maximum_pdu)


def test_writes_are_large_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(3 << 20))
    sizes = [len(written) for written in frames(path, 0, 1, 16384)]
    assert len(sizes) in (3, 4)
    assert max(sizes) < 1.1 * (1 << 20)


@pytest.mark.parametrize("maximum_pdu", [0, 4096, 1 << 17])
def test_a_file_of_many_writes_arrives_as_it_is(tmp_path: Path, maximum_pdu: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 4095, (1500, 1500)).astype(np.uint16)
    dataset = radiograph_dataset(pixels)
    path = tmp_path / "a.dcm"
    path.write_bytes(file_of(dataset))
    received: list[bytes] = []

    def store(event: evt.Event) -> int:
        received.append(event.request.DataSet.getvalue())
        return 0

    entity = AE("ARCHIVE")
    entity.maximum_pdu_size = maximum_pdu
    entity.add_supported_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    remote = Remote("ARCHIVE", "127.0.0.1", server.socket.getsockname()[1], None)
    contexts = [build_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)]
    try:
        with associated(remote, "NODE", contexts, 10) as association:
            statuses = [
                association.send_c_store(path).Status,
                association.send_c_store(dataset).Status,  # pynetdicom's own way goes on beside it
                association.send_c_store(path).Status,
            ]
    finally:
        server.shutdown()
    assert statuses == [0, 0, 0]
    assert received == [data_set_of(path)] * 3


class Sent:
    """A socket that remembers, and the state machine's way to it."""

    def __init__(self) -> None:
        self.sent: list[object] = []
        self.ordinary: list[object] = []
        self.socket = self
        self.assoc = self.dul = self

    def send(self, data: object) -> None:
        self.sent.append(data)

    def _send(self, pdu: object) -> None:
        self.ordinary.append(pdu)


def test_only_frames_go_past_the_encoder() -> None:
    """What pynetdicom's state machine hands to the socket's owner; its names are private."""
    from pynetdicom.pdu import P_DATA_TF

    from gateway.dimse.framing import _primitive

    association = Sent()
    install(association, Watch(10))
    association.dul._send("a release")
    association.dul._send(P_DATA_TF(_primitive(Frames(b"bytes"))))
    assert association.ordinary == ["a release"]
    assert [bytes(data) for data in association.sent] == [b"bytes"]
