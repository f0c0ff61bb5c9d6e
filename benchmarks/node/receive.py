"""Receiving, measured: the node against pynetdicom's storescp app and Orthanc with synchronised storage.

    python -m benchmarks.node.receive [--images 40] [--rounds 3] [--load 1000] [--associations 8]

The sender is DCMTK's storescu with ``TCP_NODELAY=1``, one association, 8.4 MB DX images without compression. The node
and Orthanc (where it is installed) store so that a power loss takes nothing; the storescp app does not. Ratios are
medians of interleaved pairs. Then the load: many small images over several associations at once, and the receiver's
memory before, in the middle and after.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import sqlalchemy as sa
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.presentation import build_context

from benchmarks.timing import ratio
from candor.study.provenance import derived_uid
from gateway.dimse.association import Remote, associated
from gateway.receive.receiver import Receiver
from gateway.settings import Keep, Receive, Settings
from gateway.store.database import open_database
from gateway.store.schema import instances
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens

_DX: Final = "1.2.840.10008.5.1.4.1.1.1.1"
_SIDE: Final = 2048
_SMALL_SIDE: Final = 256
_WAIT_S: Final = 30.0


class Server:
    """A receiver in a process of its own.

    Parameters
    ----------
    command
        Makes its command line from its port.
    count
        Counts what it has stored.
    """

    def __init__(self, name: str, command: Callable[[int], list[str]], count: Callable[[], int]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        environment = os.environ | {"TCP_NODELAY": "1"}
        self.name, self.count = name, count
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command(self.port), env=environment, stdout=quiet, stderr=quiet)
        deadline = time.monotonic() + _WAIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def memory_mib(self) -> float:
        """Return its resident set now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(_WAIT_S)


def node(folder: Path) -> Server:
    """Start the node's receiver."""
    settings = node_settings(folder, 1)
    database = open_database(settings.database)

    def count() -> int:
        with database.connect() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(instances)).scalar_one())

    command = [sys.executable, "-m", "benchmarks.node.receive", "--serve", str(folder), "--port"]
    return Server("node", lambda port: [*command, str(port)], count)


def node_settings(folder: Path, port: int) -> Settings:
    """Return the node's settings, the defaults but for places."""
    return Settings(
        database=f"sqlite:///{folder}/gateway.db",
        spool=str(folder),
        receive=Receive(host="127.0.0.1", port=port, require_called_ae_title=False),
        keep=Keep(reserve_gib=1.0),
    )


def storescp(folder: Path) -> Server:
    """Start pynetdicom's storescp app."""
    folder.mkdir()
    command = [sys.executable, "-m", "pynetdicom", "storescp", "-q", "-od", str(folder)]
    return Server("storescp app", lambda port: [*command, str(port)], lambda: len(list(folder.iterdir())))


def orthanc(folder: Path) -> Server:
    """Start Orthanc, with its storage and its database synchronised."""
    folder.mkdir()
    config = folder / "orthanc.json"

    def command(port: int) -> list[str]:
        config.write_text(
            json.dumps(
                {
                    "StorageDirectory": str(folder / "storage"),
                    "IndexDirectory": str(folder / "storage"),
                    "HttpServerEnabled": False,
                    "DicomPort": port,
                    "DicomCheckCalledAet": False,
                    "SyncStorageArea": True,
                    "StorageCompression": False,
                }
            )
        )
        return ["Orthanc", str(config)]

    # Each instance is one file of the image, and one of its attributes as JSON where Orthanc is old.
    large = 1 << 20
    return Server(
        "Orthanc",
        command,
        lambda: sum(path.stat().st_size > large for path in (folder / "storage").rglob("*") if len(path.name) == 36),
    )


