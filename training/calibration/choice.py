"""Choose each finding's kind of curve by cross-validation, and measure the choice in the same way.

The kind with the least cross-validated negative log-likelihood is taken; among equal kinds, the one that fits less. The
first candidate is the map that the finding already has, shifted to the prevalence of the images, and the next is the
identity: if nothing helps, the map stays. A finding with few positives or few negatives is not fitted alone. It keeps
its map. If it has none, the network's logits are shifted to the prevalence of the images, or take the slope that three
or more other findings share, whichever does better in cross-validation.

References
----------
Stone 1974 (cross-validated choice and assessment).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from candor.decide.calibration import IDENTITY, CalibrationKind, Line, LogitMap, sigmoid
from training.calibration.scaling import (
    Bools,
    Floats,
    fit_curve,
    line_with_slope,
    log_likelihoods,
    shared_slope,
    softened,
)
from training.predictions.cross_fitting import Names, out_of_fold

_Fit = Callable[[Floats, Floats], LogitMap]

FEWEST_POSITIVES: Final = 20
"""A finding with fewer positives or fewer negatives is not fitted alone."""

FEWEST_DONORS: Final = 3
"""A slope is lent to others only if at least so many findings share it: that of one finding may be chance."""

GOAL: Final = 1.7
"""Goal: the calibration error is at most this many times that of a perfect model of the same size."""

Kept = Sequence[LogitMap | None]
"""The map that each finding already has, or None."""


def enough(labels: Floats) -> Bools:
    """Return which findings can be fitted alone, ``(findings,)``, by labels ``(images, findings)``."""
    return np.asarray(np.minimum((labels > 0).sum(axis=0), (labels <= 0).sum(axis=0)) >= FEWEST_POSITIVES, np.bool_)


def share_of(labels: Floats) -> float:
    """Return the softened share of positives among the known labels, in (0, 1); 0.5 if none is known."""
    known = labels[~np.isnan(labels)]
    return float(softened(known > 0).mean()) if len(known) else 0.5


def fit_maps(logits: Floats, labels: Floats, patients: Names, kept: Kept) -> list[LogitMap]:
    """Choose and fit every finding's map; one that is fitted assumes the prevalence of these images.

    Parameters
    ----------
    logits, labels
        ``(images, findings)``; a label that is not known is NaN.
    patients
        ``(images,)``.
    kept
        The map that each finding already has, or None.
    """
    return _fit_maps(logits, labels, patients, kept, enough(labels))


def cross_validated(logits: Floats, labels: Floats, patients: Names, kept: Kept) -> Floats:
    """Return probabilities of each image from maps that were chosen and fitted without its patient.

    The kinds are chosen again without each fold, so that the choice does not bias the figures. Which findings are
    fitted is decided once.

    Parameters
    ----------
    logits, labels
        ``(images, findings)``; a label that is not known is NaN.
    patients
        ``(images,)``.
    kept
        The map that each finding already has, or None.

    Returns
    -------
    ``(images, findings)``.
    """
    alone = enough(labels)

    def log_odds(rest: Bools, fold: Bools) -> Floats:
        maps = _fit_maps(logits[rest], labels[rest], patients[rest], kept, alone)
        return np.stack([_log_odds(m, logits[fold, k]) for k, m in enumerate(maps)], axis=1)

    return sigmoid(out_of_fold(patients, log_odds))


def _fit_maps(logits: Floats, labels: Floats, patients: Names, kept: Kept, alone: Bools) -> list[LogitMap]:
    slopes = [1.0]
    if alone.sum() >= FEWEST_DONORS:
        slopes.append(shared_slope(logits[:, alone], labels[:, alone]))
    few: list[_Fit] = [partial(_sloped, slope) for slope in slopes]
    return [
        chosen_map(logits[:, k], labels[:, k], patients, before)
        if alone[k]
        else before or _best(few, logits[:, k], labels[:, k], patients)
        for k, before in enumerate(kept)
    ]


def has_slope_of_others(fitted: LogitMap) -> bool:
    """Return whether a map of a finding with few positives has the slope that other findings share."""
    return isinstance(fitted.curve, Line) and fitted.curve.slope != 1


def _sloped(slope: float, logits: Floats, labels: Floats) -> LogitMap:
    curve = IDENTITY if np.isnan(labels).all() else line_with_slope(slope, logits, labels)
    return LogitMap(curve, share_of(labels), share_of(labels))


def chosen_map(
    logits: Floats, labels: Floats, patients: Names, kept: LogitMap | None = None, slack: float = 0.0
) -> LogitMap:
    """Choose one finding's kind of curve, and fit it to all images.

    Parameters
    ----------
    logits, labels, patients
        ``(images,)``.
    kept
        The map that the finding already has, which is tried first, at the prevalence of these images.
    slack
        How much worse than the best a kind may be that fits less, in standard errors of the difference.
    """
    fits: list[_Fit] = [partial(_fitted, kind) for kind in CalibrationKind]
    if kept is not None:
        fits.insert(0, partial(_shifted, kept))
    return _best(fits, logits, labels, patients, slack)


def _best(fits: Sequence[_Fit], logits: Floats, labels: Floats, patients: Names, slack: float = 0.0) -> LogitMap:
    if len(fits) == 1 or np.isnan(labels).all():
        return fits[0](logits, labels)
    losses = [_losses(fit, logits, labels, patients) for fit in fits]
    best = min(losses, key=np.mean)
    return next(fit for fit, loss in zip(fits, losses, strict=True) if _within(loss - best, slack))(logits, labels)


def _fitted(kind: CalibrationKind, logits: Floats, labels: Floats) -> LogitMap:
    return LogitMap(fit_curve(kind, logits, labels), share_of(labels), share_of(labels))


def _shifted(kept: LogitMap, _: Floats, labels: Floats) -> LogitMap:
    return replace(kept, assumed_prevalence=share_of(labels))


def _within(excess: Floats, slack: float) -> bool:
    return bool(excess.mean() <= slack * excess.std() / np.sqrt(len(excess)))


def _losses(fit: _Fit, logits: Floats, labels: Floats, patients: Names) -> Floats:
    """Return -ln P(label) of each image whose label is known, from a fit without its patient."""
    odds = out_of_fold(patients, lambda rest, fold: _log_odds(fit(logits[rest], labels[rest]), logits[fold]))
    known = ~np.isnan(labels)
    return -log_likelihoods(labels[known], sigmoid(odds[known]))


def _log_odds(logit_map: LogitMap, logits: Floats) -> Floats:
    return logit_map.curve.log_odds(logits) + logit_map.shift
