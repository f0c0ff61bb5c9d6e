"""The node beside dicom-ai-router around the same network: from the last byte in to the last result at the PACS."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.node.crash import KILLED, Node, Pacs, running, send, wait_for
from benchmarks.node.loop import sample
from benchmarks.peers.processes import peak_mib, until
from benchmarks.peers.study import validator_rows
from benchmarks.peers.systems.router import RELEASE, ModelServer, Router, environment
from benchmarks.peers.table import Row, Section, rated, timed
from benchmarks.peers.written import look
from tools.small_pacs import received

_PEER: Final = "dicom-ai-router"
_PATIENCE_S: Final = 120.0
_FIRST: Final = 100
_BURSTS: Final = 2


@dataclass(frozen=True, slots=True)
class Side:
    """A system that takes studies and sends results.

    Parameters
    ----------
    finished
        How many studies it has ended with so far.
    pids
        Of all its processes, the model's included.
    """

    port: int
    pacs: Pacs
    finished: Callable[[], int]
    pids: Callable[[], list[int]]

    def latency(self, number: int) -> float:
        """Send one study; seconds from its last byte to its last result."""
        before = self.finished()
        self._send(number)
        sent = time.time()
        until("the results of a study", lambda: self.finished() > before, _PATIENCE_S)
        return float(received(self.pacs.folder)[-1]["time"]) - sent

    def throughput(self, numbers: range) -> float:
        """Send several studies one after another; seconds from the first byte to the last result of all."""
        before, began = self.finished(), time.time()
        for number in numbers:
            self._send(number)
        until("the results of all", lambda: self.finished() >= before + len(numbers), _PATIENCE_S)
        return float(received(self.pacs.folder)[-1]["time"]) - began

    def files(self, count: int) -> list[Path]:
        """List the last results that came."""
        return [self.pacs.folder / f"{line['sha256']}.dcm" for line in received(self.pacs.folder)[-count:]]

    def _send(self, number: int) -> None:
        if send(self.port, sample(number)) != 0:
            raise SystemExit("a study was not taken")


def measure(models: Path, router_venv: Path, rounds: int, burst: int) -> list[Section]:
    """Send the same studies to both in turn, one by one, and then so many at once."""
    title = "From the modality to the PACS, beside dicom-ai-router around the same network"
    try:
        python = environment(router_venv)
    except OSError as error:
        return [Section(title, (), [f"not measured: {error}"])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with candor(folder, models) as ours, routed(folder, models, python) as theirs:
            sides = {"node": ours, _PEER: theirs}
            seconds: dict[str, list[float]] = {side: [] for side in sides}
            objects = dict.fromkeys(sides, 0)
            for number in range(rounds + 1):
                for side, system in sides.items():
                    before = len(received(system.pacs.folder))
                    taken = system.latency(number)
                    objects[side] = len(received(system.pacs.folder)) - before
                    if number:
                        seconds[side].append(taken)
            written = {side: look(system.files(objects[side])) for side, system in sides.items()}
            bursts: dict[str, list[float]] = {side: [] for side in sides}
            for begins in range(_FIRST, _FIRST + _BURSTS * burst, burst):
                for side, system in sides.items():
                    bursts[side].append(system.throughput(range(begins, begins + burst)))
            memory = {side: peak_mib(system.pids()) for side, system in sides.items()}
    rows = [
        timed("a study, last byte in to last result out", _PEER, seconds["node"], seconds[_PEER]),
        rated(f"{burst} studies at once", _PEER, bursts["node"], bursts[_PEER], 60 * burst, "a minute"),
        Row("peak memory of all processes, summed", _PEER, memory["node"], memory[_PEER], "MiB"),
        *validator_rows(_PEER, written["node"], written[_PEER]),
    ]
    notes = [
        f"{RELEASE} takes CT alone; the launcher adds radiographs to the list in its source. The model behind it runs "
        "Candor's reading, preprocessing, engine and calibration. The node also checks the picture, gates every "
        "finding, draws four heatmaps at up to 1024 pixels a side, and codes its report.",
        "Memory that processes share counts in each of them.",
        "Neither waits for more images of the study; the router looks every 0.25 s. The node syncs what it "
        "acknowledges to the disk, the router does not.",
        f"The node sends {written['node'].sentence}.",
        f"The router sends {written[_PEER].sentence}. Its picture carries a circle for each of four findings, since "
        "it cannot draw a heatmap, and shows this MONOCHROME1 radiograph inverted.",
    ]
    return [Section(title, rows, notes)]


@contextmanager
def candor(folder: Path, models: Path) -> Iterator[Side]:
    """Run the node and its PACS."""
    pacs = Pacs(folder / "node pacs")
    node = Node(folder / "node", models, pacs.port, studies={"quiet_s": 0.0, "max_study_age_d": 36500.0})
    with running(node, pacs):
        wait_for(lambda: "worker ready" in node.log(), _PATIENCE_S, "the worker")
        yield Side(
            node.port,
            pacs,
            lambda: node.log().count("study delivered"),
            lambda: [pid for kind in ("serve", *KILLED) for pid in node.processes(kind)],
        )


@contextmanager
def routed(folder: Path, models: Path, python: Path) -> Iterator[Side]:
    """Run the router, its model and its PACS."""
    pacs = Pacs(folder / "router pacs")
    pacs.start()
    model = ModelServer(models)
    router = Router(folder / "router", python, pacs.port, model.port, quiet_s=0.0)
    try:
        yield Side(
            router.port,
            pacs,
            lambda: router.states().count("DONE"),
            lambda: [router.process.pid, model.process.pid],
        )
    finally:
        router.stop()
        model.stop()
        pacs.stop()
