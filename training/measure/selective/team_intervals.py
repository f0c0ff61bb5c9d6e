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


def cross_fitted(labels: Floats, logits: Floats, first: Bools) -> Operated:
    """Fit Platt scaling and Youden's threshold to each part of the patients, and apply them to the other part.

    Parameters
    ----------
    labels, logits
        ``(images, findings)``.
    first
        ``(images,)``: whether an image belongs to the first of the two parts, the same for all of a patient's images.

    Raises
    ------
    DataError
        A part has no image with a known label of some finding.
    """
    probabilities, thresholds = np.empty_like(logits), np.empty_like(logits)
    for part in (first, ~first):
        if np.isnan(labels[~part]).all(axis=0).any():
            raise DataError("a half of the patients has no known label of some finding; give more images")
        fitted = calibrated(labels[~part], logits[~part], logits[~part])
        thresholds[part] = youden_thresholds(labels[~part], fitted)
        probabilities[part] = calibrated(labels[~part], logits[~part], logits[part])
    return Operated(probabilities, thresholds)


def calibrated(labels: Floats, logits: Floats, others: Floats) -> Floats:
    """Fit Platt scaling to some images, and return the calibrated probabilities of others.

    Parameters
    ----------
    labels, logits
        ``(images, findings)``, to fit to.
    others
        ``(other images, findings)``: the logits to calibrate.
    """
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
