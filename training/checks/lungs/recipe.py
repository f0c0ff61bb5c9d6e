"""Settings of the lung field's training; imports no torch, since the command line needs them."""

from __future__ import annotations

from dataclasses import dataclass

from candor.study.errors import SettingsError


@dataclass(frozen=True, slots=True)
class LungRecipe:
    """Settings of the network's training.

    Parameters
    ----------
    steps, batch
        Steps of the optimiser, and pictures in each.
    peak_learning_rate, weight_decay
        Settings of AdamW.
    seed
        Seed of weights, order and augmentation.

    Raises
    ------
    SettingsError
        There is no step, or a batch of fewer than two pictures.
    """

    steps: int = 1200
    batch: int = 8
    peak_learning_rate: float = 4e-3
    weight_decay: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 2:
            raise SettingsError(f"{self.steps} steps of {self.batch} pictures are too few; give at least 1 step of 2")
