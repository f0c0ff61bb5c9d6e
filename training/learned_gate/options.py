"""How the learned gate is fitted; imported without torch, for the command line."""

from __future__ import annotations

from dataclasses import dataclass

from candor.study.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Options:
    """How a learned gate is fitted.

    Parameters
    ----------
    prior
        Whether the network sees the classifier's log-odds, and how much evidence the map holds.
    balanced
        Whether all wrong answers together weigh as much as all right ones; else each answer weighs the same.
    limit
        Of P(wrong), over which the gate defers, in (0, 0.5).
    seed
        Of weights, order and bootstrap, at least 0.
    epochs
        Passes over the answers.

    Raises
    ------
    SettingsError
        The limit is not in (0, 0.5), the seed is negative, or there is no epoch.
    """

    prior: bool = True
    balanced: bool = False
    limit: float = 0.25
    seed: int = 0
    epochs: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.limit < 0.5:
            raise SettingsError(f"limit is {self.limit}; it must lie between 0 and 0.5 of the cost of an error")
        if self.seed < 0:
            raise SettingsError(f"seed is {self.seed}; give 0 or more")
        if self.epochs < 1:
            raise SettingsError(f"epochs is {self.epochs}; give at least 1")
