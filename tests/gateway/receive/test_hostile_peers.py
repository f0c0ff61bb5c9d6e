"""Peers that would shut others out: a modality gets in and stores while they are there, and they are ended."""

from __future__ import annotations

import logging
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import sqlalchemy as sa
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association

from gateway.receive.bounded_pdu import BoundedSocket, Timing
from gateway.receive.callers import Callers
from gateway.receive.journal import senders
from gateway.receive.receiver import Receiver
from gateway.settings import Caller, Receive, Settings
from gateway.store import schema
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens
from tests.gateway.network import image, pdu, store
from tests.gateway.receive.test_bounded_pdu import command, item
from tests.gateway.receive.test_listener import eventually, reasons, request

Start = Callable[..., Receiver]
LONG_S = 600.0


@pytest.fixture
def start(settings: Settings, database: sa.Engine, spool: Spool, tokens: Tokens) -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(**changes: object) -> Receiver:
            block = settings.receive.model_copy(update=changes)
            changed = settings.model_copy(update={"receive": block})
            receiver = Receiver(changed, database, spool, tokens, lambda *_: None)
            receiver.start()
            stack.callback(receiver.stop, 0.0)
            return receiver

        yield begin


@contextmanager
def connected(port: int, number: int, address: str = "127.0.0.2") -> Iterator[list[socket.socket]]:
    """So many connections from another address."""
    with ExitStack() as stack:
        source = (address, 0)
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 60, source_address=source))
            for _ in range(number)
        ]


def is_ended(connection: socket.socket) -> None:
    """Wait until the node has closed a connection; the time-out of the socket fails."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionError:
        pass


def test_silent_connections_shut_nobody_out(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "candor.gateway")
    receiver = start(associate_timeout_s=LONG_S, idle_timeout_s=LONG_S)
    with connected(receiver.port, 80) as silent:
        is_ended(silent[-1])
        for number in range(3):
            assert store(receiver.port, image(str(number))).Status == 0x0000
        assert "too many connections from this address are open" in reasons(caplog)
        open_ones = silent[: Receive().max_connections_per_address]
        assert not select.select(open_ones, [], [], 0)[0], "the others are still there"


@pytest.mark.parametrize("garbage", [b"\xab" * 50, b"\x01" + bytes(9), b"\x04\x00\x00\x00\x00\x04abcd"])
def test_garbage_and_hanging_up_shut_nobody_out(start: Start, garbage: bytes) -> None:
    receiver = start(associate_timeout_s=LONG_S, idle_timeout_s=LONG_S, max_connections_per_address=1000)
    for _ in range(90):
        with connected(receiver.port, 1) as (connection,):
            connection.sendall(garbage)
    eventually(lambda: not receiver._slots.taken)
    assert store(receiver.port, image()).Status == 0x0000


def version(content: bytes, number: int) -> bytes:
    """An A-ASSOCIATE-RQ of another protocol version."""
    return content[:6] + struct.pack(">H", number) + content[8:]


@pytest.mark.parametrize("content", ["garbage", "version", "half", "hangs up", "resets", "accepted and reset"])
def test_a_slot_is_free_as_soon_as_the_peer_has_no_use_for_it(start: Start, content: str) -> None:
    receiver = start(associate_timeout_s=LONG_S, idle_timeout_s=LONG_S)
    with connected(receiver.port, 1) as (connection,):
        eventually(lambda: receiver._slots.taken == 1)
        match content:
            case "garbage":
                connection.sendall(bytes(range(100, 150)))
            case "version":
                connection.sendall(version(request(), 2))
            case "half":
                connection.sendall(request()[:50])
                connection.shutdown(socket.SHUT_WR)
            case "hangs up":
                connection.shutdown(socket.SHUT_WR)
            case "resets":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
            case _:
                connection.sendall(request())
                assert connection.recv(4096).startswith(b"\x02")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
        eventually(lambda: not receiver._slots.taken)
        eventually(lambda: not receiver._associations())


@pytest.mark.parametrize("begun", [0, 3, 100])
def test_a_request_has_to_be_here_in_time(start: Start, begun: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "candor.gateway")
    receiver = start(associate_timeout_s=0.3, idle_timeout_s=LONG_S)
    with connected(receiver.port, 1) as (connection,):
        connection.sendall(request()[:begun])
        is_ended(connection)
    eventually(lambda: "it asked for no association in time" in reasons(caplog))


def drips(connection: socket.socket, pieces: Iterator[bytes], other: Callable[[], object]) -> None:
    """Send a piece now and then, until the node ends the connection."""
    for piece in pieces:
        try:
            connection.sendall(piece)
        except ConnectionError:
            return
        other()
        if select.select([connection], [], [], 0.05)[0]:
            is_ended(connection)
            return
    raise AssertionError("it was never ended")


def floods(connection: socket.socket, piece: bytes) -> None:
    """Send the same until the node ends the connection."""
    while True:
        connection.sendall(piece)


def bytes_of_a_pdu() -> Iterator[bytes]:
    yield pdu(4, b"", length=60_000)
    for _ in range(59_999):
        yield b"\0"


def pdus_of_an_image() -> Iterator[bytes]:
    for _ in range(60_000):
        yield pdu(4, item(b"\0", 0))


@pytest.mark.parametrize("pieces", [bytes_of_a_pdu, pdus_of_an_image])
def test_a_dripping_c_store_is_ended(
    start: Start, spool: Spool, pieces: Callable[[], Iterator[bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    """However much it has sent before; and meanwhile a modality stores."""
    caplog.set_level(logging.INFO, "candor.gateway")
    receiver = start(idle_timeout_s=3.0)
    with connected(receiver.port, 1) as (slow,):
        slow.sendall(request())
        assert slow.recv(4096).startswith(b"\x02")
        slow.sendall(pdu(4, item(command(image()), 3)) + pdu(4, item(bytes(900_000), 0)))
        others: list[object] = []
        drips(slow, pieces(), lambda: others.append(store(receiver.port, image(str(len(others) % 3))).get("Status")))
        assert set(others) == {0x0000}
    eventually(lambda: not list((spool.root / "incoming").iterdir()))
    eventually(lambda: not receiver._slots.taken)
    assert "the PDU does not come in time" in reasons(caplog)


def test_a_slow_modality_has_the_time_that_the_lowest_rate_gives(
    start: Start, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that takes far longer than the idle time-out in all, in time that the test moves."""
    clock = [0.0]
    monkeypatch.setattr("gateway.receive.bounded_pdu.time.monotonic", lambda: clock[0])
    left, right = socket.socketpair()
    slow = bounded(left, Timing(60.0, 16 * 1024.0))
    with right:
        for _ in range(200):
            right.sendall(bytes(16 * 1024))
            clock[0] += 1.0
            assert len(slow.recv(16 * 1024)) == 16 * 1024
        clock[0] += 59.0  # and a pause
        right.sendall(bytes(1024))
        assert len(slow.recv(1024)) == 1024
        for _ in range(2):
            right.sendall(b"\0")
            clock[0] += 0.5
            if clock[0] < 260.0:
                slow.recv(1)
        right.sendall(b"\0")
        clock[0] += 1.0
        with pytest.raises(TimeoutError):
            slow.recv(1)
    left.close()


