"""Fit curves from a finding's logits to calibrated log-odds.

Identity fits nothing, temperature scaling a slope, Platt scaling a slope and an intercept, beta calibration a slope on
each side of even odds and an intercept, isotonic regression any curve that rises. A label that is NaN is not known, and
its image is left out. Every fit is to Platt's softened targets, so that separable data have finite log-odds, with a
prior that draws it towards the identity, see :data:`PRIOR`.

References
----------
Platt 1999 (softened targets). Guo et al. 2017 (temperature). Kull et al. 2017 (beta). Zadrozny and Elkan 2002
(isotonic). Oron and Flournoy 2017 (knots at the centres of the isotonic steps).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from candor.decide.calibration import IDENTITY, Beta, CalibrationKind, Curve, Isotonic, Line, sigmoid

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_SLOPE: Final = 0.01
"""Smallest slope; one of 0 or less would lose or reverse the order of the images."""

MOST_STEPS: Final = 50
TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Prior:
    """Standard deviations of the normal priors around the identity.

    With few positives the likelihood alone would follow chance; with hundreds the prior has little weight.
    """

    slope: float
    intercept: float


PRIOR: Final = Prior(slope=0.3, intercept=0.5)
FLAT: Final = Prior(np.inf, np.inf)
"""Maximum likelihood."""


def fit_curve(kind: CalibrationKind, logits: Floats, labels: Floats | Bools, prior: Prior = PRIOR) -> Curve:
    """Fit one kind of curve to one finding; return the identity if no label is known.

    Parameters
    ----------
    kind
        Kind of the curve.
    logits, labels
        ``(images,)``; a label that is not known is NaN.
    prior
        Of slope and intercept; isotonic regression does not use it.
    """
    known = ~np.isnan(labels)
    if kind is CalibrationKind.IDENTITY or not known.any():
        return IDENTITY
    logits, targets = logits[known], softened(labels[known] > 0)
    match kind:
        case CalibrationKind.BETA:
            return _fit_beta(logits, targets, prior)
        case CalibrationKind.ISOTONIC:
            return _fit_isotonic(logits, targets)
    return _fit_line(kind, logits, targets, prior)


def line_with_slope(slope: float, logits: Floats, labels: Floats | Bools) -> Line:
    """Fit only the intercept of a line, so that the mean probability is the softened share of positives.

    Parameters
    ----------
    slope
        Slope of the line.
    logits, labels
        ``(images,)``; a label that is not known is NaN.
    """
    known = ~np.isnan(labels)
    targets = softened(labels[known] > 0)
    return Line(CalibrationKind.PLATT, slope, _intercept(slope * logits[known], targets, FLAT))


def shared_slope(logits: Floats, labels: Floats | Bools) -> float:
    """Fit one slope to several findings, each with its own intercept.

    Parameters
    ----------
    logits, labels
        ``(images, findings)``; a label that is not known is NaN.
    """
    known = ~np.isnan(labels)
    features = [np.zeros((0, 1 + labels.shape[1]))]
    targets = [np.zeros(0)]
    for k in range(labels.shape[1]):
        rows = known[:, k]
        block = np.zeros((int(rows.sum()), 1 + labels.shape[1]))
        block[:, 0], block[:, 1 + k] = logits[rows, k], 1.0
        features.append(block)
        targets.append(softened(labels[rows, k] > 0))
    return max(LEAST_SLOPE, float(_minimum(_Problem(np.concatenate(features), np.concatenate(targets)))[0]))


def softened(labels: Bools) -> Floats:
    """Return Platt's targets for labels ``(images,)``: a little less than 1, a little more than 0."""
    positives = labels.sum()
    negatives = len(labels) - positives
    return np.asarray(np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2)), np.float64)


def _fit_line(kind: CalibrationKind, logits: Floats, targets: Floats, prior: Prior) -> Line:
    """Fit a slope, and for Platt scaling an intercept; a slope under the smallest is set to that."""
    free = 2 if kind is CalibrationKind.PLATT else 1
    columns, around = np.stack([logits, np.ones_like(logits)], axis=1), np.array([1.0, 0.0])
    slope, *rest = _minimum(_Problem(columns[:, :free], targets, around[:free], _precision(prior, 1)[:free]))
    if slope >= LEAST_SLOPE:
        return Line(kind, float(slope), float(sum(rest)))
    return Line(kind, LEAST_SLOPE, _intercept(LEAST_SLOPE * logits, targets, prior) if rest else 0.0)


def _intercept(odds: Floats, targets: Floats, prior: Prior) -> float:
    problem = _Problem(np.ones((len(odds), 1)), targets, np.zeros(1), _precision(prior, 0), odds)
    return float(_minimum(problem)[0])


