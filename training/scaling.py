"""Fit and choose the map from a finding's logits to calibrated log-odds.

The map is ``slope * logit + intercept`` with a positive slope. Identity fits nothing, temperature scaling the
slope, Platt scaling both; the kind is chosen by the negative log-likelihood on patients that were left out.

References
----------
Platt 1999 (targets softened by the counts, so that separable data have a finite slope). Guo et al. 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]

from cxr.calibrate import CalibrationKind, sigmoid
from training.splits import unit_hash

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FOLDS: Final = 5
FEWEST_POSITIVES: Final = 20
"""A finding with fewer positives takes its slope from the others."""

_LOG_SLOPE_BOUNDS: Final = (-4.0, 4.0)
_INTERCEPT_BOUNDS: Final = (-20.0, 20.0)


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted map: ``slope * logit + intercept``."""

    kind: CalibrationKind
    slope: float
    intercept: float

    def probabilities(self, logits: Floats) -> Floats:
        """Calibrated probabilities at the prevalence of the data that the map was fitted to."""
        return sigmoid(self.slope * logits + self.intercept)


IDENTITY: Final = Line(CalibrationKind.IDENTITY, 1.0, 0.0)


def fit_line(kind: CalibrationKind, logits: Floats, labels: Bools) -> Line:
    """Fit one kind of map to ``(images,)`` logits and labels by maximum likelihood."""
    if kind is CalibrationKind.IDENTITY:
        return IDENTITY
    free = kind is CalibrationKind.PLATT
    bounds = [_LOG_SLOPE_BOUNDS, _INTERCEPT_BOUNDS if free else (0.0, 0.0)]
    slope, (intercept,) = _fit_shared(logits[:, np.newaxis], labels[:, np.newaxis], bounds)
    return Line(kind, slope, intercept)


def shared_slope(logits: Floats, labels: Bools) -> float:
    """Fit one slope to several findings at once, ``(images, findings)``, each with its own intercept."""
    return _fit_shared(logits, labels, [_LOG_SLOPE_BOUNDS] + [_INTERCEPT_BOUNDS] * logits.shape[1])[0]


def line_with_slope(slope: float, logits: Floats, labels: Bools) -> Line:
    """Fit the intercept alone: the mean probability becomes the (softened) share of positives."""
    fixed = (float(np.log(slope)),) * 2
    _, (intercept,) = _fit_shared(logits[:, np.newaxis], labels[:, np.newaxis], [fixed, _INTERCEPT_BOUNDS])
    return Line(CalibrationKind.PLATT, slope, intercept)


def _fit_shared(logits: Floats, labels: Bools, bounds: list[tuple[float, float]]) -> tuple[float, Floats]:
    targets = softened(labels)

    def loss_and_gradient(parameters: Floats) -> tuple[float, Floats]:
        slope = np.exp(parameters[0])
        odds = slope * logits + parameters[1:]
        residual = sigmoid(odds) - targets
        gradient = np.concatenate([[slope * (residual * logits).sum()], residual.sum(axis=0)])
        return float((np.logaddexp(0, odds) - targets * odds).sum()), gradient

    start = np.array([np.clip(0.0, *bound) for bound in bounds])
    fitted = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return float(np.exp(fitted.x[0])), np.asarray(fitted.x[1:], np.float64)


def softened(labels: Bools) -> Floats:
    """Platt's targets for ``(images, findings)`` labels: a little less than 1, a little more than 0."""
    positives = labels.sum(axis=0)
    negatives = len(labels) - positives
    return np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def folds_of(patients: NDArray[np.str_]) -> NDArray[np.int64]:
    """Which of the folds each image is left out in; all of a patient's images go together."""
    return np.asarray([int(unit_hash(str(patient), "folds") * FOLDS) for patient in patients], np.int64)


def negative_log_likelihood(labels: Bools, probabilities: Floats) -> float:
    """Mean of -ln P(label), with probabilities kept 1e-12 from 0 and 1."""
    p = np.clip(probabilities, 1e-12, 1 - 1e-12)
    return float(-np.mean(np.where(labels, np.log(p), np.log1p(-p))))


def chosen_line(logits: Floats, labels: Bools, folds: NDArray[np.int64]) -> Line:
    """Choose the kind with the least cross-validated negative log-likelihood, and fit it to all images.

    Kinds that come out equal go to the one that fits less.
    """

    def left_out(kind: CalibrationKind) -> float:
        return negative_log_likelihood(labels, _cross_validated(kind, logits, labels, folds))

    return fit_line(min(CalibrationKind, key=left_out), logits, labels)


def _cross_validated(kind: CalibrationKind, logits: Floats, labels: Bools, folds: NDArray[np.int64]) -> Floats:
    probabilities = np.empty_like(logits)
    for fold in np.unique(folds):
        out = folds == fold
        probabilities[out] = fit_line(kind, logits[~out], labels[~out]).probabilities(logits[out])
    return probabilities
