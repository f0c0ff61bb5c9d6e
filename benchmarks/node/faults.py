"""What happens to a node: peers that stall, archives with moods, full and read-only disks, a database that is away."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from tools.small_pacs import SmallPacs, break_off, free_port

_CONFIRMED: Final = 1  # N-EVENT-REPORT: all instances are safe (PS3.4 J.3.3)
_FAILURES_EXIST: Final = 2
_DRIP_S: Final = 1.0
ECHO_CALL: Final = b"\x01\x00\x00\x00\x00\xcd" + b"\x00\x01\x00\x00" + b"CANDOR".ljust(16) + b"MODALITY".ljust(16)
"""The first bytes of an A-ASSOCIATE-RQ of 205 bytes (PS3.8 9.3.2)."""


class MoodyPacs(SmallPacs):
    """A PACS of this process that answers as it is told.

    Parameters
    ----------
    folder
        Where it keeps what it takes.
    answer
        Returns the status for a C-STORE request and its number, from 0; None aborts the association.
    commit
        Called with the PACS and the action information of each storage commitment request, in a thread of its own.
    """

    def __init__(
        self,
        folder: Path,
        answer: Callable[[Any, int], int | None] = lambda request, number: 0,
        commit: Callable[[MoodyPacs, Dataset], None] | None = None,
    ) -> None:
        super().__init__(folder)
        self.folder, self.port, self.node_port = folder, free_port(), 0
        self.reported: set[str] = set()
        self._answer, self._commit, self._number = answer, commit, 0
        if commit is not None:
            self._ae.add_supported_context(StorageCommitmentPushModel)

    def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Start the server and return."""
        super().start(port or self.port, host)

    def handlers(self) -> list[Any]:
        """See :meth:`SmallPacs.handlers`."""
        return [*super().handlers(), (evt.EVT_N_ACTION, self._act)]

    def report(self, action: Dataset, uids: Sequence[str], failed: Sequence[str] = (), transaction: str = "") -> None:
        """Report to the node's receiver on an association of the PACS's own.

        Parameters
        ----------
        action
            The action information of the request.
        uids
            SOP Instance UIDs that it takes responsibility for.
        failed
            SOP Instance UIDs that it does not have.
        transaction
            The Transaction UID, if it is not the request's.
        """
        named = {str(item.ReferencedSOPInstanceUID): item for item in action.ReferencedSOPSequence}
        classes = [str(item.ReferencedSOPClassUID) for item in action.ReferencedSOPSequence]
        information = Dataset()
        information.TransactionUID = transaction or action.TransactionUID
        information.ReferencedSOPSequence = [_reference(uid, named, classes[0]) for uid in uids]
        if failed:
            information.FailedSOPSequence = [_reference(uid, named, classes[0], 0x0112) for uid in failed]
        entity = ApplicationEntity("PACS")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        contexts = [build_context(StorageCommitmentPushModel)]
        association = entity.associate("127.0.0.1", self.node_port, contexts, "CANDOR", ext_neg=[role])
        if association.is_established:
            kind = _FAILURES_EXIST if failed else _CONFIRMED
            if not transaction:
                self.reported |= set(uids) & named.keys()
            with suppress(RuntimeError):  # the node hung up
                association.send_n_event_report(
                    information, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
                )
            association.release()

    def _act(self, event: Any) -> tuple[int, None]:
        if self._commit is not None:
            threading.Thread(target=self._commit, args=(self, event.action_information), daemon=True).start()
        return 0, None

    def _store(self, event: Any) -> int:
        with self._lock:
            number, self._number = self._number, self._number + 1
        status = self._answer(event.request, number)
        if status is None:
            break_off(event.assoc)
            return 0
        if status == 0 or status >> 12 == 0xB:  # a warning is a kind of success (PS3.7 C.4)
            super()._store(event)
        return status


