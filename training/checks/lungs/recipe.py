"""How the network of the lung field is trained; imported without torch, for the command line."""

from __future__ import annotations

from dataclasses import dataclass

from candor.study.errors import SettingsError


@dataclass(frozen=True, slots=True)
class LungRecipe:
    """How the network is trained.

    Parameters
    ----------
    steps, batch
        Of the optimiser, and pictures in each.
    peak_learning_rate, weight_decay
        Of AdamW.
    seed
        Of weights, order and augmentation.

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
            raise SettingsError(f"{self.steps} steps of {self.batch} pictures teach nothing; give 1 and 2 at least")
