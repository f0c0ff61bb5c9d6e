"""The engine beside torch eager and beside the best that a plain convolution reaches on this machine."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.engines import ROOT, PlainForward, convolution_rate, pictures
from benchmarks.peers.table import Row, Section, timed
from benchmarks.timing import interleaved
from candor.model.bundle import find_bundle, load_bundle
from candor.model.onnx_engine import OnnxEngine
from candor.model.torch_engine import load_network

_SERVED_S = 2.0


def measure(models: Path, rounds: int) -> list[Section]:
    """Classify one picture with all maps, on one thread by processor time, and as served on all cores."""
    torch.set_num_threads(1)
    bundle = load_bundle(find_bundle(models))
    network, onnx = load_network(bundle).eval(), OnnxEngine(bundle.graph, threads=1)
    images = pictures(bundle, 1)
    picture = torch.from_numpy(images)

    def eager() -> torch.Tensor:
        with torch.inference_mode():
            return network.answer(picture).logits

    seconds = interleaved({"torch": eager, "onnx": lambda: onnx.run(images)}, rounds, clock=time.process_time)
    operations = gigaoperations(PlainForward(bundle).eval(), picture)
    floor_s = operations / convolution_rate()
    own_s = statistics.median(seconds["onnx"])
    rows = [
        timed("a picture, one thread, processor time", "torch eager", seconds["onnx"], seconds["torch"]),
        timed("a picture as served, all cores", "torch eager", *served(min(rounds, 2))),
        Row(
            "a picture, one thread, processor time",
            "the convolution floor",
            1e3 * own_s,
            1e3 * floor_s,
            "ms",
            says=f"at {floor_s / own_s:.0%} of the floor's rate",
        ),
    ]
    apart = float(np.abs(eager().numpy() - onnx.run(images).logits).max())
    notes = [
        f"The floor is {operations:.2f} GFLOP, counted by torch's FlopCounterMode, at the best rate of a plain "
        f"convolution on one core, {operations / floor_s:.0f} GFLOP/s. Many layers of {bundle.architecture} "
        "filter each channel by itself, and are no such convolution.",
        f"Largest difference of a logit between the engine and torch: {apart:.1e}.",
    ]
    return [Section("The engine", rows, notes)]


def gigaoperations(network: torch.nn.Module, picture: torch.Tensor) -> float:
    """Count the operations of a forward pass, two for a multiplication with addition, in 1e9."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(picture)
    return float(counter.get_total_flops()) / 1e9


def served(rounds: int) -> tuple[list[float], list[float]]:
    """Run the engine and torch eager each in a process of its own, in turn; seconds a picture."""
    found: dict[str, list[float]] = {"onnx": [], "torch": []}
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    for _ in range(rounds):
        for engine, values in found.items():
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.engines", engine, "1", str(_SERVED_S)]
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
            values.append(float(done.stdout) / 1e3)
    return found["onnx"], found["torch"]