def bounded(connection: socket.socket, timing: Timing) -> BoundedSocket:
    return BoundedSocket(Association(ApplicationEntity("CANDOR"), "acceptor"), connection, "192.0.2.1", b"", timing)


@pytest.mark.parametrize("reads", [False, True])
def test_a_peer_that_does_not_read_its_answers_is_ended(reads: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Also where it reads a byte now and then."""
    caplog.set_level(logging.INFO, "candor.gateway")
    left, right = socket.socketpair()
    node = bounded(left, Timing(0.5, 16 * 1024.0))
    node.event_queue.get_nowait()
    done = threading.Event()

    def drip() -> None:
        while reads and not done.wait(0.01) and right.recv(1):
            pass

    reader = threading.Thread(target=drip)
    reader.start()
    node.send(bytes(8 << 20))
    assert node.event_queue.get_nowait() == "Evt17"
    assert "the peer does not read its answers" in reasons(caplog)
    done.set()
    reader.join(60)
    left.close()
    right.close()


def test_an_answer_is_sent_whole_to_a_peer_that_reads() -> None:
    left, right = socket.socketpair()
    node, content = bounded(left, Timing(60.0, 16 * 1024.0)), bytes(range(256)) * 8192
    sender = threading.Thread(target=node.send, args=(content,))
    sender.start()
    assert right.recv(len(content), socket.MSG_WAITALL) == content
    sender.join(60)
    left.close()
    right.close()


def test_requests_whose_answers_nobody_reads_end_the_association(start: Start) -> None:
    receiver = start(idle_timeout_s=LONG_S)
    sent = image()
    whole = pdu(4, item(command(sent), 3)) + pdu(4, item(bytes(100), 2))
    with connected(receiver.port, 1) as (deaf,):
        deaf.sendall(request())
        assert deaf.recv(4096).startswith(b"\x02")
        with pytest.raises(ConnectionError):
            floods(deaf, whole * 100)
    assert store(receiver.port, sent).Status == 0x0000
    eventually(lambda: not receiver._slots.taken)


def echo() -> bytes:
    """The command of a C-ECHO request."""
    from pydicom import Dataset
    from pynetdicom.dsutils import encode

    asked = Dataset()
    asked.AffectedSOPClassUID, asked.CommandField, asked.MessageID = "1.2.840.10008.1.1", 0x0030, 1
    asked.CommandDataSetType = 0x0101
    return pdu(4, item(encode(asked, True, True) or b"", 3))


def test_commands_upon_commands_do_not_fill_memory(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait in a queue of pynetdicom's, one for each that is not answered yet."""
    receiver = start(idle_timeout_s=LONG_S, associate_timeout_s=2.0)
    with connected(receiver.port, 1) as (deaf,):
        deaf.sendall(request())
        assert deaf.recv(4096).startswith(b"\x02")
        goes_on = threading.Event()
        monkeypatch.setattr(Association, "_serve_request", lambda *_: goes_on.wait(60))
        with pytest.raises(ConnectionError):
            floods(deaf, echo() * 100)
        goes_on.set()


def test_a_command_set_that_does_not_end(start: Start) -> None:
    receiver = start(idle_timeout_s=LONG_S)
    with connected(receiver.port, 1) as (endless,):
        endless.sendall(request())
        assert endless.recv(4096).startswith(b"\x02")
        endless.sendall(pdu(4, item(bytes(1 << 15), 1)) * 3)
        is_ended(endless)
    eventually(lambda: not receiver._slots.taken)


def test_a_data_set_that_does_not_end(start: Start, spool: Spool) -> None:
    """It is over the largest object, refused, and goes on."""
    receiver = start(idle_timeout_s=LONG_S, max_object_mib=1)
    with connected(receiver.port, 1) as (endless,):
        endless.sendall(request())
        assert endless.recv(4096).startswith(b"\x02")
        endless.sendall(pdu(4, item(command(image()), 3)))
        with pytest.raises(ConnectionError):
            floods(endless, pdu(4, item(bytes(1 << 19), 0)))
    eventually(lambda: not list((spool.root / "incoming").iterdir()))
    eventually(lambda: not receiver._slots.taken)


def test_associations_of_strangers_leave_places_to_callers_who_were_here(start: Start, database: sa.Engine) -> None:
    """Strangers that are on the list, too: an AE title is easily guessed."""
    callers = (Caller(ae_title="MODALITY"),)
    receiver = start(callers=callers, max_associations=4, idle_timeout_s=LONG_S)
    assert store(receiver.port, image("first")).Status == 0x0000
    eventually(lambda: not receiver._associations())
    again = start(callers=callers, max_associations=4, idle_timeout_s=LONG_S)  # what it knew is in the journal
    assert senders(database, Callers(again._settings.receive)) == {"127.0.0.1"}
    for node in (receiver, again):
        with ExitStack() as stack:
            answers = []
            for number in range(5):
                (stranger,) = stack.enter_context(connected(node.port, 1, f"127.0.1.{number + 1}"))
                stranger.sendall(request())
                answers.append(stranger.recv(1))
            assert answers[:3] == [b"\x02"] * 3
            assert answers[3] == b"\x03"
            # Once the rejected have gone:
            eventually(lambda node=node: store(node.port, image("second")).get("Status") == 0)  # type: ignore[misc]
        eventually(lambda node=node: not node._associations())  # type: ignore[misc]


def test_nobody_is_known_without_a_list_or_after_leaving_it(start: Start, database: sa.Engine) -> None:
    assert store(start().port, image()).Status == 0x0000
    assert senders(database, Callers(Receive())) == set()
    assert senders(database, Callers(Receive(callers=(Caller(ae_title="OTHER"),)))) == set()
    assert senders(database, Callers(Receive(callers=(Caller(ae_title="MODALITY"),)))) == {"127.0.0.1"}
    with database.connect() as connection:
        assert connection.execute(sa.select(schema.instances.c.peer)).scalar() == "127.0.0.1"
