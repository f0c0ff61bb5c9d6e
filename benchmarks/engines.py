"""The engines against each other and against what the processor can do at all.

    python -m benchmarks.engines ENGINE BATCH SECONDS   one engine alone; prints milliseconds a picture

Two engines in one process disturb each other: the idle threads of either spin. So as served, with all cores, each
runs in a process of its own, in turn; in one process they are compared on one thread, by processor time.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from benchmarks.timing import interleaved, milliseconds, ratio
from candor.model.bundle import Bundle, find_bundle, load_bundle
from candor.model.onnx_engine import OnnxEngine
from candor.model.outputs import Engine
from candor.model.torch_engine import TorchEngine, load_network

ROOT = Path(__file__).resolve().parent.parent
FORWARD_GFLOP_224 = {"densenet121": 5.51}
"""For one picture of 224 x 224 and one channel, two operations for a multiplication with addition."""


class PlainForward(torch.nn.Module):
    """The same weights as they are usually run: ReLU, global average pool, linear layer; logits alone."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        network = load_network(bundle)
        self.trunk, self.head = network.trunk, network.head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Classify ``(n, sizes, side, side)`` to ``(n, findings)``."""
        return torch.as_tensor(self.head(self.trunk(images).mean(dim=(2, 3))))


def plain_session(bundle: Bundle) -> onnxruntime.InferenceSession:
    """Export the plain forward and load it, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    example = torch.zeros(1, len(bundle.input.sides), bundle.input.side, bundle.input.side)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's word on its own exporter
        path = Path(folder, "plain.onnx")
        torch.onnx.export(
            PlainForward(bundle).eval(),
            (example,),
            str(path),
            input_names=["image"],
            output_names=["logits"],
            dynamo=False,
        )
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def pictures(bundle: Bundle, batch: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Make a batch of noise as the network takes it."""
    shape = (batch, len(bundle.input.sides), bundle.input.side, bundle.input.side)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def maps_over_forward(bundle: Bundle, rounds: int) -> None:
    """Print what all heatmaps cost over the forward alone, and the engines' ratio on one thread."""
    torch.set_num_threads(1)
    plain_torch, full_torch = PlainForward(bundle).eval(), load_network(bundle).eval()
    plain_onnx, full_onnx = plain_session(bundle), OnnxEngine(bundle.graph, threads=1)
    images = pictures(bundle, 1)
    tensor = torch.from_numpy(images)
    with torch.inference_mode():
        times = interleaved(
            {
                "torch forward": lambda: plain_torch(tensor),
                "torch forward + maps": lambda: full_torch.answer(tensor),
                "onnx forward": lambda: plain_onnx.run(None, {"image": images}),
                "onnx forward + maps": lambda: full_onnx.run(images),
            },
            rounds,
            clock=time.process_time,
        )
    print(f"\none picture of {bundle.input.side} px, one thread, processor time")
    for name, seconds in times.items():
        print(f"  {name:<22}{milliseconds(seconds)}")
    over = {name: ratio(times[f"{name} forward + maps"], times[f"{name} forward"]) for name in ("torch", "onnx")}
    print(f"  all maps over forward: torch {over['torch']:.3f}, onnx {over['onnx']:.3f}  (goal: at most 1.05)")
    gain = ratio(times["torch forward + maps"], times["onnx forward + maps"])
    print(f"  onnx over torch eager: {gain:.2f}x")
    if bundle.architecture in FORWARD_GFLOP_224:
        work = FORWARD_GFLOP_224[bundle.architecture] * (bundle.input.side / 224) ** 2
        share = work / convolution_rate() / statistics.median(times["onnx forward + maps"])
        print(f"  onnx runs at {share:.0%} of this core's convolution rate")


def convolution_rate() -> float:
    """Measure the best rate of a plain convolution on one thread, in GFLOP/s of processor time."""
    best = 0.0
    for channels, kernel, side in ((256, 3, 56), (512, 1, 28), (128, 3, 28)):
        convolution = torch.nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        action = partial(convolution, torch.randn(4, channels, side, side))
        with torch.inference_mode():
            seconds = interleaved({"": action}, 10, clock=time.process_time)[""]
        best = max(best, 2 * 4 * (channels * kernel * side) ** 2 / min(seconds) / 1e9)
    return best


def as_served(rounds: int = 3) -> None:
    """Print the engines as they serve: all cores, a process of its own for each, in turn."""
    print("\nas served, all cores, milliseconds a picture, median of each process")
    for batch in (1, 8):
        found: dict[str, list[float]] = {"torch": [], "onnx": []}
        for _ in range(rounds):
            for engine, values in found.items():
                command = [sys.executable, "-W", "ignore", "-m", "benchmarks.engines", engine, str(batch), "4"]
                values.append(float(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout))
        shown = ", ".join(f"{engine} {statistics.median(values):.1f}" for engine, values in found.items())
        print(
            f"  batch {batch}: {shown}: onnx {ratio(found['torch'], found['onnx']):.2f}x faster  (goal: at least 1.8)"
        )


def alone(name: str, batch: int, seconds: float) -> float:
    """Run one engine for some seconds and return the median, in milliseconds a picture."""
    bundle = load_bundle(find_bundle(ROOT / "models"))
    engine: Engine = OnnxEngine(bundle.graph) if name == "onnx" else TorchEngine(bundle)
    images = pictures(bundle, batch)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        began = time.perf_counter()
        engine.run(images)
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times[2:]) / batch


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks.engines", description="Measure one engine alone.")
    parser.add_argument("engine")
    parser.add_argument("batch", type=int)
    parser.add_argument("seconds", type=float)
    options = parser.parse_args()
    print(alone(options.engine, options.batch, options.seconds))
