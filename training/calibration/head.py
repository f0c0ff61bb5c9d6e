"""Refit the linear head on the frozen features to a site's cases, for each finding where that does better.

The new logit is the shipped one, scaled, plus a linear function of the features. One Newton step of a logistic
regression from the shipped answers gives it: a ridge regression of their errors. So a strong penalty leaves the shipped
head. The strength is chosen by cross-validation over patients. A finding takes its new head only if the log-likelihood
of patients left out rises by more than one standard error; else its head stays as shipped.

References
----------
Hoerl and Kennard 1970 (ridge regression). Breiman et al. 1984 (the rule of one standard error).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from candor.decide.calibration import CalibrationKind, Line, sigmoid
from training.calibration.choice import enough
from training.calibration.scaling import Bools, Floats, fit_curve, log_likelihoods
from training.data.splits import FOLDS
from training.predictions.cross_fitting import Names, folds_of, out_of_fold

STRENGTHS: Final = tuple(10.0 ** (k / 2) for k in range(-6, 1))
"""Penalties, as a share of the sum of the features' squares."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear head.

    Parameters
    ----------
    weight, bias
        ``(findings, channels)`` and ``(findings,)``.
    """

    weight: Floats
    bias: Floats

    def logits(self, features: Floats) -> Floats:
        """Return ``(images, findings)`` logits of ``(images, channels)`` features."""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """A site's images.

    Parameters
    ----------
    features
        ``(images, channels)``, the input of the head.
    labels
        ``(images, findings)``; a label that is not known is NaN.
    patients
        ``(images,)``.
    """

    features: Floats
    labels: Floats
    patients: Names

    def take(self, mask: Bools) -> Cases:
        """Keep the images where ``(images,)`` is true."""
        return replace(self, features=self.features[mask], labels=self.labels[mask], patients=self.patients[mask])


@dataclass(frozen=True, slots=True, eq=False)
class Refitted:
    """A head that was refitted to all cases, and those that were refitted without each fold.

    Parameters
    ----------
    strengths
        For each finding the penalty; None where its head stays as shipped.
    folds
        For each fold the head of the other folds; each chose for itself.
    """

    head: Head
    strengths: Sequence[float | None]
    folds: Sequence[Head]

    def logits(self, cases: Cases) -> Floats:
        """Return the logits of every case by the head that was fitted without its fold."""
        by_fold = np.stack([head.logits(cases.features) for head in self.folds])
        return np.asarray(by_fold[folds_of(cases.patients), np.arange(len(cases.patients))])


def refit_head(shipped: Head, cases: Cases) -> Refitted:
    """Refit the head, and again without each fold.

    Which findings get a new head is decided once; each fold chooses its own strengths.

    Parameters
    ----------
    shipped
        The head to start from.
    cases
        Images of patients who did not train the network.

    Raises
    ------
    DataError
        There are too few patients to leave some out.
    """
    fitted = np.flatnonzero(enough(cases.labels))
    if not len(fitted):
        return Refitted(shipped, [None] * len(shipped.bias), [shipped] * FOLDS)
    head, chosen = _refit(shipped, cases, fitted)
    better = fitted[chosen > 0]
    folds = folds_of(cases.patients)
    parts = [_refit(shipped, cases.take(folds != fold), better)[0] for fold in range(FOLDS)]
    strengths: list[float | None] = [None] * len(shipped.bias)
    for k, best in zip(fitted.tolist(), chosen.tolist(), strict=True):
        strengths[k] = STRENGTHS[best - 1] if best else None
    return Refitted(_with(shipped, head, better), strengths, [_with(shipped, part, better) for part in parts])


def _with(shipped: Head, other: Head, findings: NDArray[np.int64]) -> Head:
    """Return the shipped head with some findings of another."""
    weight, bias = shipped.weight.copy(), shipped.bias.copy()
    weight[findings], bias[findings] = other.weight[findings], other.bias[findings]
    return Head(weight, bias)


def _refit(shipped: Head, cases: Cases, findings: NDArray[np.int64]) -> tuple[Head, NDArray[np.int64]]:
    """Refit some findings at their best strength, and return which that is; 0 is the shipped head, calibrated."""
    some = replace(cases, labels=cases.labels[:, findings])
    start = Head(shipped.weight[findings], shipped.bias[findings])

    def left_out(rest: Bools, fold: Bools) -> Floats:
        return np.stack([head.logits(some.features[fold]) for head in _refits(start, some.take(rest))], axis=1)

    candidates, heads = out_of_fold(some.patients, left_out), _refits(start, some)
    best = np.asarray(
        [_best(candidates[:, :, k], labels, some.patients) for k, labels in enumerate(some.labels.T)], np.int64
    )
    weight, bias = shipped.weight.copy(), shipped.bias.copy()
    for k, (finding, strength) in enumerate(zip(findings.tolist(), best.tolist(), strict=True)):
        weight[finding], bias[finding] = heads[strength].weight[k], heads[strength].bias[k]
    return Head(weight, bias), best


def _best(logits: Floats, labels: Floats, patients: Names) -> int:
    """Return which candidate to take, 0 for the shipped head: ``(images, candidates)`` logits of patients left out."""
    known = ~np.isnan(labels)
    owner = np.unique(patients[known], return_inverse=True)[1]
    likely = log_likelihoods(np.repeat(labels[known, np.newaxis], logits.shape[1], axis=1), sigmoid(logits[known]))
    by_patient = np.zeros((owner.max() + 1, logits.shape[1]))
    np.add.at(by_patient, owner, likely)
    best = int(np.argmax(by_patient.mean(axis=0)))
    gain = by_patient[:, best] - by_patient[:, 0]
    return best if gain.mean() > gain.std() / np.sqrt(len(gain)) else 0


def _refits(shipped: Head, cases: Cases) -> list[Head]:
    """Return the shipped head with calibrated scale and height, and one head for each strength, the weakest first."""
    mean, scale = cases.features.mean(axis=0), cases.features.std(axis=0) + 1e-6
    standard = (cases.features - mean) / scale
    logits = shipped.logits(cases.features)
    weights = np.zeros((1 + len(STRENGTHS), *shipped.weight.shape))
    biases = np.zeros(weights.shape[:2])
    spaces: dict[bytes, tuple[Floats, Floats]] = {}  # labels are unknown for the same images in most data
    for k in range(len(shipped.bias)):
        known = ~np.isnan(cases.labels[:, k])
        rows, truth = standard[known], cases.labels[known, k] > 0
        if known.tobytes() not in spaces:
            spaces[known.tobytes()] = np.linalg.eigh(rows @ rows.T)
        values, vectors = spaces[known.tobytes()]
        line = cast(Line, fit_curve(CalibrationKind.PLATT, logits[known, k], truth))
        said = sigmoid(line.log_odds(logits[known, k]))
        spread = float(np.mean(said * (1 - said)))
        errors = vectors.T @ ((truth - said) / spread)
        penalties = np.asarray([np.inf, *STRENGTHS]) * values.sum()
        away = (vectors @ (errors[:, np.newaxis] / (values[:, np.newaxis] + penalties))).T @ rows / scale
        weights[:, k] = line.slope * shipped.weight[k] + away
        biases[:, k] = line.slope * shipped.bias[k] + line.intercept - away @ mean
    return [Head(weight, bias) for weight, bias in zip(weights, biases, strict=True)]
