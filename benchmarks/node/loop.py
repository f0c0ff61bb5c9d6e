"""From the last byte in to the last result out, against the application's own time for the same study.

    python -m benchmarks.node.loop [--models models] [--studies 10]

The radiograph is pydicom-data's Philips CR (1955 x 1841), one a study, sent with a quiet period of 0. DCMTK's storescp
stands for the PACS: it takes report and overlays and keeps them; a result is out when its file is whole. The
application's own time is that of the resident application on the same files, in turn.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from app import ResidentApplication
from benchmarks.node.crash import ROOT, Node, Pacs, running, send, wait_for
from benchmarks.timing import milliseconds, ratio
from candor.settings import load_settings
from candor.study.provenance import derived_uid
from operators.graph.jobs import Job

GOAL = 1.5
_WARM = 2
"""Studies that are not counted."""


class Storescp(Pacs):
    """DCMTK's receiver as the PACS, with Nagle's algorithm off."""

    def start(self) -> None:
        """Begin to take results into the folder."""
        command = shutil.which("storescp")
        if command is None:
            raise SystemExit("storescp is not installed (Debian: dcmtk)")
        self.folder.mkdir()
        environment = {**os.environ, "TCP_NODELAY": "1"}
        self._process = subprocess.Popen([command, "-od", str(self.folder), str(self.port)], env=environment)

    def arrivals(self) -> list[float]:
        """List when each result was whole, in seconds since 1970, in order."""
        return sorted(path.stat().st_mtime for path in self.folder.iterdir())


def sample(number: int) -> Dataset:
    """Read the radiograph under UIDs of its own."""
    dataset = dcmread(str(get_testdata_file("RG1_UNCI.dcm", download=False)))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = (
        derived_uid("loop", level, str(number)) for level in ("study", "series", "instance")
    )
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def through_the_node(node: Node, pacs: Storescp, dataset: Dataset, objects: int) -> float:
    """Send one study, and measure until its last result is at the PACS."""
    before, delivered = len(pacs.arrivals()), node.log().count("study delivered")
    if send(node.port, dataset) != 0:
        raise SystemExit("the node did not take the study")
    last_byte = time.time()
    wait_for(lambda: node.log().count("study delivered") > delivered, 60.0, "the results")
    arrivals = pacs.arrivals()
    if len(arrivals) != before + objects:
        raise SystemExit(f"{len(arrivals) - before} results arrived where the application made {objects}")
    return arrivals[-1] - last_byte


def alone(application: ResidentApplication, folder: Path, dataset: Dataset) -> tuple[float, int]:
    """Run the application on one study; its time, and how many objects it wrote."""
    (folder / "in").mkdir(parents=True)
    (folder / "out").mkdir()
    dataset.save_as(folder / "in" / "image.dcm")
    began = time.perf_counter()
    result = application.submit(Job(folder / "in", folder / "out")).result()
    return time.perf_counter() - began, sum(len(case.written) for case in result.cases)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--studies", type=int, default=10)
    options = parser.parse_args()
    own, whole = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pacs = Storescp(folder / "pacs")
        quick = {"quiet_s": 0.0, "max_study_age_d": 36500.0}
        node = Node(folder / "node", options.models, pacs.port, studies=quick)
        application = ResidentApplication(options.models, load_settings(ROOT / "app.yaml"))
        with running(node, pacs), application:
            wait_for(lambda: "worker ready" in node.log(), 60.0, "the worker")
            for number in range(options.studies + _WARM):
                seconds, objects = alone(application, folder / str(number), sample(number))
                own.append(seconds)
                whole.append(through_the_node(node, pacs, sample(number), objects))
    print(f"the application alone                    {milliseconds(own[_WARM:])}")
    print(f"from the last byte in to the last out    {milliseconds(whole[_WARM:])}")
    print(f"the loop over the application            {ratio(whole[_WARM:], own[_WARM:]):.2f}  (goal: at most {GOAL})")


if __name__ == "__main__":
    main()