def _fit_beta(logits: Floats, targets: Floats, prior: Prior) -> Beta:
    """Fit a, b and c with a, b >= 0; if the free optimum breaks a bound, the best one lies on a bound."""
    columns = np.stack([-np.logaddexp(0.0, -logits), np.logaddexp(0.0, logits), np.ones_like(logits)], axis=1)
    both = _Problem(columns, targets, np.array([1.0, 1.0, 0.0]), _precision(prior, 2))
    a, b, c = _minimum(both)
    if min(a, b) >= 0 and max(a, b) >= LEAST_SLOPE:
        return Beta(float(a), float(b), float(c))
    bounded = [np.insert(_minimum(both.without(k)), k, 0.0) for k in (0, 1)]
    bounded = [fitted for fitted in bounded if fitted[:2].max() >= LEAST_SLOPE]
    if not bounded:
        line = _fit_line(CalibrationKind.PLATT, logits, targets, prior)  # a line is a beta curve with a = b
        return Beta(line.slope, line.slope, line.intercept)
    return Beta(*(float(value) for value in min(bounded, key=both.loss)))


def _precision(prior: Prior, slopes: int) -> Floats:
    return np.array([prior.slope] * slopes + [prior.intercept]) ** -2


def _fit_isotonic(logits: Floats, targets: Floats) -> Isotonic:
    """Pool adjacent violators; a knot stands at the mean logit of each step."""
    distinct, index, counts = np.unique(logits, return_inverse=True, return_counts=True)
    means = np.bincount(index, targets) / counts
    steps = isotonic_regression(means, weights=counts)
    rises = np.diff(steps.x[steps.blocks[:-1]], prepend=-1.0) > TOLERANCE  # steps that differ only by rounding
    starts = steps.blocks[:-1][rises]
    centres = np.add.reduceat(distinct * counts, starts) / np.add.reduceat(counts, starts)
    values = steps.x[starts]
    return Isotonic(tuple(centres.tolist()), tuple((np.log(values) - np.log1p(-values)).tolist()))


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """A logistic regression of targets on features, with normal priors around ``around`` unless it is None."""

    features: Floats
    targets: Floats
    around: Floats | None = None
    precision: Floats | float = 0.0
    offset: Floats | float = 0.0

    def without(self, column: int) -> _Problem:
        """Return the problem without one parameter."""
        left = (np.delete(part, column, axis=-1) for part in (self.features, self.start, np.asarray(self.precision)))
        features, around, precision = left
        return replace(self, features=features, around=around, precision=precision)

    @property
    def start(self) -> Floats:
        """Return the parameters at which the search begins."""
        return np.zeros(self.features.shape[1]) if self.around is None else self.around

    def loss(self, parameters: Floats) -> float:
        """Return the cross-entropy plus the penalty of the prior."""
        odds = self.features @ parameters + self.offset
        away = (self.precision * (parameters - self.start) ** 2).sum() / 2
        return float((np.logaddexp(0, odds) - self.targets * odds).sum() + away)

    def step(self, parameters: Floats) -> Floats:
        """Return Newton's step, to be subtracted."""
        p = sigmoid(self.features @ parameters + self.offset)
        gradient = self.features.T @ (p - self.targets) + self.precision * (parameters - self.start)
        hessian = (self.features * (p * (1 - p))[:, np.newaxis]).T @ self.features
        return np.asarray(np.linalg.lstsq(hessian + np.diag(self.precision * np.ones_like(gradient)), gradient)[0])


def _minimum(problem: _Problem) -> Floats:
    """Minimise the loss, which is convex, by Newton's method with halved steps."""
    parameters, before = problem.start, problem.loss(problem.start)
    for _ in range(MOST_STEPS):
        step = problem.step(parameters)
        after = problem.loss(parameters - step)
        while after > before and np.abs(step).max() > TOLERANCE:
            step = step / 2
            after = problem.loss(parameters - step)
        parameters, before = parameters - step, after
        if np.abs(step).max() <= TOLERANCE:
            break
    return parameters


def negative_log_likelihood(labels: Floats | Bools, probabilities: Floats) -> float:
    """Return the mean of -ln P(label) over the known labels; NaN if none is known.

    Parameters
    ----------
    labels, probabilities
        ``(images,)``; a label that is not known is NaN. Probabilities are kept 1e-12 away from 0 and 1.
    """
    known = ~np.isnan(labels)
    if not known.any():
        return float("nan")
    return float(-log_likelihoods(labels[known], probabilities[known]).mean())


def log_likelihoods(labels: Floats | Bools, probabilities: Floats) -> Floats:
    """Return ln P(label) of each image.

    Parameters
    ----------
    labels, probabilities
        ``(images,)``; every label is known. Probabilities are kept 1e-12 away from 0 and 1.
    """
    p = np.clip(probabilities, 1e-12, 1 - 1e-12)
    return np.asarray(np.where(labels > 0, np.log(p), np.log1p(-p)), np.float64)
