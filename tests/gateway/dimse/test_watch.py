"""Limits by the clock: no peer holds an association that we asked for, whatever it does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification

from gateway.dimse import association as opening
from gateway.dimse import watch
from gateway.dimse.association import NoAssociation, Remote, associated
from gateway.dimse.client import echo, send_folder
from gateway.settings import Deliver, Settings, Tls
from tests.factory import radiograph_dataset
from tests.gateway import stalled
from tests.gateway.archive import Archive, running
from tests.gateway.network import Authority, file_of
from tests.gateway.stalled import Stall, finished, stalling

TIMEOUT_S = 1.0


@pytest.fixture(scope="module")
def radiograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a radiograph that no buffer of a socket holds."""
    folder = tmp_path_factory.mktemp("radiograph")
    pixels = np.random.default_rng(0).integers(0, 4095, (3000, 3000)).astype(np.uint16)
    (folder / "a.dcm").write_bytes(file_of(radiograph_dataset(pixels)))
    return folder


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with running(Archive(classes=(radiograph_dataset(np.zeros((8, 8), np.uint16)).SOPClassUID, Verification))) as open_:
        yield open_


def sent(port: int, folder: Path, timeout_s: float = TIMEOUT_S) -> list[int | None]:
    return [status for _, status in send_folder(folder, Remote("ARCHIVE", "127.0.0.1", port, None), "NODE", timeout_s)]


def sent_once_open(port: int, folder: Path) -> list[int | None]:
    """What became of the objects; on a loaded machine the first associations may not open within the time-out."""
    while True:
        with suppress(NoAssociation):
            return sent(port, folder)


@pytest.mark.parametrize("name", ["SILENT", "HALF_ACCEPT", "DRIPPING_ACCEPT", "NEVER_READS"])
def test_a_peer_that_never_accepts_is_left(archive: Archive, radiograph: Path, name: str) -> None:
    def attempt() -> str:
        with pytest.raises(NoAssociation) as caught:
            sent(peer.port, radiograph)
        return str(caught.value)

    with stalling(archive.port, getattr(stalled, name)) as peer:
        assert "does not answer" in finished(attempt)


@pytest.mark.parametrize("name", ["STOPS_READING", "NO_ANSWER", "HALF_ANSWER", "DRIPPING_ANSWER"])
def test_a_peer_that_stalls_in_a_store_is_left(archive: Archive, radiograph: Path, name: str) -> None:
    with stalling(archive.port, getattr(stalled, name)) as peer:
        assert finished(lambda: sent_once_open(peer.port, radiograph)) == [None]


def test_a_peer_that_never_answers_the_release_has_the_object(archive: Archive, radiograph: Path) -> None:
    with stalling(archive.port, Stall(answers=2)) as peer:
        assert finished(lambda: sent_once_open(peer.port, radiograph)) == [0]


def test_a_slow_peer_gets_everything(archive: Archive, radiograph: Path) -> None:
    with stalling(archive.port, stalled.SLOW) as peer:
        assert finished(lambda: sent(peer.port, radiograph, 20.0)) == [0]


@pytest.mark.parametrize("name", ["SILENT", "HALF_ACCEPT", "HALF_ANSWER", "DRIPPING_ANSWER"])
def test_an_echo_comes_back_without_an_answer(archive: Archive, settings: Settings, name: str) -> None:
    quick = settings.model_copy(update={"deliver": Deliver(timeout_s=TIMEOUT_S)})
    with stalling(archive.port, getattr(stalled, name)) as peer:
        remote = Remote("ARCHIVE", "127.0.0.1", peer.port, None)
        answered, said = finished(lambda: echo(remote, quick))
    assert not answered
    assert "answer" in said


def test_no_thread_is_left_behind(archive: Archive, radiograph: Path) -> None:
    before = set(threading.enumerate())
    with stalling(archive.port, stalled.STOPS_READING) as peer:
        finished(lambda: sent_once_open(peer.port, radiograph))
        ours = [each for each in set(threading.enumerate()) - before if "stalled" not in repr(each)]
        for thread in ours:
            if thread.name == "association watch" or thread.name.startswith("RequestorThread"):
                thread.join(stalled.PATIENCE_S)
                assert not thread.is_alive()


