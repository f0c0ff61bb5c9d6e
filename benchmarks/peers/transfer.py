"""Receiving and sending beside DCMTK, Orthanc and pynetdicom's own apps; 8.4 MB radiographs, one association."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from pydicom.uid import DigitalXRayImageStorageForPresentation

from benchmarks.node import receive, send
from benchmarks.node.receive import Server
from benchmarks.peers.table import Row, Section, rated
from benchmarks.timing import interleaved
from candor.files.hashes import file_sha256
from candor.study.provenance import derived_uid
from gateway.deliver.sender import Outgoing

_SIDE: Final = 2048
_MEGABYTES: Final = 2 * _SIDE**2 / 1e6
_LARGEST_PDU: Final = "131072"


def measure(images: int, rounds: int) -> list[Section]:
    """Receive and send so many images in each round."""
    if shutil.which("storescp") is None:
        return [Section("Receiving and sending", (), ["not measured: DCMTK is not installed (Debian: dcmtk)"])]
    with tempfile.TemporaryDirectory() as name:
        received = receiving(Path(name), images, rounds)
    with tempfile.TemporaryDirectory() as name:
        return [received, sending(Path(name), images, rounds)]


def dcmtk(folder: Path, *options: str, no_delay: bool) -> Server:
    """Start DCMTK's storescp; it keeps files without waiting for the disk.

    Parameters
    ----------
    no_delay
        Whether Nagle's algorithm is off; it is on by default.
    """
    folder.mkdir()
    nagle = ["env", "TCP_NODELAY=1"] if no_delay else ["env", "-u", "TCP_NODELAY"]
    command = [*nagle, "storescp", *options, "-od", str(folder)]
    name = "DCMTK's storescp, " + ("TCP_NODELAY, largest PDU" if no_delay else "as it comes")
    return Server(name, lambda port: [*command, str(port)], lambda: len(list(folder.iterdir())))


def receivers(folder: Path) -> list[Server]:
    """Start the node and every peer that is installed."""
    makers: list[Callable[[Path], Server]] = [
        receive.node,
        receive.storescp,
        partial(dcmtk, no_delay=False),
        lambda place: dcmtk(place, "--max-pdu", _LARGEST_PDU, no_delay=True),
    ]
    if shutil.which("Orthanc"):
        makers.append(receive.orthanc)
    return [maker(folder / f"server{number}") for number, maker in enumerate(makers)]


def receiving(folder: Path, images: int, rounds: int) -> Section:
    """Send the same images to every receiver in turn, by DCMTK's storescu with TCP_NODELAY."""
    with ExitStack() as stack:
        servers = receivers(folder)
        for server in servers:
            stack.callback(server.stop)
        seconds: dict[str, list[float]] = {server.name: [] for server in servers}
        for number in range(rounds + 1):
            batch = folder / f"batch{number}"
            receive.images(batch, images, _SIDE, str(number))
            for server in servers:
                os.sync()  # what the one before has not brought to the disk is not to be the next one's burden
                began = time.perf_counter()
                receive.storescu(server, batch)
                if number:
                    seconds[server.name].append(time.perf_counter() - began)
            shutil.rmtree(batch)
        short = [server.name for server in servers if server.count() != images * (rounds + 1)]
    if short:
        raise SystemExit(f"images are missing at {', '.join(short)}; the rates mean nothing")
    peers = {"storescp app": "pynetdicom's storescp app", "Orthanc": "Orthanc, synchronous storage"}
    rows = [
        rated("receiving", peers.get(name, name), seconds["node"], theirs, images * _MEGABYTES, "MB/s")
        for name, theirs in seconds.items()
        if name != "node"
    ]
    note = (
        "The node and Orthanc acknowledge only what is safe on disk; the storescp of DCMTK and of pynetdicom do "
        "not wait for the disk. The sender always has TCP_NODELAY."
    )
    return Section("Receiving", rows, [note])


def sending(folder: Path, images: int, rounds: int) -> Section:
    """Send the same images by every sender in turn, to DCMTK's storescp with TCP_NODELAY."""
    paths = send.radiographs(folder, images, _SIDE)
    outgoing = [
        Outgoing(derived_uid("benchmark", str(number)), DigitalXRayImageStorageForPresentation, path, file_sha256(path))
        for number, path in enumerate(paths)
    ]
    with send.storescp() as port:
        senders: dict[str, Callable[[], object]] = {
            "node": lambda: send.by_us(port, send.checked(outgoing)),
            "pynetdicom's storescu app": lambda: send.by_application(port, folder),
            "pynetdicom by default": lambda: send.by_library(port, paths),
            "DCMTK's storescu, as it comes": lambda: storescu(port, folder, no_delay=False),
            "DCMTK's storescu, TCP_NODELAY, largest PDU": lambda: storescu(port, folder, no_delay=True),
        }
        seconds = interleaved(senders, rounds, warmup=1)
    ours = seconds.pop("node")
    rows: Sequence[Row] = [
        rated("sending", peer, ours, theirs, images * _MEGABYTES, "MB/s") for peer, theirs in seconds.items()
    ]
    note = "The node also checks each file's hash before it sends. The receiver keeps nothing. The apps' start counts."
    return Section("Sending", rows, [note])


def storescu(port: int, folder: Path, *, no_delay: bool) -> None:
    """Send a folder with DCMTK's storescu; an image that is not taken is an error."""
    environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    options = ["--max-pdu", _LARGEST_PDU, "--max-send-pdu", _LARGEST_PDU] if no_delay else []
    command = ["storescu", *options, "127.0.0.1", str(port), "+sd", str(folder)]
    environment |= {"TCP_NODELAY": "1"} if no_delay else {}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
