"""Fit and choose the map from a finding's logits to calibrated log-odds.

The map is ``slope * logit + intercept`` with a positive slope. Identity fits nothing, temperature scaling the
slope, Platt scaling both; the kind is chosen by the negative log-likelihood on patients that were left out. Where
several findings are fitted at once a label that is NaN is not known, and its picture counts for the others alone.

References
----------
Platt 1999 (targets softened by the counts, so that separable data have a finite slope). Guo et al. 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxr.calibrate import CalibrationKind, sigmoid
from training.splits import unit_hash

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Labels = Bools | Floats | NDArray[np.float32]
"""True or over 0 where the finding is there, NaN where it is not known."""

FOLDS: Final = 5
FEWEST_POSITIVES: Final = 20
"""A finding with fewer positives takes its slope from the others."""

LEAST_SLOPE: Final = 0.01
"""A slope of 0 or less would lose or turn the order of the images."""

MOST_STEPS: Final = 50
TOLERANCE: Final = 1e-9


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
    free = np.array([True, kind is CalibrationKind.PLATT])
    slope, intercept = _fit(logits[:, np.newaxis], labels[:, np.newaxis], np.array([1.0, 0.0]), free)
    return Line(kind, float(slope), float(intercept))


def shared_slope(logits: Floats, labels: Labels) -> float:
    """Fit one slope to several findings at once, ``(images, findings)``, each with its own intercept.

    Labels may be NaN; every finding needs a known one.
    """
    parameters = 1 + logits.shape[1]
    return float(_fit(logits, labels, np.eye(1, parameters)[0], np.ones(parameters, np.bool_))[0])


def line_with_slope(slope: float, logits: Floats, labels: Bools) -> Line:
    """Fit the intercept alone: the mean probability becomes the (softened) share of positives."""
    fitted = _fit(logits[:, np.newaxis], labels[:, np.newaxis], np.array([slope, 0.0]), np.array([False, True]))
    return Line(CalibrationKind.PLATT, slope, float(fitted[1]))


def _fit(logits: Floats, labels: Labels, start: Floats, free: Bools) -> Floats:
    """Fit ``[slope, intercept of each finding]`` where ``free``; a slope under the least is set to it."""
    fitted = _newton(logits, softened(labels), start, free)
    if fitted[0] >= LEAST_SLOPE:
        return fitted
    fitted[0] = LEAST_SLOPE
    return _newton(logits, softened(labels), fitted, free & (np.arange(len(free)) > 0))


def _newton(logits: Floats, targets: Floats, parameters: Floats, free: Bools) -> Floats:
    """Minimise the cross-entropy, which is convex, by Newton's method with halved steps.

    Targets that are NaN count for nothing.
    """
    parameters = parameters.copy()
    for _ in range(MOST_STEPS):
        step = np.zeros_like(parameters)
        gradient, hessian = _derivatives(logits, targets, parameters)
        step[free] = np.linalg.lstsq(hessian[np.ix_(free, free)], gradient[free])[0]
        before = _cross_entropy(logits, targets, parameters)
        while _cross_entropy(logits, targets, parameters - step) > before and np.abs(step).max() > TOLERANCE:
            step /= 2
        parameters -= step
        if np.abs(step).max() <= TOLERANCE:
            break
    return parameters


def _cross_entropy(logits: Floats, targets: Floats, parameters: Floats) -> float:
    odds = parameters[0] * logits + parameters[1:]
    return float(np.nansum(np.logaddexp(0, odds) - targets * odds))


def _derivatives(logits: Floats, targets: Floats, parameters: Floats) -> tuple[Floats, Floats]:
    """Gradient, and the Hessian: each intercept meets the slope, and no other intercept."""
    p = sigmoid(parameters[0] * logits + parameters[1:])
    known = ~np.isnan(targets)
    residual, weight = np.where(known, p - targets, 0.0), np.where(known, p * (1 - p), 0.0)
    hessian = np.diag(np.concatenate([[(weight * logits**2).sum()], weight.sum(axis=0)]))
    hessian[0, 1:] = hessian[1:, 0] = (weight * logits).sum(axis=0)
    return np.concatenate([[(residual * logits).sum()], residual.sum(axis=0)]), hessian


def softened(labels: Labels) -> Floats:
    """Platt's targets for ``(images, findings)`` labels: a little less than 1, a little more than 0; NaN stays."""
    truth = np.asarray(labels, np.float64)
    positives, negatives = (truth > 0).sum(axis=0), (truth <= 0).sum(axis=0)
    targets = np.where(truth > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    return np.asarray(np.where(np.isnan(truth), np.nan, targets), np.float64)


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
