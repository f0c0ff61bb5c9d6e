"""Train the classifier: weighted one-cycle AdamW in bfloat16, small pictures first, then full size.

References
----------
Smith 2017 (one-cycle). Tan and Le 2021 (progressive sizes). Polyak and Juditsky 1992 (weight averaging).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cxr.network import NETWORKS, ClassActivationNetwork
from cxr.preprocess import InputSpec, to_network_input
from cxr.radiograph import Radiograph
from training.augment import Augmentation, augment
from training.cache import PixelCache, open_cache
from training.metrics import aucs
from training.nih import Dataset
from training.splits import Subset


@dataclass(frozen=True, slots=True)
class Stage:
    """Some epochs at one picture size, under one cycle of the learning rate."""

    side: int
    epochs: int
    peak_learning_rate: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides how a classifier is trained."""

    network: str = "densenet121"
    stages: tuple[Stage, ...] = (Stage(128, 20, 1e-3), Stage(224, 8, 4e-4))
    batch: int = 24
    weight_decay: float = 0.05
    average_decay: float = 0.99
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Pictures with labels, addressed by position."""

    pixels: PixelCache
    labels: NDArray[np.float32]

    @classmethod
    def of(cls, dataset: Dataset, cache: Path) -> Examples:
        """Decode a data set, or open what was decoded before."""
        return cls(open_cache(dataset.images, cache), dataset.labels())


def training_input(
    image: Radiograph, spec: InputSpec, how: Augmentation | None, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Make the network input for training; without augmentation it is the application's own."""
    return to_network_input(image if how is None else augment(image, how, rng), spec)


def pixel_statistics(cache: PixelCache) -> tuple[float, float]:
    """Mean and standard deviation over all pixels of all pictures, in [0, 1]."""
    histogram = sum(
        (np.bincount(cache.stored(i).ravel(), minlength=256) for i in range(len(cache))), np.zeros(256, np.int64)
    )
    levels = np.arange(256) / 255
    mean = float(np.average(levels, weights=histogram))
    return mean, float(np.sqrt(np.average((levels - mean) ** 2, weights=histogram)))


def train(dataset: Dataset, work: Path, recipe: Recipe) -> Path:
    """Train a classifier and write ``model.safetensors`` and ``train.json`` under ``work``.

    Parameters
    ----------
    dataset
        The pictures; TRAIN gives the gradients, VALIDATION is only watched.
    work
        Folder for the cache and the result.

    Returns
    -------
    The path of the weights: the running average at the end, float32.
    """
    torch.manual_seed(recipe.seed)
    learning = Examples.of(dataset.only(Subset.TRAIN), work / "cache")
    watching = Examples.of(dataset.only(Subset.VALIDATION), work / "cache")
    mean, std = pixel_statistics(learning.pixels)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = NETWORKS[recipe.network](len(dataset.findings))
    start_at_prevalence(network, learning.labels)
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay), use_buffers=True)  # type: ignore[no-untyped-call]
    history: list[dict[str, float]] = []
    rng = np.random.default_rng(recipe.seed)
    for stage in recipe.stages:
        spec = InputSpec(stage.side, mean, std)
        history += _run_stage(stage, spec, recipe, network, average, learning, watching, rng)
    return _save(average.module, work, {"recipe": asdict(recipe), "input": asdict(spec), "history": history})


def start_at_prevalence(network: ClassActivationNetwork, labels: NDArray[np.float32]) -> None:
    """Set the head's bias to the log-odds of each finding's share, so that training need not find it."""
    share = np.clip(labels.mean(axis=0), 1e-3, 1 - 1e-3)
    with torch.no_grad():
        network.head.bias.copy_(torch.from_numpy(np.log(share / (1 - share))))


def _run_stage(
    stage: Stage,
    spec: InputSpec,
    recipe: Recipe,
    network: ClassActivationNetwork,
    average: AveragedModel,
    learning: Examples,
    watching: Examples,
    rng: np.random.Generator,
) -> list[dict[str, float]]:
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=recipe.weight_decay)
    steps = stage.epochs * (len(learning.pixels) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, stage.peak_learning_rate, total_steps=steps)
    history = []
    for epoch in range(stage.epochs):
        began = time.monotonic()
        losses = []
        network.train()
        for images, labels in batches(learning, spec, recipe.batch, rng):
            losses.append(_step(network, optimiser, images, labels))
            schedule.step()
            average.update_parameters(network)
        scores = predict(average.module, watching.pixels, spec)
        mean_auc = float(np.nanmean(aucs(watching.labels > 0, scores.astype(np.float64))))
        history.append({"side": stage.side, "epoch": epoch, "loss": float(np.mean(losses)), "auc": mean_auc})
        print(
            f"{stage.side} px, epoch {epoch + 1}/{stage.epochs}: loss {history[-1]['loss']:.4f}, "
            f"validation AUC {mean_auc:.3f}, {time.monotonic() - began:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    return history


def batches(
    examples: Examples, spec: InputSpec, size: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of augmented batches in random order: ``(n, 1, side, side)`` and ``(n, findings)``."""
    order = rng.permutation(len(examples.pixels))
    how = Augmentation()
    for start in range(0, len(order) - size + 1, size):
        chosen = order[start : start + size]
        images = [training_input(examples.pixels.radiograph(int(i)), spec, how, rng) for i in chosen]
        yield torch.from_numpy(np.stack(images)), torch.from_numpy(examples.labels[chosen])


def _step(network: ClassActivationNetwork, optimiser: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> float:
    device = network.head.weight.device
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16):
        logits, _ = network(images)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), labels.to(device))
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()
    return float(loss.detach())


def predict(network: torch.nn.Module, pixels: PixelCache, spec: InputSpec, batch: int = 32) -> NDArray[np.float32]:
    """Logits of all pictures without augmentation: ``(images, findings)`` float32."""
    network.eval()
    device = next(network.parameters()).device
    parts: list[NDArray[np.float32]] = []
    for positions in _runs(len(pixels), batch):
        images = np.stack([to_network_input(pixels.radiograph(i), spec) for i in positions])
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            logits, _ = network(torch.from_numpy(images).to(device).contiguous(memory_format=torch.channels_last))
        parts.append(logits.float().cpu().numpy())
    return np.concatenate(parts)


def _runs(count: int, size: int) -> Iterator[Sequence[int]]:
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


def _save(network: torch.nn.Module, work: Path, record: dict[str, object]) -> Path:
    path = work / "model.safetensors"
    state = {name: tensor.detach().float().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file({name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}, path)
    (work / "train.json").write_text(json.dumps(record, indent=1))
    return path
