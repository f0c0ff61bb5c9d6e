"""Train the classifier: binary cross-entropy, one-cycle AdamW in bfloat16, small pictures first, then full size.

References
----------
Smith 2017 (one-cycle). Tan and Le 2021 (progressive sizes). Polyak and Juditsky 1992 (weight averaging).
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cxr.errors import DataError
from cxr.network import NETWORKS, ClassActivationNetwork
from cxr.preprocess import InputSpec, to_network_input
from cxr.radiograph import Radiograph
from training.augment import Augmentation, augment
from training.cache import PixelCache, open_cache
from training.metrics import aucs, mean_defined
from training.nih import Dataset
from training.recipe import Recipe, Stage
from training.records import write_json
from training.splits import Subset


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
    histogram = np.zeros(256, np.int64)
    for position in range(len(cache)):
        histogram += np.bincount(cache.stored(position).ravel(), minlength=256)
    levels = np.arange(256) / 255
    mean = float(np.average(levels, weights=histogram))
    return mean, float(np.sqrt(np.average((levels - mean) ** 2, weights=histogram)))


def train(dataset: Dataset, work: Path, recipe: Recipe) -> Path:
    """Train a classifier and write ``model.safetensors``, ``train.json`` and ``splits.json`` under ``work``.

    Parameters
    ----------
    dataset
        The pictures; TRAIN gives the gradients, VALIDATION is only watched.
    work
        Folder for the cache and the result.

    Returns
    -------
    The path of the weights: the running average at the end, float32.

    Raises
    ------
    DataError
        TRAIN or VALIDATION is empty.
    """
    for subset in (Subset.TRAIN, Subset.VALIDATION):
        if not dataset.only(subset).images:
            raise DataError(f"no picture belongs to a {subset.value} patient; give more official train_val patients")
    trainer = Trainer(dataset, work / "cache", recipe)
    for stage in recipe.stages:
        trainer.run(stage)
    path = work / "model.safetensors"
    save_file(trainer.averaged_state(), path)
    write_json(work / "splits.json", dataset.splits())
    write_json(work / "train.json", trainer.record() | summary(dataset))
    return path


def summary(dataset: Dataset) -> dict[str, object]:
    """Describe what gave the gradients: images, patients, and the share of positives of each finding.

    The share is softened by half an image, so that it lies in (0, 1).
    """
    learning = dataset.only(Subset.TRAIN)
    shares = (learning.labels().sum(axis=0, dtype=np.float64) + 0.5) / (len(learning.images) + 1)
    return {
        "images": len(learning.images),
        "patients": len(set(learning.patients())),
        "shares": {finding.label: float(share) for finding, share in zip(dataset.findings, shares, strict=True)},
    }


class Trainer:
    """A network on its way through the stages of a recipe, with the running average of its weights.

    Parameters
    ----------
    cache
        Folder for decoded pictures.
    """

    def __init__(self, dataset: Dataset, cache: Path, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self._recipe = recipe
        self._rng = np.random.default_rng(recipe.seed)
        self._learning = Examples.of(dataset.only(Subset.TRAIN), cache)
        self._watching = Examples.of(dataset.only(Subset.VALIDATION), cache)
        self._spec = InputSpec(recipe.stages[-1].side, *pixel_statistics(self._learning.pixels))
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = NETWORKS[recipe.network](len(dataset.findings))
        start_at_prevalence(self._network, self._learning.labels)
        self._network.to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        averaging = get_ema_multi_avg_fn(recipe.average_decay)  # type: ignore[no-untyped-call]
        self._average = AveragedModel(self._network, multi_avg_fn=averaging, use_buffers=True)
        self._history: list[dict[str, float | None]] = []

    def run(self, stage: Stage) -> None:
        """Train for one stage, and note each epoch's loss and the average's AUC on the watched patients."""
        spec = InputSpec(stage.side, self._spec.mean, self._spec.std)
        size = min(self._recipe.batch, len(self._learning.pixels))
        steps = stage.epochs * (len(self._learning.pixels) // size)
        optimiser = torch.optim.AdamW(
            self._network.parameters(), stage.peak_learning_rate, weight_decay=self._recipe.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, stage.peak_learning_rate, total_steps=steps)
        for epoch in range(1, stage.epochs + 1):
            began = time.monotonic()
            losses = []
            self._network.train()
            for images, labels in batches(self._learning, spec, size, self._recipe.augmentation, self._rng):
                losses.append(self._step(optimiser, images, labels))
                schedule.step()
                self._average.update_parameters(self._network)
            self._note(spec, epoch, float(np.mean(losses)), time.monotonic() - began)

    def _step(self, optimiser: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> float:
        with torch.autocast(self._device.type, torch.bfloat16):
            logits, _ = self._network(self._moved(images))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), labels.to(self._device))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 5.0)
        optimiser.step()
        return float(loss.detach())

    def _moved(self, images: Tensor) -> Tensor:
        return images.to(self._device).contiguous(memory_format=torch.channels_last)

    def _note(self, spec: InputSpec, epoch: int, loss: float, seconds: float) -> None:
        scores = self._scores(spec).astype(np.float64)
        auc = float(mean_defined(aucs(self._watching.labels > 0, scores))[0])
        noted = None if math.isnan(auc) else auc
        self._history.append({"side": spec.side, "epoch": epoch, "loss": loss, "auc": noted})
        print(
            f"{spec.side} px, epoch {epoch}: loss {loss:.4f}, validation AUC {auc:.3f}, {seconds:.0f} s",
            file=sys.stderr,
            flush=True,
        )

    def _scores(self, spec: InputSpec) -> NDArray[np.float32]:
        """Logits of the watched pictures: ``(images, findings)``."""
        self._average.eval()
        pixels, parts = self._watching.pixels, []
        for start in range(0, len(pixels), self._recipe.batch):
            positions = range(start, min(start + self._recipe.batch, len(pixels)))
            images = np.stack([to_network_input(pixels.radiograph(i), spec) for i in positions])
            with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16):
                logits, _ = self._average(self._moved(torch.from_numpy(images)))
            parts.append(logits.float().cpu().numpy())
        return np.concatenate(parts)

    def averaged_state(self) -> dict[str, Tensor]:
        """Take the averaged weights in float32, without BatchNorm's step counters."""
        state = self._average.module.state_dict()
        return {
            name: tensor.detach().float().cpu().contiguous()
            for name, tensor in state.items()
            if not name.endswith("num_batches_tracked")
        }

    def record(self) -> dict[str, object]:
        """Say what was done: the recipe, the network's input, and the history."""
        return {"recipe": asdict(self._recipe), "input": asdict(self._spec), "history": self._history}


def start_at_prevalence(network: ClassActivationNetwork, labels: NDArray[np.float32]) -> None:
    """Set the head's bias to the log-odds of each finding's share, so that training need not find it."""
    share = np.clip(labels.mean(axis=0), 1e-3, 1 - 1e-3)
    with torch.no_grad():
        network.head.bias.copy_(torch.from_numpy(np.log(share / (1 - share))))


def batches(
    examples: Examples, spec: InputSpec, size: int, how: Augmentation | None, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of batches in random order: ``(size, 1, side, side)`` and ``(size, findings)``; the rest is left."""
    order = rng.permutation(len(examples.pixels))
    for start in range(0, len(order) - size + 1, size):
        chosen = order[start : start + size]
        images = [training_input(examples.pixels.radiograph(int(i)), spec, how, rng) for i in chosen]
        yield torch.from_numpy(np.stack(images)), torch.from_numpy(examples.labels[chosen])
