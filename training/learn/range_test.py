"""Learning-rate range test: raise the rate step by step until the loss diverges, for several weight decays.

References
----------
Smith 2017 (range test), 2018 (for several weight decays: the strongest that still allows a high rate).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

from candor.model.networks.mimo import MimoNetwork, mixed
from candor.model.preprocess import InputSpec
from candor.study.errors import SettingsError
from training.data.batches import Inputs, Order, batch_size, training_loader
from training.learn.learner import Learner
from training.learn.objective import Forward, criterion
from training.learn.recipe import Recipe
from training.learn.schedule import make_optimiser
from training.monai import LearningRateFinder
from training.records import write_json


@dataclass(frozen=True, slots=True)
class Sweep:
    """The smoothed loss at each rate, for one weight decay."""

    weight_decay: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def suggestion(self) -> float | None:
        """The rate at which the loss falls most steeply over the rate's logarithm; None if it never falls.

        The first tenth, where the smoothed loss still settles, and everything after the minimum do not count.
        """
        first, last = len(self.losses) // 10, int(np.argmin(self.losses)) + 1
        if last - first < 3:
            return None
        slope = np.gradient(np.asarray(self.losses[first:last]), np.log(self.rates[first:last]))
        return self.rates[first + int(slope.argmin())] if slope.min() < 0 else None


def range_test(
    learner: Learner,
    recipe: Recipe,
    weight_decays: Sequence[float],
    *,
    stage: int = 0,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
) -> tuple[Sweep, ...]:
    """Sweep the learning rate for each weight decay, from the same weights and with the same batches.

    Parameters
    ----------
    learner
        Its network is restored afterwards.
    recipe
        Gives everything but rate and weight decay.
    weight_decays
        At least one.
    stage
        Index of the recipe's stage whose loss and optimiser are tried.
    low, high
        First and last rate; 0 < low < high.
    steps
        Number of rates, at least 10.

    Raises
    ------
    SettingsError
        There is no such stage, the rates do not rise, or the steps are too few.
    """
    if not 0 <= stage < len(recipe.stages) or not 0 < low < high or steps < 10 or not weight_decays:
        raise SettingsError(
            f"a range test needs a stage of the recipe's {len(recipe.stages)}, from 0, rates that rise from above 0, "
            "at least 10 steps and a weight decay"
        )
    tried = replace(recipe.stages[stage], peak_learning_rate=low)
    alone = replace(recipe, stages=(tried,), rate_groups=1)
    spec = InputSpec(tried.side, learner.spec.mean, learner.spec.std)
    return tuple(
        _sweep(learner, replace(alone, weight_decay=decay), spec, high=high, steps=steps) for decay in weight_decays
    )


def _sweep(learner: Learner, recipe: Recipe, spec: InputSpec, *, high: float, steps: int) -> Sweep:
    torch.manual_seed(recipe.seed)
    stage, examples = recipe.stages[0], learner.examples
    pictures = len(examples.pixels)
    loader = training_loader(
        Inputs(examples, spec, recipe.augmentation, (recipe.seed, 0)),
        Order(pictures, batch_size(recipe.batch, pictures), (recipe.seed, 0)),
        recipe.workers,
    )
    loss = criterion(stage.losses, examples.labels, learner.network).to(learner.device)
    optimiser = make_optimiser(learner.network, loss, recipe, stage)
    finder = LearningRateFinder(
        Forward(learner.network, recipe.precision), optimiser, loss, learner.device, verbose=False
    )
    batch = _Extracted(learner)
    finder.range_test(loader, image_extractor=batch.images, label_extractor=batch.labels, end_lr=high, num_iter=steps)
    kept = [pair for pair in zip(finder.history["lr"], finder.history["loss"], strict=True) if math.isfinite(pair[1])]
    rates, losses = zip(*kept, strict=True) if kept else ((), ())
    return Sweep(recipe.weight_decay, tuple(map(float, rates)), tuple(map(float, losses)))


class _Extracted:
    """A batch as MONAI's finder takes it: first the images, then the labels that belong to them."""

    def __init__(self, learner: Learner) -> None:
        self._network = learner.network
        self._labels = torch.empty(0)

    def images(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        images, self._labels = batch["image"], batch["label"]
        if isinstance(self._network, MimoNetwork):
            images, self._labels = mixed(images, self._labels, self._network.count)
        return images

    def labels(self, _: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return self._labels


def plot(sweeps: Sequence[Sweep], path: Path) -> Path:
    """Draw the loss over the rate as PNG, one line for each weight decay, with the suggestions marked.

    Parameters
    ----------
    sweeps
        From :func:`range_test`.
    path
        The file; its folder is made if needed.
    """
    with _plain_style():
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        for sweep in sweeps:
            (line,) = axes.plot(sweep.rates, sweep.losses, label=f"weight decay {sweep.weight_decay:g}")
            if sweep.suggestion is not None:
                axes.axvline(sweep.suggestion, color=line.get_color(), linestyle=":", linewidth=1)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
        axes.legend(frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120, metadata={"Software": None})
    return path


@contextmanager
def _plain_style() -> Iterator[None]:
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        yield


def write_sweeps(path: Path, sweeps: Sequence[Sweep]) -> None:
    """Write rates, losses and suggestions as JSON.

    Parameters
    ----------
    path
        The file.
    sweeps
        From :func:`range_test`.
    """
    each = [
        {
            "weight_decay": sweep.weight_decay,
            "suggestion": sweep.suggestion,
            "rates": list(sweep.rates),
            "losses": list(sweep.losses),
        }
        for sweep in sweeps
    ]
    write_json(path, {"sweeps": each})
