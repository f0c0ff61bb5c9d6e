"""What sending gains over pynetdicom as it comes, to the same receiver.

    python -m benchmarks.node.send [--images 24] [--side 2048] [--rounds 5]

The receiver is DCMTK's storescp, which keeps nothing, with Nagle's algorithm off. Each round sends the same
uncompressed radiographs by pynetdicom's own ``storescu`` (a process, its start counted), by pynetdicom within this
process with its defaults (read the file, send the data set), and by the node's sender, without and with the check of
each file's hash that a delivery makes before.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity

from benchmarks.timing import interleaved, milliseconds, ratio
from candor.files.hashes import file_sha256
from candor.study.provenance import derived_uid
from gateway.deliver.sender import Outgoing, Verdict, contexts, send_all
from gateway.dimse.association import Remote, associated

GOAL = 3.0
_PATIENCE_S = 30.0


def radiographs(folder: Path, images: int, side: int) -> list[Path]:
    """Write made-up radiographs of ``side`` x ``side`` pixels, 16 bits each."""
    noise = np.random.default_rng(0).integers(0, 4096, (side, side)).astype(np.uint16).tobytes()
    paths = [folder / f"{number:03d}.dcm" for number in range(images)]
    for number, path in enumerate(paths):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
        dataset.SOPInstanceUID = derived_uid("benchmark", str(number))
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
        dataset.Rows = dataset.Columns = side
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.add_new("PixelData", "OW", noise)
        dcmwrite(path, dataset, enforce_file_format=True)
    return paths


@contextmanager
def storescp() -> Iterator[int]:
    """Run the receiver; gives its port."""
    command = shutil.which("storescp")
    if command is None:
        raise SystemExit("storescp is not installed (Debian: dcmtk)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen([command, "--ignore", str(port)], env={**os.environ, "TCP_NODELAY": "1"})
    try:
        wait_for(port)
        yield port
    finally:
        process.kill()
        process.wait()


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("storescp does not listen")


def by_application(port: int, folder: Path) -> None:
    """Send with pynetdicom's own storescu."""
    command = [sys.executable, "-m", "pynetdicom", "storescu", "--quiet", "127.0.0.1", str(port), str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def by_library(port: int, paths: Sequence[Path]) -> None:
    """Send with pynetdicom and its defaults."""
    _config.STORE_SEND_CHUNKED_DATASET = False
    entity = ApplicationEntity("BENCHMARK")
    entity.add_requested_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port)
    for path in paths:
        if association.send_c_store(dcmread(path)).get("Status") != 0:
            raise SystemExit("an image was not taken")
    association.release()


def by_us(port: int, outgoing: Sequence[Outgoing]) -> None:
    """Send as deliveries do, once the files are checked."""
    _config.STORE_SEND_CHUNKED_DATASET = True
    with associated(Remote("ANY", "127.0.0.1", port, None), "BENCHMARK", contexts(outgoing), 30.0) as association:
        if any(answer.verdict is not Verdict.TAKEN for _, answer in send_all(association, outgoing)):
            raise SystemExit("an image was not taken")


def checked(outgoing: Sequence[Outgoing]) -> Sequence[Outgoing]:
    """Check the files' hashes, as deliveries do."""
    if any(item.unfit() for item in outgoing):
        raise SystemExit("a file was damaged")
    return outgoing


def main() -> None:
    """Print the times and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, storescp() as port:
        folder = Path(name)
        paths = radiographs(folder, options.images, options.side)
        outgoing = [
            Outgoing(
                derived_uid("benchmark", str(number)), DigitalXRayImageStorageForPresentation, path, file_sha256(path)
            )
            for number, path in enumerate(paths)
        ]
        megabytes = sum(path.stat().st_size for path in paths) / 1e6
        times = interleaved(
            {
                "pynetdicom's storescu": lambda: by_application(port, folder),
                "pynetdicom by default": lambda: by_library(port, paths),
                "the node's sender": lambda: by_us(port, outgoing),
                "the same with each file's hash checked": lambda: by_us(port, checked(outgoing)),
            },
            options.rounds,
            warmup=1,
        )
    print(f"{options.images} images, {megabytes:.0f} MB, to DCMTK's storescp; median of {options.rounds} rounds")
    for side, seconds in times.items():
        print(f"  {side}: {milliseconds(seconds)}, {megabytes * len(seconds) / sum(seconds):.0f} MB/s")
    ours = times["the node's sender"]
    for side in ("pynetdicom's storescu", "pynetdicom by default"):
        print(f"  {ratio(times[side], ours):.1f} times as fast as {side} (goal: {GOAL:g})")


if __name__ == "__main__":
    main()