def _reference(uid: str, named: dict[str, Dataset], sop_class_uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = named[uid].ReferencedSOPClassUID if uid in named else sop_class_uid
    item.ReferencedSOPInstanceUID = uid
    if reason is not None:
        item.FailureReason = reason
    return item


class Webhook:
    """A site's webhook; it keeps every alarm that it gets, or lets its answer drip."""

    def __init__(self, drips: bool = False) -> None:
        self.alarms: list[tuple[float, str, str]] = []
        """When each came, its kind and its subject."""
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alarm"]
                if drips:
                    with suppress(OSError):
                        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"." * 10_000:
                            self.wfile.write(bytes([byte]))
                            time.sleep(3.0)
                    return
                hook.alarms.append((time.time(), str(said["kind"]), str(said["subject"])))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def stalled_modalities(port: int, each: int, address: str = "127.0.0.2") -> Iterator[None]:
    """Keep calls of four kinds open: silent, half a PDU, a byte at a time, and one that never reads; renew what ends.

    Parameters
    ----------
    port
        The node's.
    each
        How many of each kind.
    address
        From which they call.
    """
    over = threading.Event()

    def call(first: bytes, drips: bool) -> None:
        while not over.is_set():
            with suppress(OSError), socket.socket() as connection:
                connection.bind((address, 0))
                connection.settimeout(1.0)
                connection.connect(("127.0.0.1", port))
                connection.sendall(first)
                while not over.wait(_DRIP_S):
                    if drips:
                        connection.sendall(b"\x00")
                    elif _has_ended(connection):
                        break
            over.wait(0.2)

    kinds = [(b"", False), (ECHO_CALL[:8], False), (ECHO_CALL, True), (os.urandom(50), False)]
    threads = [threading.Thread(target=call, args=kind, daemon=True) for kind in kinds for _ in range(each)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(5.0)


def _has_ended(connection: socket.socket) -> bool:
    """Tell whether the other side has closed, without taking what it sent."""
    with suppress(BlockingIOError):
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    return False


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[bool]:
    """Mount a small disk in memory; gives False where this user may not mount.

    Parameters
    ----------
    folder
        Where; made.
    mib
        Its size.
    """
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        done = False
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, name: str = "ballast") -> Path:
    """Write until the disk takes no byte more; returns the file to delete."""
    path = folder / name
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * (1 << 16))
    return path


@contextmanager
def read_only(folder: Path, patience_s: float = 10.0) -> Iterator[bool]:
    """Remount a disk read-only for a while; gives False where a file that is being written does not allow it."""
    remount, end = ["mount", "-o", "remount,ro", str(folder)], time.monotonic() + patience_s
    while not (done := subprocess.run(remount, capture_output=True).returncode == 0) and time.monotonic() < end:
        time.sleep(0.02)
    try:
        yield done
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold SQLite's write lock, as a backup that hangs does."""
    connection = sqlite3.connect(database, timeout=30, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@contextmanager
def away(database: Path) -> Iterator[None]:
    """Move SQLite's files away, and back over what was made in their place."""
    hidden = database.parent / "away"
    hidden.mkdir()
    names = [path.name for path in database.parent.glob(f"{database.name}*")]
    for name in names:
        (database.parent / name).rename(hidden / name)
    try:
        yield
    finally:
        for path in database.parent.glob(f"{database.name}*"):
            path.unlink()
        for name in names:
            (hidden / name).rename(database.parent / name)
        hidden.rmdir()


@contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    """Stop processes (SIGSTOP) for a while; those that somebody kills meanwhile stay dead."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def family(pid: int) -> list[int]:
    """Return a process and its children, by their identifiers."""
    children = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _parent(entry) == pid
    ]  # fmt: skip
    return [pid, *children]


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def flip(path: Path, offset: int = -100) -> None:
    """Change one bit of a file, as a failing disk does: its length and its times stay.

    Parameters
    ----------
    path
        The file.
    offset
        Of the byte, from the end.
    """
    times, content = path.stat(), bytearray(path.read_bytes())
    content[offset] ^= 0x10
    mode = times.st_mode & 0o777
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(content)
    path.chmod(mode)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