def test_a_peer_that_stalls_in_the_tls_handshake_is_left(archive: Archive, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key, _ = authority.issue("node")
    tls = Tls(certificate=str(certificate), key=str(key), authorities=str(authority.file))

    def attempt() -> None:
        remote = Remote("ARCHIVE", "localhost", port, tls)
        with (
            pytest.raises(NoAssociation, match="does not answer"),
            associated(remote, "NODE", [build_context(Verification)], TIMEOUT_S),
        ):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        finished(attempt)


def test_a_peer_that_drips_its_tls_handshake_is_left(archive: Archive, tmp_path: Path) -> None:
    """Each byte comes within the time-out of a receive, and the whole never."""
    authority = Authority(tmp_path)
    certificate, key, _ = authority.issue("node")
    tls = Tls(certificate=str(certificate), key=str(key), authorities=str(authority.file))
    over = threading.Event()

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            for byte in b"\x16\x03\x03\x3f\xff" + bytes(10_000):
                if over.wait(0.3):
                    return
                connection.sendall(bytes([byte]))

    def attempt() -> None:
        remote = Remote("ARCHIVE", "localhost", listening.getsockname()[1], tls)
        with pytest.raises(NoAssociation), associated(remote, "NODE", [build_context(Verification)], TIMEOUT_S):
            pass

    def quietly() -> None:
        try:
            drip()
        except OSError:
            over.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=quietly, daemon=True).start()
        finished(attempt)
        over.set()


@pytest.mark.parametrize("error", [socket.gaierror("no such name"), UnicodeError("label too long")])
def test_a_name_without_an_address_is_no_association(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def unknown(*_: object, **__: object) -> object:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    remote = Remote("ARCHIVE", "archive.invalid", 104, None)
    with (
        pytest.raises(NoAssociation, match="no address that can be found"),
        associated(remote, "NODE", [build_context(Verification)], TIMEOUT_S),
    ):
        pass


def test_a_name_server_that_never_answers_holds_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, asked = threading.Event(), []

    def hang(host: str, port: int) -> object:
        asked.append(host)
        answered.wait(stalled.PATIENCE_S)
        raise OSError

    monkeypatch.setattr(watch, "AddressInformation", hang)
    for _ in range(3):
        with pytest.raises(OSError):  # noqa: PT011 - of whatever kind
            finished_error(lambda: watch.address_of("archive.invalid", 0.05))
    answered.set()
    assert asked == ["archive.invalid"]


def finished_error(act: Callable[[], object]) -> None:
    caught = finished(lambda: _error_of(act))
    if caught is not None:
        raise caught


def _error_of(act: Callable[[], object]) -> Exception | None:
    try:
        act()
    except OSError as error:
        return error
    return None


def test_a_stop_ends_an_association_in_the_middle_of_an_object(archive: Archive, radiograph: Path) -> None:
    stop = threading.Event()
    with stalling(archive.port, stalled.STOPS_READING) as peer:
        remote = Remote("ARCHIVE", "127.0.0.1", peer.port, None)
        dataset = radiograph_dataset(np.zeros((8, 8), np.uint16))
        contexts = [build_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)]

        def attempt() -> object:
            with associated(remote, "NODE", contexts, 10 * stalled.PATIENCE_S, is_stopped=stop.is_set) as opened:
                threading.Timer(0.3, stop.set).start()
                return opened.send_c_store(radiograph / "a.dcm").get("Status")

        assert finished(attempt) is None


def test_nobody_is_called_after_a_stop(archive: Archive) -> None:
    before = archive.associations
    remote = Remote("ARCHIVE", "127.0.0.1", archive.port, None)
    with (
        pytest.raises(NoAssociation, match=watch.STOPPED),
        associated(remote, "NODE", [build_context(Verification)], TIMEOUT_S, is_stopped=lambda: True),
    ):
        pass
    assert archive.associations == before
    assert opening.STOPPED == watch.STOPPED
