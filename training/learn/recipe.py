"""The recipe: all settings of a classifier's training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from candor.model.networks.registry import NETWORKS, known
from candor.study.errors import SettingsError
from training.data.augmentation import Augmentation

OPTIMISERS: Final = ("adamw", "adam", "sgd", "pesg")
SCHEDULES: Final = ("one-cycle", "constant")
PRECISIONS: Final = ("bf16", "fp16", "fp32")
IMAGENET: Final = "imagenet"
KEPT: Final = ("last", "best")
HARD_LOSSES: Final = ("auc_margin", "cross_entropy")
"""Losses without soft labels: AUC-margin's classes would overlap, and cross entropy needs rows that sum to 1."""

Terms = tuple[Mapping[str, object], ...]
"""A loss, see :func:`training.learn.losses.build_loss`; weights may be "balanced", see :mod:`.objective`."""


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingsError(f"{name} is {value!r}; it can be {', '.join(choices)}")


@dataclass(frozen=True, slots=True)
class Stage:
    """Some epochs at one picture size, with one loss, under one cycle of the learning rate.

    Parameters
    ----------
    side
        Side of the network's input, in pixels.
    losses
        The loss, a weighted sum.
    optimiser
        One of :data:`OPTIMISERS`; ``pesg`` is for the AUC-margin loss only, and that loss needs it.
    open_blocks
        Number of the trunk's blocks that learn, counted from the head; 0 for the head only, None for all.

    Raises
    ------
    SettingsError
        The optimiser is unknown or does not suit the losses, or ``open_blocks`` is negative.
    """

    side: int
    epochs: int
    peak_learning_rate: float
    losses: Terms = ({"name": "bce"},)
    optimiser: str = "adamw"
    open_blocks: int | None = None

    def __post_init__(self) -> None:
        _one_of("optimiser", self.optimiser, OPTIMISERS)
        margin = any(term.get("name") == "auc_margin" for term in self.losses)
        if margin != (self.optimiser == "pesg"):
            raise SettingsError("the loss auc_margin and the optimiser pesg belong together; set both or neither")
        if self.open_blocks is not None and self.open_blocks < 0:
            raise SettingsError(f"open_blocks is {self.open_blocks}; give 0 for the head alone, or null for all")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All settings of a classifier's training.

    Parameters
    ----------
    network
        A key of :data:`candor.model.networks.registry.NETWORKS`.
    initial
        Initial weights: "imagenet", a safetensors file as training writes it, or None for random ones.
    stages
        The last stage's side is the bundle's.
    batch
        Pictures whose gradients are computed at once, over all processes.
    accumulate
        Batches in each step.
    patient_pictures
        Most pictures of a patient in an epoch, drawn anew for each; None for all.
    weight_decay
        Weight decay of the optimiser.
    average_decay
        Weight of the past, at each step, in the running average of the weights.
    schedule
        One of :data:`SCHEDULES`; one cycle lowers the momentum while the rate rises, except for ``pesg``.
    momentum
        Highest momentum of SGD, and first beta of Adam and AdamW.
    rate_groups, rate_factor
        Number of groups of layers with a rate each, and the factor between neighbours; layers near the input learn
        slowest.
    precision
        One of :data:`PRECISIONS`, for the forward pass; losses are float32.
    clip
        Largest norm of the gradient.
    soft_source
        Who made the soft labels, in words, for the model card.
    soft_labels, soft_weight
        Path of a table of probabilities that are mixed into the training labels, and their weight, in (0, 1]; None
        for the labels only. See :mod:`training.data.soft_labels`.
    patience
        Epochs without a better validation AUC after which a stage ends; None for no limit.
    half_weights
        Whether the kept weights are rounded to half precision, so that a file in half precision is the same network.
    keep
        One of :data:`KEPT`: the last weights, or those of the last stage's epoch with the best validation AUC.
    checkpoint_steps
        Steps between checkpoints; one is also written after every epoch.
    workers
        Processes that read and augment pictures, besides each training process.
    augmentation
        Random changes of the pictures; None for none.
    seed
        Seed of the weights, the order, augmentation and dropout.

    Raises
    ------
    SettingsError
        There is no such network, nothing to do, a number is impossible, or a loss does not take soft labels.
    """

    network: str = "densenet121"
    stages: tuple[Stage, ...] = (Stage(128, 20, 1e-3), Stage(224, 8, 4e-4))
    initial: str | None = None
    batch: int = 24
    accumulate: int = 1
    patient_pictures: int | None = None
    weight_decay: float = 0.05
    average_decay: float = 0.99
    schedule: str = "one-cycle"
    momentum: float = 0.95
    rate_groups: int = 1
    rate_factor: float = 10.0
    precision: str = "bf16"
    clip: float = 5.0
    soft_labels: str | None = None
    soft_weight: float = 0.5
    soft_source: str | None = None
    patience: int | None = None
    half_weights: bool = False
    keep: str = "last"
    checkpoint_steps: int = 200
    workers: int = 0
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise SettingsError(f"network is {self.network!r}; it can be {known()}")
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("keep", self.keep, KEPT)
        if not self.stages or min(min(stage.side, stage.epochs) for stage in self.stages) < 1:
            raise SettingsError("a recipe needs at least one stage, and every stage a side and an epoch")
        for name in ("batch", "accumulate", "rate_groups", "checkpoint_steps", "patience", "patient_pictures"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} is {value}; give at least 1")
        if self.rate_groups > 1 and any(stage.optimiser == "pesg" for stage in self.stages):
            raise SettingsError("pesg has one learning rate for all layers; set rate_groups to 1")
        if self.soft_labels is not None:
            self._check_soft()

    def _check_soft(self) -> None:
        if not 0 < self.soft_weight <= 1:
            raise SettingsError(f"soft_weight is {self.soft_weight}; give more than 0 and at most 1")
        for name in (term.get("name") for stage in self.stages for term in stage.losses):
            if name in HARD_LOSSES:
                raise SettingsError(f"the loss {name} needs hard labels; leave soft_labels out, or take bce or focal")


def lasting(stages: Sequence[Stage], epochs: int | None) -> tuple[Stage, ...]:
    """Return the stages with another number of epochs.

    Parameters
    ----------
    stages
        A recipe's stages.
    epochs
        Epochs of every stage; None keeps each stage's own.
    """
    return tuple(stage if epochs is None else replace(stage, epochs=epochs) for stage in stages)