def images(folder: Path, count: int, side: int, seed: str) -> list[Path]:
    """Write images of noise, each with UIDs of its own, four to a study."""
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 4096, (side, side), np.uint16).tobytes()
    files = []
    for number in range(count):
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = _DX, derived_uid("receive", seed, str(number))
        dataset.StudyDate, dataset.Modality, dataset.PatientID, dataset.PatientName = "20260101", "DX", "T", "Test"
        dataset.StudyInstanceUID = derived_uid("receive study", seed, str(number // 4))
        dataset.SeriesInstanceUID = derived_uid("receive series", seed, str(number // 4))
        dataset.Rows = dataset.Columns = side
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        dataset.PixelData = pixels
        dataset.ensure_file_meta()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        files.append(folder / f"{number:05}.dcm")
        dataset.save_as(files[-1], enforce_file_format=True)
    return files


def storescu(server: Server, folder: Path) -> None:
    """Send a folder over one association; an instance that is not taken is an error."""
    command = ["storescu", "-aec", "CANDOR", "127.0.0.1", str(server.port), "+sd", str(folder)]
    subprocess.run(command, check=True, env=os.environ | {"TCP_NODELAY": "1"}, stdout=subprocess.DEVNULL)


def throughput(folder: Path, count: int, rounds: int) -> None:
    """Print the rate of each receiver, and the node's against the others'."""
    makers = [node, storescp] + ([orthanc] if shutil.which("Orthanc") else [])
    servers = [make(folder / f"server{number}") for number, make in enumerate(makers)]
    batches = [folder / f"batch{number}" for number in range(rounds + 1)]
    for number, batch in enumerate(batches):
        images(batch, count, _SIDE, str(number))
    try:
        seconds: dict[str, list[float]] = {server.name: [] for server in servers}
        for number, batch in enumerate(batches):
            for server in servers:
                os.sync()  # what the one before has not brought to the disk is not to be the next one's burden
                began = time.perf_counter()
                storescu(server, batch)
                if number:
                    seconds[server.name].append(time.perf_counter() - began)
        megabytes = count * 2 * _SIDE**2 / 1e6
        for server in servers:
            kept = server.count()
            rate = megabytes / statistics.median(seconds[server.name])
            print(f"{server.name}: {rate:.0f} MB/s, {kept} of {count * len(batches)} images kept")
        for server in servers[1:]:
            print(f"node / {server.name}: {ratio(seconds[server.name], seconds['node']):.2f}x")
    finally:
        for server in servers:
            server.stop()


def load(folder: Path, count: int, associations: int) -> None:
    """Send many small images over several associations at once; print the rate, what was refused, and the memory."""
    server = node(folder / "loaded")
    shares = [
        images(folder / f"share{n}", count // associations, _SMALL_SIDE, f"load {n}") for n in range(associations)
    ]
    statuses: list[int | None] = []

    def send(files: list[Path]) -> None:
        remote = Remote("CANDOR", "127.0.0.1", server.port, None)
        with associated(remote, "MODALITY", [build_context(_DX, ExplicitVRLittleEndian)], _WAIT_S) as association:
            statuses.extend(association.send_c_store(file).get("Status") for file in files)

    try:
        for begins, ends in ((0, 0.2), (0.2, 0.6), (0.6, 1.0)):
            began = time.perf_counter()
            threads = [
                threading.Thread(target=send, args=(share[int(begins * len(share)) : int(ends * len(share))],))
                for share in shares
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            sent = int(ends * count) - int(begins * count)
            print(
                f"after {len(statuses)} images: receiver's memory {server.memory_mib():.0f} MiB, "
                f"{sent / (time.perf_counter() - began):.0f} images/s"
            )
        refused = sum(status != 0 for status in statuses)
        print(f"{len(statuses)} sent over {associations} associations, {refused} refused, {server.count()} kept")
    finally:
        server.stop()


def serve(folder: Path, port: int) -> None:
    """Run the node's receiver, in the process that is measured."""
    settings = node_settings(folder, port)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    database, spool = open_database(settings.database), Spool(folder)
    receiver = Receiver(settings, database, spool, Tokens(folder), lambda *_: None)
    receiver.start()
    stopping.wait()
    receiver.stop(5.0)


def main() -> None:
    """Run all measurements, or serve for one."""
    parser = argparse.ArgumentParser("python -m benchmarks.node.receive", description="Measure receiving.")
    parser.add_argument("--images", type=int, default=40, help="8.4 MB images in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--load", type=int, default=1000, help="small images for the load")
    parser.add_argument("--associations", type=int, default=8)
    parser.add_argument("--work", type=Path, help="folder on the disk to measure; by default a temporary one")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.port)
        return
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        throughput(Path(name), options.images, options.rounds)
        load(Path(name), options.load, options.associations)


if __name__ == "__main__":
    main()
