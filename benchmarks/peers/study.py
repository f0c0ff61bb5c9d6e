"""A study from file to DICOM results: Candor's resident application beside the pipeline from the SDK's operators."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.peers.processes import Worker
from benchmarks.peers.table import Row, Section, timed
from benchmarks.peers.written import Written, look
from benchmarks.spine import studies

_PEER: Final = "SDK's operators"
_MODULES: Final = {"Candor": "candor_application", _PEER: "sdk_pipeline"}
_STARTS: Final = 2


def measure(models: Path, rounds: int) -> list[Section]:
    """Give the same studies to both in turn, each in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = studies(folder, rounds + 1)
        starts = {side: [start(module, models, inputs[0], folder) for _ in range(_STARTS)]
                  for side, module in _MODULES.items()}  # fmt: skip
        workers = {side: Worker(module, models) for side, module in _MODULES.items()}
        seconds: dict[str, list[float]] = {side: [] for side in workers}
        logits = {}
        for number, source in enumerate(inputs):
            for side, worker in workers.items():
                answer = worker.assess(source, folder / f"{side} {number}".replace(" ", "_").replace("'", ""))
                logits[side] = np.array(answer["logits"])
                if number:
                    seconds[side].append(answer["seconds"])
        memory = {side: worker.peak_mib() for side, worker in workers.items()}
        for worker in workers.values():
            worker.stop()
        written = {side: look(outputs(folder, side, rounds)) for side in workers}
    ours, theirs = seconds["Candor"], seconds[_PEER]
    rows = [
        timed("a study, file to DICOM results", _PEER, ours, theirs),
        timed("the same, with the start of the process", _PEER, starts["Candor"], starts[_PEER]),
        Row("peak memory", _PEER, memory["Candor"], memory[_PEER], "MiB"),
        *validator_rows(_PEER, written["Candor"], written[_PEER]),
    ]
    apart = float(np.abs(logits["Candor"] - logits[_PEER]).max())
    notes = [
        "One CR of 1955 x 1841. Either takes one study at a time, so its throughput is the inverse of its time. The "
        "pipeline makes MONAI's maps for the four findings that it draws, Candor all 14.",
        f"Candor writes {written['Candor'].sentence}.",
        f"The pipeline writes {written[_PEER].sentence}. The report is by the SDK, the captures are by highdicom.",
        f"The logits of the same network differ by up to {apart:.2f}: this radiograph is MONOCHROME1 without a "
        "Presentation LUT Shape, and the SDK's volume operator hands it on as it is stored, a negative.",
    ]
    return [Section("A study from file to DICOM results, beside the MONAI Deploy App SDK's own operators", rows, notes)]


def start(module: str, models: Path, source: Path, folder: Path) -> float:
    """Measure from the start of the process to the results of its first study."""
    output = folder / "first"
    began = time.perf_counter()
    worker = Worker(module, models)
    worker.assess(source, output)
    seconds = time.perf_counter() - began
    worker.stop()
    shutil.rmtree(output)
    return seconds


def outputs(folder: Path, side: str, number: int) -> list[Path]:
    """List what a side wrote of a study."""
    place = folder / f"{side} {number}".replace(" ", "_").replace("'", "")
    return sorted(place.rglob("*.dcm"))


def validator_rows(peer: str, ours: Written, theirs: Written) -> list[Row]:
    """Make the row of the validators' complaints, where there are validators."""
    if ours.errors is None or theirs.errors is None:
        return []
    return [Row("validator errors in one study's results", peer, len(ours.errors), len(theirs.errors))]
