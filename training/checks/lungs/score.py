"""Measure how well masks fit the drawn lung fields: Dice by source, with bootstrap intervals by patient.

References
----------
Dice 1945. Efron 1979 (bootstrap), here of patients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.checks.lungs.data import LungPicture
from training.statistics.metrics import Floats, Interval, interval, patient_weights

Masks = NDArray[np.bool_]

RESAMPLES: Final = 2000


def dice(found: Masks, drawn: Masks) -> Floats:
    """Return twice the overlap of two masks over the sum of their areas, ``(n,)``; 1 if both are empty.

    Parameters
    ----------
    found, drawn
        ``(n, height, width)``.
    """
    both = (found & drawn).sum(axis=(1, 2))
    either = found.sum(axis=(1, 2)) + drawn.sum(axis=(1, 2))
    return np.where(either > 0, 2 * both / np.maximum(either, 1), 1.0)


def mean_mask(masks: NDArray[np.float32]) -> Masks:
    """Return where most of ``(n, height, width)`` masks have lung, ``(height, width)``: a baseline without pictures."""
    return np.asarray(masks.mean(axis=0) > 0.5, np.bool_)


def mean_dice(scores: Floats, pictures: Sequence[LungPicture], seed: int) -> Interval:
    """Return the mean score over the pictures, with a bootstrap interval by patient.

    Parameters
    ----------
    scores
        ``(n,)``, one for each picture.
    pictures
        Give the patients.
    seed
        Seed of the bootstrap.
    """
    weights = patient_weights(np.asarray([picture.patient for picture in pictures], np.str_), RESAMPLES, seed)
    return interval(float(scores.mean()), (weights @ scores) / weights.sum(axis=1))


def by_source(scores: Mapping[str, Floats], pictures: Sequence[LungPicture], seed: int) -> dict[str, object]:
    """Measure each method on all pictures, and on those of each source.

    Parameters
    ----------
    scores
        For each method its Dice, ``(n,)``.
    pictures
        Give patients and sources.
    seed
        Seed of the bootstrap.
    """
    sources = np.asarray([picture.source for picture in pictures])
    groups = {"all": np.ones(len(sources), np.bool_)} | {
        name: sources == name for name in sorted(set(sources.tolist()))
    }
    return {name: _measured(scores, pictures, chosen, seed) for name, chosen in groups.items()}


def _measured(
    scores: Mapping[str, Floats], pictures: Sequence[LungPicture], chosen: Masks, seed: int
) -> dict[str, object]:
    kept = [picture for picture, keep in zip(pictures, chosen, strict=True) if keep]
    return {
        "pictures": len(kept),
        "patients": len({picture.patient for picture in kept}),
        "dice": {method: mean_dice(values[chosen], kept, seed).json for method, values in scores.items()},
        "lowest": {method: float(values[chosen].min()) for method, values in scores.items()},
    }
