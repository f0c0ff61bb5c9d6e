"""What the training losses cost: one DenseNet-121 step with each, and both saliency losses alone.

    python -m benchmarks.losses [--rounds 7] [--batch 8] [--side 224] [--threads 1] [--bfloat16]

Ratios are medians of interleaved pairs, so they hold on a busy machine; absolute times do not.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks.timing import interleaved, milliseconds, ratio
from candor.model.networks.registry import NETWORKS
from training.learn.losses import SpatialCoherence, WeightedSum, build_loss

FINDINGS = 14
GOAL = 1.10
SIDES = (7, 56, 224)
BOTH = "bce + both, 224 x 224"
Term = dict[str, object]
PLAIN: Term = {"name": "bce"}
DISTINCT: Term = {"name": "distinctiveness"}


def coherence(side: int, peak_share: float | None = None) -> Term:
    """Configure the coherence of maps that are enlarged to ``side`` pixels."""
    return {"name": "coherence", "side": side, "peak_share": peak_share}


def configurations() -> dict[str, WeightedSum]:
    """Build the losses to compare; the first one is the measure."""
    terms: dict[str, list[Term]] = {
        "bce": [PLAIN],
        "bce + distinctiveness": [PLAIN, DISTINCT],
        **{f"bce + coherence, {side} x {side}": [PLAIN, coherence(side)] for side in SIDES},
        BOTH: [PLAIN, DISTINCT, coherence(SIDES[-1])],
        f"{BOTH}, over half of the peak": [PLAIN, DISTINCT, coherence(SIDES[-1], peak_share=0.5)],
        "focal": [{"name": "focal"}],
    }
    return {name: build_loss(of) for name, of in terms.items()}


@dataclass
class Step:
    """One step of a DenseNet-121: forward, loss, backward, AdamW; ``bfloat16`` as in :mod:`training.learn.train`."""

    images: Tensor
    labels: Tensor
    bfloat16: bool

    def __post_init__(self) -> None:
        self.network = NETWORKS["densenet121"](FINDINGS)
        if self.bfloat16:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.images = self.images.contiguous(memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), 1e-4)

    def outputs(self) -> tuple[Tensor, Tensor]:
        """Compute the logits and the class activation."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            logits, activation = self.network(self.images)
        return logits, activation

    def __call__(self, loss: WeightedSum) -> None:
        """Take the step."""
        self.optimiser.zero_grad()
        loss(*self.outputs(), self.labels)[0].backward()
        self.optimiser.step()


def loss_alone(loss: WeightedSum, logits: Tensor, activation: Tensor, labels: Tensor) -> None:
    """Compute the loss and its gradient in the logits and the activation."""
    torch.autograd.grad(loss(logits, activation, labels)[0], (logits, activation), materialize_grads=True)


def foreground(activation: Tensor, side: int, peak_share: float | None) -> float:
    """Return the share of pixels that the coherence loss reads."""
    maps = activation.flatten(end_dim=1)
    return SpatialCoherence(side, peak_share).measure(maps).salient / (len(maps) * side**2)


def report(title: str, times: dict[str, list[float]], base: list[float]) -> None:
    """Print each time, and its ratio to the base."""
    print(f"\n{title}")
    for name, seconds in times.items():
        print(f"  {name:<48}{milliseconds(seconds):<34}{ratio(seconds, base):6.3f}")


def measure(step: Step, rounds: int) -> None:
    """Print what each loss costs in a step and alone, and how much of the maps the coherence loss reads."""
    losses = configurations()
    steps: dict[str, Callable[[], object]] = {name: partial(step, loss) for name, loss in losses.items()}
    times = interleaved(steps, rounds, warmup=1)
    report("DenseNet-121 training step, x bce", times, times["bce"])
    print(f"  both saliency losses at 224 x 224: {ratio(times[BOTH], times['bce']):.3f} (goal: at most {GOAL})")

    logits, activation = (tensor.detach().requires_grad_() for tensor in step.outputs())
    alone: dict[str, Callable[[], object]] = {
        name: partial(loss_alone, loss, logits, activation, step.labels) for name, loss in losses.items()
    }
    report("the loss and its gradient alone, x a bce step", interleaved(alone, 3 * rounds), times["bce"] * 3)

    print("\nforeground at 224 x 224, share of the pixels")
    for name, share in (("Otsu", None), ("over half of the peak", 0.5)):
        print(f"  {name:<48}{foreground(activation.detach().float(), SIDES[-1], share):.3f}")


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description="Measure the training losses.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=224, help="of the images, in pixels")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true", help="bfloat16 and channels_last, as in training")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    images = torch.randn(options.batch, 1, options.side, options.side)
    labels = (torch.rand(options.batch, FINDINGS) < 0.1).float()
    print(f"torch {torch.__version__}, {options.threads} threads, batch {options.batch}, {options.side} px, ", end="")
    print("bfloat16" if options.bfloat16 else "float32", flush=True)
    measure(Step(images, labels, options.bfloat16), options.rounds)


if __name__ == "__main__":
    main()
