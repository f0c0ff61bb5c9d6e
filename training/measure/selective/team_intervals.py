"""Measure the team with several readers at several workloads, with intervals by patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.decide.calibration import CalibrationKind, sigmoid
from candor.study.errors import DataError
from candor.study.findings import Finding
from training.calibration.scaling import fit_curve
from training.measure.evaluation.sample import RESAMPLES, SEED, Record
from training.measure.selective.figures import finding_rows
from training.measure.selective.reader_team import Answered, Team, Teams, teams
from training.predictions.cross_fitting import out_of_fold
from training.statistics.decisions import youden_thresholds
from training.statistics.metrics import Floats, interval, patient_weights
from training.statistics.risk import Bools
from training.statistics.signals import closeness, whole_images

MEASURES: Final = ("sensitivity", "specificity", "balanced_accuracy", "accuracy", "always_absent")
COMPARED: Final = "balanced_accuracy"


@dataclass(frozen=True, slots=True, eq=False)
class Operated:
    """A model's answers, with calibration and thresholds fitted to other patients.

    Parameters
    ----------
    probabilities, thresholds
        ``(images, findings)``; a threshold is NaN where the patients of the fit had no positive or no negative.
    """

    probabilities: Floats
    thresholds: Floats

    @property
    def called(self) -> Bools:
        """Whether the answer is "present"; false where there is no threshold."""
        return np.asarray(self.probabilities >= np.nan_to_num(self.thresholds, nan=np.inf), np.bool_)

    @property
    def uncertainty(self) -> Floats:
        """Closeness of each answer to its threshold; greatest where there is no threshold."""
        close = closeness(self.probabilities, np.nan_to_num(self.thresholds, nan=0.5))
        return np.where(np.isnan(self.thresholds), 0.0, close)

    def take(self, mask: Bools) -> Operated:
        """Keep the images where ``(images,)`` is true."""
        return Operated(self.probabilities[mask], self.thresholds[mask])


def cross_fitted(labels: Floats, logits: Floats, patients: NDArray[np.str_]) -> Operated:
    """Fit Platt scaling and Youden's threshold to the patients of the other folds, for every image.

    Parameters
    ----------
    labels, logits
        ``(images, findings)``.
    patients
        ``(images,)``: the patient of each image.

    Raises
    ------
    DataError
        Without a fold no image has a known label of some finding.
    """

    def operate(rest: Bools, fold: Bools) -> Floats:
        fitted = calibrated(labels[rest], logits[rest], logits[rest])
        thresholds = np.tile(youden_thresholds(labels[rest], fitted), (int(fold.sum()), 1))
        return np.stack([calibrated(labels[rest], logits[rest], logits[fold]), thresholds])

    operated = out_of_fold(patients, lambda rest, fold: np.moveaxis(operate(rest, fold), 0, 1))
    return Operated(operated[:, 0], operated[:, 1])


def calibrated(labels: Floats, logits: Floats, others: Floats) -> Floats:
    """Fit Platt scaling to some images, and return the calibrated probabilities of others.

    Parameters
    ----------
    labels, logits
        ``(images, findings)``, to fit to.
    others
        ``(other images, findings)``: the logits to calibrate.

    Raises
    ------
    DataError
        No image to fit to has a known label of some finding.
    """
    if np.isnan(labels).all(axis=0).any():
        raise DataError("a part of the patients has no known label of some finding; give more images")
    columns = range(labels.shape[1])
    fits = [fit_curve(CalibrationKind.PLATT, logits[:, k], labels[:, k]) for k in columns]
    return sigmoid(np.stack([fits[k].log_odds(others[:, k]) for k in columns], axis=1))


def team_record(
    findings: Sequence[Finding],
    patients: NDArray[np.str_],
    truth: Floats,
    operated: Operated,
    readers: Mapping[str, Floats],
    source: str,
) -> Record:
    """Measure the team of the model with each reader, deferring single answers and deferring whole images.

    Parameters
    ----------
    findings
        The columns, in order.
    patients
        ``(images,)``: the patient of each image, for the bootstrap.
    truth
        ``(images, findings)``; NaN where unknown.
    operated
        The model's answers to the same questions.
    readers
        For each reader's name ``(images, findings)``: P("yes"), NaN where not read.
    source
        The pictures and the truth, in words.
    """
    weights = patient_weights(patients, RESAMPLES, SEED)
    positives = (truth > 0).sum(axis=0)
    policies = {"answers": operated.uncertainty, "images": whole_images(_positive(operated.uncertainty))}
    return {
        "source": source,
        "images": len(truth),
        "patients": len(np.unique(patients)),
        "positives": {f.label: int(n) for f, n in zip(findings, positives, strict=True)},
        "readers": {
            name: {
                policy: _measured(
                    findings,
                    teams(truth, operated.called, uncertainty, reader),
                    teams(truth, operated.called, uncertainty, reader, weights),
                )
                for policy, uncertainty in policies.items()
            }
            for name, reader in readers.items()
        },
    }


def _positive(close: Floats) -> Floats:
    """Turn closeness into P(wrong), taking the threshold as even odds, so that it can be summed."""
    return np.asarray(1 / (1 + np.exp(-close)), np.float64)


def _measured(findings: Sequence[Finding], once: Teams, drawn: Teams) -> Record:
    rows = finding_rows(findings)
    return {
        "model": _alone(rows, once.model, drawn.model),
        "reader": _alone(rows, once.reader, drawn.reader),
        "workloads": [_at_workload(rows, once, drawn, t, d) for t, d in zip(once.teams, drawn.teams, strict=True)],
    }


def _alone(rows: Sequence[str], once: Answered, drawn: Answered) -> Record:
    return {row: _measures(k, once, drawn) for k, row in enumerate(rows)}


def _measures(k: int, once: Answered, drawn: Answered) -> Record:
    return {m: interval(float(getattr(once, m)[0, k]), getattr(drawn, m)[:, k]).json for m in MEASURES}


def _at_workload(rows: Sequence[str], once: Teams, drawn: Teams, team: Team, resampled: Team) -> Record:
    others = {
        "less_model": (once.model, drawn.model),
        "less_reader": (once.reader, drawn.reader),
        "less_random": (team.random, resampled.random),
    }
    values, samples = getattr(team.team, COMPARED), getattr(resampled.team, COMPARED)
    differences = {
        name: (values - getattr(o, COMPARED), samples - getattr(d, COMPARED)) for name, (o, d) in others.items()
    }
    (model, model_drawn), (reader, reader_drawn) = differences["less_model"], differences["less_reader"]
    differences["less_better"] = np.minimum(model, reader), np.minimum(model_drawn, reader_drawn)
    figures: Record = {}
    for k, row in enumerate(rows):
        figures[row] = _measures(k, team.team, resampled.team) | {
            name: interval(float(v[0, k]), s[:, k]).json for name, (v, s) in differences.items()
        }
    return {
        "workload": team.workload,
        "deferred": team.deferred,
        "saved": 1 - team.deferred,
        "images_spared": team.images_spared,
        "figures": figures,
    }
