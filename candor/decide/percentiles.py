"""The percentile of a score among the images on which the bundle was tested.

A calibrated probability of 4% means little to a reader who does not know the finding's usual scores. The percentile
shows, for example, that 97 of 100 test images scored lower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from candor.files.reader import Record, Text
from candor.study.findings import Finding

POINTS: Final = 101
"""The number of quantiles of each finding's logits: the percentiles from 0 to 100."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Percentiles:
    """The quantiles of each finding's logits over the test images.

    Parameters
    ----------
    quantiles
        ``(POINTS,)`` float64 for each finding, rising.
    description
        The test images, in words.
    """

    quantiles: Mapping[Finding, Floats]
    description: str

    def rank(self, finding: Finding, logit: float) -> float:
        """Return the share of the test images with a lower logit, in percent.

        Parameters
        ----------
        finding
            The finding.
        logit
            The network's logit; between two quantiles the share is interpolated.
        """
        return rank_among(self.quantiles[finding], logit)


def rank_among(quantiles: Floats, score: float) -> float:
    """Return the share of scores below one, in percent.

    Parameters
    ----------
    quantiles
        ``(POINTS,)`` quantiles of the scores, rising.
    score
        The score; between two quantiles the share is interpolated.
    """
    below = float(np.searchsorted(quantiles, score, side="left"))
    above = float(np.searchsorted(quantiles, score, side="right"))
    if below != above:  # on one quantile, or on several that are equal
        return (below + above - 1) / 2
    if below in (0, POINTS):
        return 0.0 if below == 0 else 100.0
    return float(np.interp(score, quantiles, np.arange(POINTS)))


def quantiles_of(logits: Floats) -> Floats:
    """Return the ``POINTS`` quantiles of ``(images,)`` logits."""
    return np.quantile(logits, np.linspace(0, 1, POINTS))


def _rising(values: tuple[float, ...]) -> tuple[float, ...]:
    if len(values) != POINTS or any(low > high for low, high in pairwise(values)):
        raise ValueError(f"it must be {POINTS} numbers that never fall")
    return values


Quantiles = Annotated[tuple[float, ...], AfterValidator(_rising)]
"""The quantiles of a file."""


class PercentilesFile(Record):
    """The bundle's ``percentiles.json``."""

    description: Text
    weights_sha256: Text
    findings: dict[str, Quantiles]

    def percentiles(self, findings: tuple[Finding, ...]) -> Percentiles:
        """Return the quantiles of the model's findings."""
        quantiles = {finding: np.asarray(self.findings[finding.label], np.float64) for finding in findings}
        return Percentiles(quantiles, self.description)
