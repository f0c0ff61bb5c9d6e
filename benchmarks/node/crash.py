"""The crash test: studies go in while processes die and the PACS is away.

    python -m benchmarks.node.crash [--studies 200] [--kills 20] [--database URL] [--models models]

Every acknowledged instance must yield its results at the PACS: none lost, none under two UIDs, no UID with
two contents. The table is printed, and the exit code is 1 where one of these is broken.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
import yaml
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.uid import Comprehensive3DSRStorage
from pynetdicom.ae import ApplicationEntity

from candor.study.provenance import derived_uid
from gateway.store.database import open_database
from gateway.store.schema import objects, studies
from tools.small_pacs import free_port, received

ROOT: Final = Path(__file__).resolve().parent.parent.parent
KILLED: Final = ("receive", "work", "deliver", "upkeep", "web")
_SUCCESS: Final = 0x0000


class Pacs:
    """A small PACS in a process of its own, that can go away and come back."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Come back."""
        command = [sys.executable, "-m", "tools.small_pacs", "--folder", str(self.folder), "--port", str(self.port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        """Go away without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Node:
    """The node under test: ``gateway serve`` over a folder, and everything that can be done to it.

    Parameters
    ----------
    folder
        For settings, spool and log.
    settings
        Beyond those that a quick test needs.
    """

    def __init__(self, folder: Path, models: Path, pacs_port: int, **settings: Any) -> None:
        self.folder, self.port, self.page = folder, free_port(), free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "gateway.yaml"
        pacs = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": pacs_port}
        self.settings: dict[str, Any] = {
            "receive": {"host": "127.0.0.1", "port": self.port},
            "web": {"port": self.page, "health_port": None},
            "studies": {"quiet_s": 0.5},
            "work": {"models": str(models.resolve()), "application": str(ROOT / "app.yaml")},
            "destinations": [pacs],
            "deliver": {"first_retry_s": 0.5, "longest_retry_s": 2.0, "breaker_s": 1.0},
            "keep": {"reserve_gib": 0.0, "purge_below_gib": 0.0},
        } | settings
        self.write()
        self._log = (folder / "log.jsonl").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def write(self) -> None:
        """Write ``gateway.yaml``; a process reads it when it starts."""
        self.config.write_text(yaml.safe_dump(self.settings))

    def command(self, *words: str, said: str = "") -> str:
        """Run one verb to its end, with something said to it, and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *words, "--config", str(self.config)],
            cwd=ROOT, input=said, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    def start(self, *words: str) -> None:
        """Start ``gateway serve``."""
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(self.config), *words]
        self._process = subprocess.Popen(command, cwd=ROOT, stderr=self._log)

    def another_worker(self) -> subprocess.Popen[bytes]:
        """Start one more worker beside the node's, as on another machine."""
        command = [sys.executable, "-m", "gateway", "work", "--config", str(self.config)]
        return subprocess.Popen(command, cwd=ROOT, stderr=self._log)

    def stop(self) -> int:
        """Ask it to drain, and return its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(90)
        self._process = None
        return code

    def processes(self, kind: str) -> list[int]:
        """Find the process IDs of one kind of this node's children."""
        wanted = ["-m", "gateway", kind, "--config", str(self.config)]
        return [pid for pid, command in _commands() if command[1:] == wanted]

    def kill_supervisor(self) -> None:
        """Kill ``gateway serve`` alone, as the kernel does when memory runs out."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def kill(self, kind: str) -> bool:
        """Kill the processes of one kind, as a crash would."""
        pids = self.processes(kind)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return bool(pids)

    def database(self) -> sa.Engine:
        """Open the node's database."""
        return open_database(self.settings.get("database", f"sqlite:///{self.folder}/spool/gateway.db"))

    def log(self) -> str:
        """Read all of its log."""
        return (self.folder / "log.jsonl").read_text()


def _commands() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), (entry / "cmdline").read_text().rstrip("\0").split("\0")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue


