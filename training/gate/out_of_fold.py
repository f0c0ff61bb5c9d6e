"""A bundle's answers out of fold: each patient is answered by a calibration and a gate of the other patients.

The calibration and the gate that ship are fitted to all UNSEEN patients, so their own answers on these patients would
look too good. Here both are fitted again without each fold, in the way of a first fit, and answer the fold. A part that
was fitted to other data is used as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from candor.decide.calibration import Calibration, sigmoid
from candor.decide.gate import Thresholds
from candor.files.reader import JsonFile, Record
from candor.model.bundle import GATE, Bundle
from training.calibration.choice import fit_maps
from training.calibration.scaling import Bools, Floats
from training.gate.coverage import Coverage
from training.gate.fit import Goal, fit_pairs
from training.gate.guarantee import Promise
from training.gate.thresholds import Names, called, gate_groups
from training.predictions.cross_fitting import out_of_fold
from training.predictions.table import Predictions

_Share = Annotated[float, Field(gt=0, le=1)]


class _FittedTo(Record):
    """The goal and the data that ``gate.json`` records; a closed gate has neither."""

    kind: str = "closed"
    data: str = ""
    max_missed: _Share = 0.1
    min_precision: _Share = 0.5
    confidence: _Share = 0.9
    min_auc: _Share = 0.6
    group_confidence: _Share = 0.85
    share: _Share = 1.0

    @property
    def goal(self) -> Goal | None:
        match self.kind:
            case "guarantee":
                return Promise(
                    self.max_missed, self.min_precision, self.confidence, self.min_auc, self.group_confidence
                )
            case "coverage":
                return Coverage(self.share)
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A bundle's answers, ``(images, findings)`` each.

    Parameters
    ----------
    log_odds
        Calibrated, at the prevalence of the fit.
    absent, present
        Which answers are so; the others are deferred.
    fitted_here
        Whether the bundle's calibration or gate was fitted to these data, so that the answers are out of fold.
    """

    log_odds: Floats
    absent: Bools
    present: Bools
    fitted_here: bool

    @property
    def probabilities(self) -> Floats:
        """Calibrated P(present) at the prevalence of the fit."""
        return sigmoid(self.log_odds)


def answers_out_of_fold(bundle: Bundle, predictions: Predictions, shown: Floats | None = None) -> Answers:
    """Answer every image with a calibration and a gate that were not fitted to its patient.

    Parameters
    ----------
    bundle
        A calibrated bundle with a gate.
    predictions
        Of the bundle's findings, in its order; ``source`` names the data set.
    shown
        ``(images, findings)`` logits to answer in place of the images' own, such as those of degraded pictures; None
        answers the images' own.

    Raises
    ------
    DataError
        The bundle was calibrated on these data, and its patients are too few for cross-fitting.
    """
    logits = predictions.logits if shown is None else shown
    fitted = JsonFile(bundle.root / GATE, "fit the gate again (python -m training fit-gate)").read(_FittedTo)
    goal = fitted.goal if fitted.data == predictions.source else None
    pairs = list(bundle.gate.thresholds.values())

    def answer(rest: Bools, fold: Bools) -> Floats:
        part, calibration = predictions.take(rest), _without(bundle.calibration, predictions, rest)
        fitted = pairs if goal is None else fit_pairs(calibration.probabilities(part.logits), part, goal)
        return _answered(calibration, fitted, logits[fold], predictions.take(fold))

    fitted_here = goal is not None or _fitted_to(bundle.calibration, predictions)
    answers = (
        out_of_fold(predictions.patients, answer)
        if fitted_here
        else _answered(bundle.calibration, pairs, logits, predictions)
    )
    return Answers(answers[..., 0], answers[..., 1] > 0, answers[..., 2] > 0, fitted_here)


def log_odds_out_of_fold(calibration: Calibration, predictions: Predictions) -> Floats:
    """Return the calibrated log-odds of every image, by a calibration that was not fitted to its patient.

    Parameters
    ----------
    calibration
        The bundle's.
    predictions
        Of its findings, in its order; ``source`` names the data set.

    Returns
    -------
    ``(images, findings)``, at the prevalence of the fit.
    """
    if not _fitted_to(calibration, predictions):
        return calibration.log_odds(predictions.logits)
    return out_of_fold(
        predictions.patients,
        lambda rest, fold: _without(calibration, predictions, rest).log_odds(predictions.logits[fold]),
    )


def _fitted_to(calibration: Calibration, predictions: Predictions) -> bool:
    return calibration.origin is not None and calibration.origin.site == predictions.source


def _without(calibration: Calibration, predictions: Predictions, rest: Bools) -> Calibration:
    """Fit the maps again to the images of ``rest``; a finding that nobody knows keeps its own."""
    if not _fitted_to(calibration, predictions):
        return calibration
    part = predictions.take(rest)
    labels = predictions.labels
    kept = [m if np.isnan(labels[:, k]).all() else None for k, m in enumerate(calibration.maps.values())]
    fitted = fit_maps(part.logits, part.labels, part.patients, kept)
    each = zip(calibration.maps.items(), fitted, strict=True)
    maps = {finding: replace(m, assumed_prevalence=shipped.assumed_prevalence) for (finding, shipped), m in each}
    return replace(calibration, maps=maps)


def _answered(
    calibration: Calibration, pairs: Sequence[Thresholds], logits: Floats, predictions: Predictions
) -> Floats:
    """Return log-odds, ABSENT and PRESENT: ``(images, findings, 3)``."""
    absent, present = called_each(calibration.probabilities(logits), pairs, gate_groups(predictions.groups))
    return np.stack([calibration.log_odds(logits), absent, present], axis=-1)


def called_each(probabilities: Floats, pairs: Sequence[Thresholds], groups: Mapping[str, Names]) -> tuple[Bools, Bools]:
    """Return which answers are ABSENT, and which PRESENT: ``(images, findings)`` each.

    Parameters
    ----------
    probabilities
        ``(images, findings)``.
    pairs
        One for each finding.
    groups
        View, sex and age band, ``(images,)`` each; see :func:`training.gate.thresholds.gate_groups`.
    """
    kinds = [called(column, pair, groups) for column, pair in zip(probabilities.T, pairs, strict=True)]
    return np.stack([absent for absent, _ in kinds], axis=1), np.stack([present for _, present in kinds], axis=1)
