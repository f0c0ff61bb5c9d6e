"""All that decides how a classifier is trained."""

from __future__ import annotations

from dataclasses import dataclass, field

from cxr.errors import SettingsError
from cxr.network import NETWORKS
from training.augment import Augmentation


@dataclass(frozen=True, slots=True)
class Stage:
    """Some epochs at one picture size, under one cycle of the learning rate.

    Parameters
    ----------
    side
        Of the network's input, in pixels.
    """

    side: int
    epochs: int
    peak_learning_rate: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides how a classifier is trained.

    Parameters
    ----------
    network
        A key of :data:`cxr.network.NETWORKS`.
    stages
        The last one's side is the bundle's.
    batch
        Pictures a step.
    weight_decay
        Of AdamW.
    average_decay
        Weight of the past, at each step, in the running average of the weights that is kept.
    augmentation
        None for none.

    Raises
    ------
    SettingsError
        There is no such network, or nothing to do.
    """

    network: str = "densenet121"
    stages: tuple[Stage, ...] = (Stage(128, 20, 1e-3), Stage(224, 8, 4e-4))
    batch: int = 24
    weight_decay: float = 0.05
    average_decay: float = 0.99
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise SettingsError(f"network is {self.network!r}; it can be {', '.join(sorted(NETWORKS))}")
        if not self.stages or min(min(stage.side, stage.epochs) for stage in self.stages) < 1:
            raise SettingsError("a recipe needs at least one stage, and every stage a side and an epoch")