@contextmanager
def running(node: Node, pacs: Pacs) -> Iterator[None]:
    """Start the PACS and the node, live, and end both."""
    pacs.start()
    node.command("live", "--reason", "a test", "--foreign-fit", "a test")
    node.start()
    try:
        wait_for(lambda: accepts(node.port), 60.0, "the receiver")
        yield
    finally:
        node.stop()
        pacs.stop()


def accepts(port: int) -> bool:
    """Tell whether somebody listens."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(done: Callable[[], object], seconds: float, what: str, every_s: float = 0.1) -> None:
    """Wait until something is so.

    Raises
    ------
    TimeoutError
        It is not in time.
    """
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(every_s)


def send(port: int, instance: Dataset, called: str = "CANDOR") -> int | None:
    """Send one instance over an association of its own; the status, or None where nobody answered."""
    ae = ApplicationEntity("MODALITY")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
    ae.add_requested_context(instance.SOPClassUID, instance.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        return None
    try:
        status = association.send_c_store(instance)
        return int(status.Status) if "Status" in status else None
    except RuntimeError:  # the association went away under it
        return None
    finally:
        association.release()


@dataclass
class Sender:
    """Sends every instance until it is acknowledged, as a modality does.

    Parameters
    ----------
    refusals
        How often each other answer came; None is no answer.
    """

    port: int
    instances: Sequence[Dataset]
    acknowledged: list[str] = field(default_factory=list)
    refusals: Counter[int | None] = field(default_factory=Counter)

    def run(self) -> None:
        """Send all."""
        for instance in self.instances:
            while (status := send(self.port, instance)) != _SUCCESS:
                self.refusals[status] += 1
                time.sleep(0.2)
            self.acknowledged.append(str(instance.StudyInstanceUID))


def wreck(node: Node, pacs: Pacs, kills: int, over: Callable[[], bool], seed: int, pause_s: float) -> Counter[str]:
    """Kill a process at a time; in between the PACS goes away; count each."""
    rng, done = random.Random(seed), Counter[str]()
    while sum(done[kind] for kind in KILLED) < kills or not over():
        time.sleep(rng.uniform(0.3, 1.0) * pause_s)
        kind = rng.choice(KILLED)
        done[kind] += node.kill(kind)
        total = sum(done[kind] for kind in KILLED)
        if total and total % 7 == 0 and done["PACS away"] < total // 7:
            pacs.stop()
            time.sleep(rng.uniform(1, 3))
            pacs.start()
            done["PACS away"] += 1
        if total >= kills and over():
            break
    return done


@dataclass(frozen=True)
class Count:
    """What came out: everything but the first three has to be 0."""

    acknowledged: int
    studies_with_results: int
    objects: int
    lost: int
    under_two_uids: int
    uids_with_two_contents: int
    not_at_the_pacs: int

    @property
    def good(self) -> bool:
        """Whether nothing is broken."""
        return not (self.lost or self.under_two_uids or self.uids_with_two_contents or self.not_at_the_pacs)


def count(node: Node, pacs: Pacs, acknowledged: Sequence[str]) -> Count:
    """Compare what was acknowledged with what the PACS has."""
    contents: dict[str, set[str]] = defaultdict(set)
    for line in received(pacs.folder):
        contents[line["sop_instance_uid"]].add(line["sha256"])
    reports: dict[str, set[str]] = defaultdict(set)
    for digest in {digest for digests in contents.values() for digest in digests}:
        report = dcmread(pacs.folder / f"{digest}.dcm", stop_before_pixels=True, force=True)
        if report.SOPClassUID == Comprehensive3DSRStorage:
            reports[str(report.StudyInstanceUID)].add(str(report.SOPInstanceUID))
    with node.database().connect() as connection:
        made = set(connection.execute(sa.select(objects.c.sop_instance_uid)).scalars())
        newest = sa.select(studies.c.study_instance_uid, sa.func.max(studies.c.version))
        rows = connection.execute(newest.group_by(studies.c.study_instance_uid)).all()
    versions = {str(row[0]): int(row[1]) for row in rows}
    expected = set(acknowledged)
    return Count(
        acknowledged=len(acknowledged),
        studies_with_results=len(expected & reports.keys()),
        objects=len(contents),
        lost=len(expected - reports.keys()),
        under_two_uids=sum(len(uids) > versions.get(study, 1) for study, uids in reports.items()),
        uids_with_two_contents=sum(len(digests) > 1 for digests in contents.values()),
        not_at_the_pacs=len(made - contents.keys()),
    )


def table(result: Count, done: Counter[str], refusals: Counter[int | None], seconds: float) -> str:
    """Show what was done and what came out."""
    rows: list[tuple[str, object]] = [
        ("studies acknowledged", result.acknowledged),
        ("studies with a report at the PACS", result.studies_with_results),
        ("result objects at the PACS", result.objects),
        ("acknowledged and lost", result.lost),
        ("under two UIDs", result.under_two_uids),
        ("UIDs with two contents", result.uids_with_two_contents),
        ("made and not at the PACS", result.not_at_the_pacs),
        *((f"killed: {kind}" if kind in KILLED else kind, times) for kind, times in sorted(done.items())),
        *((_answer(status), times) for status, times in sorted(refusals.items(), key=str)),
        ("seconds", round(seconds)),
    ]
    return "\n".join(f"{name:<40}{value}" for name, value in rows)


def _answer(status: int | None) -> str:
    return "sent and not answered" if status is None else f"answered 0x{status:04X}"


def crash_test(
    folder: Path,
    instances: Sequence[Dataset],
    models: Path,
    kills: int,
    seed: int = 0,
    pause_s: float = 2.0,
    **settings: Any,
) -> tuple[Count, str]:
    """Send instances of as many studies while everything goes wrong; count when all is quiet again."""
    pacs = Pacs(folder / "pacs")
    node = Node(folder / "node", models, pacs.port, **settings)
    sender = Sender(node.port, instances)
    began = time.monotonic()
    with running(node, pacs):
        thread = threading.Thread(target=sender.run, daemon=True)
        thread.start()
        done = wreck(node, pacs, kills, lambda: not thread.is_alive(), seed, pause_s)
        thread.join()
        with suppress(TimeoutError):  # the count below says what is missing
            wait_for(lambda: count(node, pacs, sender.acknowledged).good, 300.0, "all results")
        result = count(node, pacs, sender.acknowledged)
    return result, table(result, done, sender.refusals, time.monotonic() - began)


def radiographs(number: int) -> list[Dataset]:
    """Make one radiograph each of as many studies, all of the sample that pydicom-data carries, reduced."""
    sample = dcmread(str(get_testdata_file("RG1_UNCI.dcm", download=False)))
    pixels = sample.pixel_array[::4, ::4]
    sample.Rows, sample.Columns = pixels.shape
    sample.PixelData = pixels.tobytes()
    made = []
    for k in range(number):
        instance = Dataset()
        instance.update(sample)
        instance.file_meta = FileMetaDataset()
        instance.file_meta.update(sample.file_meta)
        instance.StudyInstanceUID, instance.SeriesInstanceUID, instance.SOPInstanceUID = (
            derived_uid("crash", level, str(k)) for level in ("study", "series", "instance")
        )
        instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
        made.append(instance)
    return made


def main() -> int:
    """Run the long crash test."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--database", help="postgresql://... ; by default SQLite")
    options = parser.parse_args()
    settings = {"database": options.database} if options.database else {}
    with tempfile.TemporaryDirectory(prefix="candor-crash-") as name:
        instances = radiographs(options.studies)
        result, text = crash_test(Path(name), instances, options.models, options.kills, options.seed, **settings)
    print(text)
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
