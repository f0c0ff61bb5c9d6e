"""The engine on a GPU: images a second, what the heatmaps cost, and how much of a study's time is decoding.

    python -m benchmarks.gpu [--models models] [--rounds 20]

At batch 1, 16 and 64, in float32, float32 with TensorFloat-32, and bfloat16. What is faster must also agree: the
largest difference of a logit to float32, and the share of maps whose hottest cell stays where it was. Without a GPU
it says so and measures nothing; ``--device cpu`` tries the measurement itself.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from app import ResidentApplication
from benchmarks.engines import PlainForward, pictures
from benchmarks.spine import studies
from benchmarks.timing import interleaved, ratio
from candor.model.bundle import Bundle, find_bundle, load_bundle
from candor.model.networks.class_activation import Answer
from candor.model.torch_engine import load_network
from candor.settings import Settings
from candor.study.case import Case
from operators.graph.jobs import Job

BATCHES: Final = (1, 16, 64)
PRECISIONS: Final = ("fp32", "TF32", "bf16")


@dataclass(frozen=True, slots=True)
class Measured:
    """One precision at one batch.

    Parameters
    ----------
    maps_over_forward
        Time of classification with all maps over that of classification alone.
    logits_apart
        Largest difference of a logit to float32.
    same_cell
        Share of maps whose hottest cell is that of float32.
    """

    precision: str
    batch: int
    images_a_second: float
    maps_over_forward: float
    logits_apart: float
    same_cell: float

    @property
    def line(self) -> str:
        """As it stands in the page's table."""
        return (
            f"| {self.precision} | {self.batch} | {self.images_a_second:,.0f} | {self.maps_over_forward:.2f} | "
            f"{self.logits_apart:.1e} | {self.same_cell:.1%} |"
        )


@contextmanager
def precision(name: str, device: torch.device) -> Iterator[None]:
    """Compute in a precision, for as long as the context lasts."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "TF32"
    try:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=name == "bf16"):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def measure(bundle: Bundle, device: torch.device, batch: int, rounds: int) -> list[Measured]:
    """Measure every precision at one batch; the images are on the device already."""
    plain, network = PlainForward(bundle).eval().to(device), load_network(bundle).eval().to(device)
    images = torch.from_numpy(pictures(bundle, batch)).to(device)

    def waited(action: Callable[[torch.Tensor], object], name: str) -> Callable[[], None]:
        def run() -> None:
            with precision(name, device):
                action(images)
            if device.type == "cuda":
                torch.cuda.synchronize()

        return run

    actions = {}
    for name in PRECISIONS:
        actions[f"{name} forward"] = waited(plain, name)
        actions[f"{name} maps"] = waited(network.answer, name)
    seconds = interleaved(actions, rounds, warmup=3)
    answers = {}
    for name in PRECISIONS:
        with precision(name, device):
            answers[name] = network.answer(images)
    return [
        Measured(
            name,
            batch,
            batch / statistics.median(seconds[f"{name} maps"]),
            ratio(seconds[f"{name} maps"], seconds[f"{name} forward"]),
            *agreement(answers[name], answers["fp32"]),
        )
        for name in PRECISIONS
    ]


def agreement(answer: Answer, reference: Answer) -> tuple[float, float]:
    """Compare with the reference: the largest difference of a logit, the share of maps with the same hottest cell."""
    apart = float((answer.logits.float() - reference.logits.float()).abs().max())
    cells = [given.activation.float().flatten(2).argmax(2) for given in (answer, reference)]
    return apart, float((cells[0] == cells[1]).float().mean())


def shares(models: Path, rounds: int) -> dict[str, float]:
    """Run the resident application with torch; each stage's share of a study's time, the largest first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ResidentApplication(models, Settings(engine="torch")) as application:
            cases: list[Case] = []
            for number, source in enumerate(studies(folder, rounds + 2)):
                output = folder / f"out{number}"
                output.mkdir()
                cases += application.submit(Job(source, output)).result().cases
    seconds = {stage: statistics.median(case.seconds[stage] for case in cases[2:]) for stage in cases[0].seconds}
    whole = sum(seconds.values())
    return {stage: taken / whole for stage, taken in sorted(seconds.items(), key=lambda item: -item[1])}


def main(argv: list[str] | None = None) -> None:
    """Measure and print the table, or say that there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options = parser.parse_args(argv)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("not measured: no GPU here")
        return
    device = torch.device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, to try the measurement"
    bundle = load_bundle(find_bundle(options.models))
    print(f"{name}; torch {torch.__version__}; {bundle.architecture}, {len(bundle.findings)} heatmaps\n")
    print("| precision | batch | images a second, with heatmaps | heatmaps over forward | logits apart | same cell |")
    print("|---|---|---|---|---|---|")
    for batch in options.batches:
        for measured in measure(bundle, device, batch, options.rounds):
            print(measured.line)
    found = shares(options.models, options.rounds)
    print(f"\ndecoding takes {found['read']:.0%} of a study's time, the network {found['classify']:.0%}; all stages:")
    print(", ".join(f"{stage} {share:.0%}" for stage, share in found.items()))


if __name__ == "__main__":
    main()
