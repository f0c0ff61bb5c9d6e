"""The receiver on a hostile network: it goes on serving others, keeps nothing, and says what it refused."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.sop_class import Verification

from gateway.receive.bounded_pdu import MAXIMUM_PDU
from gateway.receive.listener import BoundedServer
from gateway.receive.receiver import Receiver
from gateway.settings import Settings
from gateway.store import schema
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens
from tests.gateway.network import association, image, pdu, raw, store

IDLE_S = 0.6


@pytest.fixture
def idle_s() -> float:
    return IDLE_S


@pytest.fixture
def receiver(
    settings: Settings, database: sa.Engine, spool: Spool, tokens: Tokens, idle_s: float
) -> Iterator[Receiver]:
    hasty = settings.receive.model_copy(
        update={"idle_timeout_s": idle_s, "associate_timeout_s": idle_s, "max_associations": 4}
    )
    receiver = Receiver(settings.model_copy(update={"receive": hasty}), database, spool, tokens, lambda *_: None)
    receiver.start()
    yield receiver
    receiver.stop(0.0)


def serves(receiver: Receiver, database: sa.Engine, spool: Spool) -> bool:
    """Whether another sender is served, and nothing of the bad ones is there."""
    answer = store(receiver.port, image("good"))
    with database.connect() as connection:
        uids = connection.execute(sa.select(schema.instances.c.sop_instance_uid)).scalars().all()
    files = list(spool.instances())
    return answer.get("Status") == 0 and uids == [image("good").SOPInstanceUID] and len(files) == 1


def reasons(caplog: pytest.LogCaptureFixture) -> list[object]:
    """Why the node says that it refused something."""
    return [record.facts.get("reason") for record in caplog.records if record.name == "candor.gateway"]


def peers(caplog: pytest.LogCaptureFixture, event: str) -> set[object]:
    """Where the connections of some log lines came from."""
    return {record.facts["peer"] for record in caplog.records if record.message == event}


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds that another thread is about to bring about."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def request() -> bytes:
    """A valid A-ASSOCIATE-RQ for radiographs, as pynetdicom encodes it."""
    sent: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def take() -> None:
            connection, _ = listening.accept()
            with connection:
                header = connection.recv(6, socket.MSG_WAITALL)
                sent.append(header + connection.recv(struct.unpack(">L", header[2:])[0], socket.MSG_WAITALL))

        thread = threading.Thread(target=take)
        thread.start()
        with association(listening.getsockname()[1]):
            thread.join()
    return sent[0]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
        bytes(range(256)) * 40,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of a TLS handshake
        pdu(0x01, b"\x00\x01" + bytes(66)),
        pdu(0x01, b"\xff" * 200),
        pdu(0x04, b"\x00\x00\x00\x02\x01\x03"),  # data without an association
        pdu(0x09, b"no such type"),
        pdu(0x04, b"x", length=0xFFFFFFFF),
        b"",
    ],
    ids=["http", "bytes", "tls", "empty request", "bad request", "data first", "no type", "four gigabytes", "nothing"],
)
def test_garbage(
    receiver: Receiver, database: sa.Engine, spool: Spool, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "candor.gateway")
    raw(receiver.port, garbage)
    eventually(lambda: serves(receiver, database, spool))
    eventually(lambda: any(reasons(caplog)))


def test_who_asks_for_no_association_is_told_so(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    assert raw(receiver.port, pdu(0x04, b"")) == pdu(0x07, b"\x00\x00\x02\x01")  # A-ABORT: unrecognised PDU
    assert peers(caplog, "connection ended") == {"127.0.0.1"}


def test_half_an_association(receiver: Receiver, database: sa.Engine, spool: Spool) -> None:
    raw(receiver.port, request()[:100])
    assert raw(receiver.port, request()).startswith(b"\x02")  # accepted, then silent
    eventually(lambda: serves(receiver, database, spool))


def test_a_pdu_that_is_longer_than_was_negotiated(receiver: Receiver, database: sa.Engine, spool: Spool) -> None:
    """Nothing of it is read: four gigabytes that are announced cost no memory."""
    with socket.create_connection(("127.0.0.1", receiver.port), 60) as connection:
        connection.sendall(request())
        assert connection.recv(4096).startswith(b"\x02")
        connection.sendall(pdu(0x04, b"\x00\x00\x00\x02\x01\x03", length=MAXIMUM_PDU + 1))
        assert connection.recv(4096) in (b"", pdu(0x07, b"\x00\x00\x02\x00"))
    eventually(lambda: serves(receiver, database, spool))


def test_a_pdu_whose_items_lie_about_their_length(receiver: Receiver, database: sa.Engine, spool: Spool) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port), 60) as connection:
        connection.sendall(request())
        connection.recv(4096)
        connection.sendall(pdu(0x04, struct.pack(">LBB", 0xFFFFFFF0, 1, 3) + b"short"))
        while connection.recv(4096):
            pass
    eventually(lambda: serves(receiver, database, spool))


@pytest.mark.parametrize("command", [b"\x00" * 64, b"\xff" * 64, b""], ids=["zeros", "ones", "none"])
def test_a_message_whose_command_is_none(receiver: Receiver, database: sa.Engine, spool: Spool, command: bytes) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port), 60) as connection:
        connection.sendall(request())
        connection.recv(4096)
        connection.sendall(pdu(0x04, struct.pack(">LBB", len(command) + 2, 1, 3) + command))
        while connection.recv(4096):
            pass
    eventually(lambda: serves(receiver, database, spool))


@pytest.mark.parametrize("idle_s", [10 * IDLE_S])  # longer than another sender takes
def test_a_sender_that_stops_in_the_middle_of_an_object(receiver: Receiver, database: sa.Engine, spool: Spool) -> None:
    with association(receiver.port) as opened:
        opened.network_timeout = None
        message = _first_pdus(opened)
        connection = opened.dul.socket.socket
        connection.sendall(message)
        eventually(lambda: bool(_parts(spool)))
        assert serves(receiver, database, spool), "others are served while it is silent"
        eventually(lambda: not _parts(spool))  # the idle time-out ends it and leaves nothing
    eventually(lambda: serves(receiver, database, spool))


def test_a_slow_sender_is_ended_and_holds_nobody_up(receiver: Receiver, database: sa.Engine, spool: Spool) -> None:
    """A byte now and then is no sign of life: a PDU has to be here within the idle time-out."""
    with socket.create_connection(("127.0.0.1", receiver.port), 60) as slow:
        served, ended = 0, False
        for byte in request():
            try:
                slow.sendall(bytes([byte]))
            except ConnectionError:
                ended = True
                break
            served += serves(receiver, database, spool)
            time.sleep(IDLE_S / 10)
        assert ended
        assert served


def test_a_peer_that_waits_for_no_answer(receiver: Receiver, database: sa.Engine, spool: Spool) -> None:
    """Messages upon messages fill neither memory nor disk."""
    with association(receiver.port) as opened:
        opened.dul.socket.socket.sendall(_unanswerable(opened) * 20)
        opened.join(60)
        assert not opened.is_established
    eventually(lambda: not _parts(spool))
    eventually(lambda: serves(receiver, database, spool))


def test_connections_without_an_association_are_limited(
    receiver: Receiver, database: sa.Engine, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "candor.gateway")
    idle = [socket.create_connection(("127.0.0.1", receiver.port), 60) for _ in range(40)]
    try:
        assert idle[-1].recv(1) == b"", "closed at once"
    finally:
        for connection in idle:
            connection.close()
    assert "too many connections from this address are open" in reasons(caplog)
    assert peers(caplog, "connection refused") == {"127.0.0.1"}
    eventually(lambda: serves(receiver, database, spool))


def test_a_connection_that_gets_no_thread_gives_its_slot_back(
    receiver: Receiver, database: sa.Engine, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("socketserver.ThreadingMixIn.process_request", exhausted)
        for _ in range(40):  # more than there are slots
            with socket.create_connection(("127.0.0.1", receiver.port), 60) as connection:
                assert connection.recv(1) == b""
    assert receiver._slots.taken == 0
    assert serves(receiver, database, spool)


def test_a_handshake_that_is_not_made_holds_nobody_up(
    settings: Settings,
    database: sa.Engine,
    spool: Spool,
    tokens: Tokens,
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from gateway.dimse.tls import client_context
    from gateway.settings import Tls
    from tests.gateway.network import Authority

    authority = Authority(tmp_path_factory.mktemp("keys"))
    certificate, key, _ = authority.issue("node")
    tls = Tls(certificate=str(certificate), key=str(key), authorities=str(authority.file))
    secure = settings.receive.model_copy(update={"associate_timeout_s": IDLE_S, "tls": tls})
    receiver = Receiver(settings.model_copy(update={"receive": secure}), database, spool, tokens, lambda *_: None)
    receiver.start()
    with socket.create_connection(("127.0.0.1", receiver.port), 60) as silent:
        assert store(receiver.port, image(), tls=client_context(tls)).Status == 0x0000
        assert silent.recv(1) == b"", "it is ended after the time-out"
    eventually(lambda: peers(caplog, "connection failed") == {"127.0.0.1"})
    receiver.stop(0.0)


def test_what_is_refused_is_said_without_what_the_peer_said(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "candor.gateway")
    with association(receiver.port, called="CANARY", calling="CANARY"):
        pass
    raw(receiver.port, b"CANARY" * 100)
    said = [(record.getMessage(), record.facts) for record in caplog.records if record.name == "candor.gateway"]
    assert ("association refused", "it asked for another AE title than ours") in [
        (event, facts.get("reason")) for event, facts in said
    ]
    assert "CANARY" not in str(said)


def test_no_association_outlives_its_connection(receiver: Receiver) -> None:
    for _ in range(3):
        with association(receiver.port, (Verification, ImplicitVRLittleEndian)) as opened:
            opened.send_c_echo()
    server = receiver._server
    assert isinstance(server, BoundedServer)
    eventually(lambda: not server.active_associations and not server.slots.taken)


def _parts(spool: Spool) -> list[object]:
    return list((spool.root / "incoming").iterdir())


def _first_pdus(opened: object, instance: str = "1.2.3") -> bytes:
    """The command of a C-STORE, and the first fragment of its data set."""
    from pynetdicom.dimse_messages import C_STORE_RQ
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.dsutils import encode

    primitive = C_STORE()
    primitive.MessageID, primitive.Priority = 1, 0
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = image().SOPClassUID, instance
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    message.command_set.CommandDataSetType = 0x0001
    command = encode(message.command_set, True, True) or b""
    return _pdv(command, 3) + _pdv(b"\x08\x00\x05\x00" + bytes(1000), 0)


def _unanswerable(opened: object) -> bytes:
    """A whole C-STORE that pynetdicom drops without an answer, since its request is not valid: it has no class."""
    from pydicom import Dataset
    from pynetdicom.dsutils import encode

    command = Dataset()
    command.CommandField, command.MessageID, command.CommandDataSetType = 0x0001, 1, 0x0001
    return _pdv(encode(command, True, True) or b"", 3) + _pdv(bytes(100), 2)


def _pdv(fragment: bytes, control: int) -> bytes:
    return pdu(0x04, struct.pack(">LBB", len(fragment) + 2, 1, control) + fragment)


def test_the_request_is_one() -> None:
    decoded = A_ASSOCIATE_RQ()
    decoded.decode(request())
    assert decoded.called_ae_title.strip() == "CANDOR"
