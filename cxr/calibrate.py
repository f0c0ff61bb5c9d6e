"""From logits to probabilities that mean what they say, at a stated prevalence.

Each finding has a map ``slope * logit + intercept`` (temperature scaling has intercept 0, Platt scaling both),
fitted at one prevalence. It is then shifted to the prevalence that the site has: the difference of the log-odds.

References
----------
Platt 1999. Guo et al. 2017 (temperature). Saerens et al. 2002 (prior shift).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique

import numpy as np
from numpy.typing import NDArray

from cxr.findings import Finding


@unique
class CalibrationKind(Enum):
    """How a finding's logits are mapped."""

    IDENTITY = "identity"
    TEMPERATURE = "temperature"
    PLATT = "platt"


@dataclass(frozen=True, slots=True)
class LogitMap:
    """One finding's calibration.

    Parameters
    ----------
    slope, intercept
        The calibrated log-odds are ``slope * logit + intercept``; ``slope`` is positive, so that the order of
        images stays.
    fitted_prevalence, assumed_prevalence
        Share of positives in (0, 1): where the map was fitted, and where it is used.
    """

    kind: CalibrationKind
    slope: float
    intercept: float
    fitted_prevalence: float
    assumed_prevalence: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and self.slope > 0 and np.isfinite(self.intercept)):
            raise ValueError(f"slope must be positive and finite, not {self.slope}, {self.intercept}")
        for prevalence in (self.fitted_prevalence, self.assumed_prevalence):
            if not 0 < prevalence < 1:
                raise ValueError(f"a prevalence lies between 0 and 1, not at {prevalence}")

    @property
    def shift(self) -> float:
        """What the prior shift adds to the log-odds."""
        return log_odds(self.assumed_prevalence) - log_odds(self.fitted_prevalence)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The maps of all findings of a bundle, and one line that says where they come from."""

    maps: Mapping[Finding, LogitMap]
    description: str

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrate logits.

        Parameters
        ----------
        logits
            ``(..., findings)``, in the order of ``maps``.

        Returns
        -------
        P(present) at the assumed prevalence, in [0, 1], the same shape, float64.
        """
        maps = self.maps.values()
        slope = np.asarray([m.slope for m in maps])
        offset = np.asarray([m.intercept + m.shift for m in maps])
        return sigmoid(slope * np.asarray(logits, np.float64) + offset)


def log_odds(probability: float) -> float:
    """ln(p / (1 - p)) for a probability in (0, 1)."""
    return float(np.log(probability) - np.log1p(-probability))


def sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert :func:`log_odds`, without overflow at either end."""
    return np.exp(-np.logaddexp(0.0, -log_odds))
