"""Data sets are the same whichever way their fragments come, streamed or through pynetdicom."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from itertools import pairwise

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pynetdicom.association import Association
from pynetdicom.dsutils import encode

from gateway.receive.bounded_pdu import _data
from gateway.receive.receiver import Receiver
from gateway.settings import Settings
from gateway.store import schema
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens
from tests.gateway.network import association, image, pdu, reread


@pytest.fixture
def receiver(settings: Settings, database: sa.Engine, spool: Spool, tokens: Tokens) -> Iterator[Receiver]:
    receiver = Receiver(settings, database, spool, tokens, lambda *_: None)
    receiver.start()
    yield receiver
    receiver.stop(0.0)


def item(fragment: bytes, control: int, context: int = 1) -> bytes:
    """One presentation data value."""
    return struct.pack(">LBB", len(fragment) + 2, context, control) + fragment


def command(dataset: Dataset) -> bytes:
    """The command set of a C-STORE."""
    request = Dataset()
    request.AffectedSOPClassUID = dataset.SOPClassUID
    request.CommandField, request.MessageID, request.Priority, request.CommandDataSetType = 1, 1, 0, 1
    request.AffectedSOPInstanceUID = dataset.SOPInstanceUID
    encoded = encode(request, True, True) or b""
    return struct.pack("<HHLL", 0, 0, 4, len(encoded)) + encoded


def send(opened: Association, *pdus: bytes) -> int:
    """Send PDUs past pynetdicom, and return the status of the answer."""
    opened._reactor_checkpoint.clear()
    assert opened.dul.socket is not None
    assert isinstance(opened.dul.socket.socket, socket.socket)
    opened.dul.socket.socket.sendall(b"".join(pdus))
    _, answer = opened.dimse.get_msg(block=True)
    opened._reactor_checkpoint.set()
    return -1 if answer is None else int(getattr(answer, "Status", -1))


@pytest.mark.parametrize(
    "cuts",
    [[], [0], [1], [100, 5000], [10, 20, 30, 40, 4000]],
    ids=["one", "an empty one first", "a byte first", "three", "six"],
)
@pytest.mark.parametrize("together", [True, False], ids=["one PDU", "a PDU each"])
def test_fragments(receiver: Receiver, database: sa.Engine, spool: Spool, cuts: list[int], together: bool) -> None:
    sent = image()
    data = encode(sent, False, True) or b""
    pieces = [data[begin:end] for begin, end in pairwise([0, *cuts, len(data)])]
    items = [item(piece, 0) for piece in pieces[:-1]] + [item(pieces[-1], 2)]
    first = item(command(sent), 3)
    with association(receiver.port) as opened:
        pdus = [pdu(4, first + b"".join(items))] if together else [pdu(4, first), *(pdu(4, one) for one in items)]
        assert send(opened, *pdus) == 0x0000
        assert send(opened, *pdus) == 0x0000
    with database.connect() as connection:
        (file,) = connection.execute(sa.select(schema.instances.c.file)).scalars()
    assert reread(spool.path(file)) == sent


@pytest.mark.parametrize(
    "odd",
    [
        pdu(4, item(b"x", 1)),
        pdu(4, struct.pack(">L", 3)),
        pdu(4, struct.pack(">LBB", 1, 1, 0)),
        pdu(4, b""),
        pdu(4, b"x", length=1 << 21),
        pdu(5, bytes(4)),
        pdu(7, bytes(4)),
        pdu(2, bytes(68)),
        b"\x04",
    ],
    ids=["command", "cut item", "item of one", "empty", "too long", "release", "abort", "accept", "cut header"],
)
def test_what_is_no_data_in_the_middle_of_data(
    receiver: Receiver, database: sa.Engine, spool: Spool, odd: bytes
) -> None:
    """The association ends, and nothing of the image stays."""
    sent = image()
    with socket.create_connection(("127.0.0.1", receiver.port), 60) as connection:
        connection.sendall(_request(receiver))
        connection.recv(4096)
        connection.sendall(pdu(4, item(command(sent), 3) + item(b"\x08\x00", 0)) + odd)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    from tests.gateway.receive.test_listener import eventually

    eventually(lambda: not list((spool.root / "incoming").iterdir()))
    assert not list(spool.instances())


@pytest.mark.parametrize("odd", [pdu(4, struct.pack(">L", 3)), pdu(2, bytes(68))], ids=["cut item", "accept"])
def test_data_with_something_odd_in_its_middle_is_not_acknowledged(receiver: Receiver, odd: bytes) -> None:
    sent = image()
    data = encode(sent, False, True) or b""
    with socket.create_connection(("127.0.0.1", receiver.port), 60) as connection:
        connection.sendall(_request(receiver))
        connection.recv(4096)
        begun, rest = item(command(sent), 3) + item(data[:100], 0), item(data[100:], 2)
        connection.sendall(pdu(4, begun) + odd + pdu(4, rest))
        assert connection.recv(4096)[:1] == b"\x07"  # A-ABORT


def test_data_is_taken_out_of_its_pdu() -> None:
    for fragments in ([b"x"], [b"", b"abc"], [bytes(70_000), b"z"]):
        items = [(bytes(data), control, context) for context, control, data in _data(memoryview(whole(fragments)))]
        assert items == [(fragment, 0, 1) for fragment in fragments]


def whole(fragments: list[bytes]) -> bytes:
    return pdu(4, b"".join(item(fragment, 0) for fragment in fragments))


@given(st.binary(max_size=40))
@settings(max_examples=300)
def test_any_bytes_are_data_or_left_alone(content: bytes) -> None:
    for candidate in (content, pdu(4, content)):
        items = _data(memoryview(candidate))
        again = b"".join(item(bytes(data), control, context) for context, control, data in items)
        assert not items or pdu(4, again) == candidate


def _request(receiver: Receiver) -> bytes:
    from tests.gateway.receive.test_listener import request

    return request()
