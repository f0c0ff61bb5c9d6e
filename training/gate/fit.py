"""Fit a bundle's gate to patients that the network never saw: of its data set, or of a site.

A gate is fitted to a guarantee (:class:`training.gate.guarantee.Promise`) or to a workload
(:class:`training.gate.coverage.Coverage`). ``gate.json`` records which, the source and number of the images, and the
date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from candor.decide.gate import Gate, Thresholds
from candor.model.bundle import Model, load_calibration
from candor.study.errors import DataError
from candor.study.findings import Finding
from training.bundles.fitted import Facts, write_gate
from training.calibration.calibrate import labelled_part
from training.calibration.scaling import Floats
from training.data.readers import Dataset
from training.gate.coverage import Coverage, workload_facts, workload_thresholds
from training.gate.facts import guarantee_facts
from training.gate.guarantee import Promise
from training.gate.thresholds import cases_of, gate_groups, guaranteed
from training.predictions.table import Predictions, predictions_of
from training.records import Occasion

Goal = Promise | Coverage

ASSUMPTION: Final = (
    "It holds for each finding by itself, not for all at once, and for patients exchangeable with those of the fit "
    "(drawn as they were, at the same site, with the same devices and referrals), for one image of a patient: of a "
    "patient who has the finding one that shows it, each as likely. The confidence is over the draw of the patients of "
    "the fit. In each view, sex and age band it holds with less confidence, if log-odds are normal there. For another "
    "population it is no promise."
)
NO_GUARANTEE: Final = "A workload: how much is answered was chosen, and no bound on errors comes with it."


@dataclass(frozen=True, slots=True)
class FittedGate:
    """A new gate, with the counts of each finding."""

    gate: Gate
    facts: Mapping[Finding, Facts]


def fit_gate(model: Model, dataset: Dataset, goal: Goal, occasion: Occasion) -> FittedGate:
    """Fit ``gate.json`` to the UNSEEN patients of a data set.

    Parameters
    ----------
    model
        The bundle.
    dataset
        Labels of the model's findings, in the model's order.
    goal
        The guarantee or the workload.
    occasion
        Date and command, written into the file.

    Raises
    ------
    BundleError
        The calibration belongs to other weights.
    DataError
        The data set has no UNSEEN patient, or no known label of them, or some of them trained the network.
    """
    part = labelled_part(model, dataset)
    return fit_gate_to(model, predictions_of(model, part, part.source), goal, occasion)


def fit_gate_to(model: Model, predictions: Predictions, goal: Goal, occasion: Occasion) -> FittedGate:
    """Fit ``gate.json`` to predictions of the model.

    Parameters
    ----------
    model
        The bundle.
    predictions
        Predictions of the model's findings, in the model's order, for patients who did not train it; ``source`` names
        the site.
    goal
        The guarantee or the workload.
    occasion
        Date and command, written into the file.

    Raises
    ------
    BundleError
        The calibration belongs to other weights.
    DataError
        The predictions are of other findings, or in another order.
    """
    if predictions.findings != model.findings:
        raise DataError("the predictions are not of the bundle's findings in its order; read them with its findings")
    probabilities = load_calibration(model).probabilities(predictions.logits)
    pairs = fit_pairs(probabilities, predictions, goal)
    facts = _counts(probabilities, predictions, goal, pairs)
    thresholds = dict(zip(model.findings, pairs, strict=True))
    by_finding = dict(zip(model.findings, facts, strict=True))
    gate = Gate(thresholds, _description(predictions, goal, occasion))
    write_gate(model, gate, _facts(predictions, goal, occasion), by_finding)
    return FittedGate(gate, by_finding)


def fit_pairs(probabilities: Floats, predictions: Predictions, goal: Goal) -> list[Thresholds]:
    """Fit every finding's thresholds, without writing them.

    Parameters
    ----------
    probabilities
        ``(images, findings)``, calibrated, at the assumed prevalence.
    predictions
        Gives labels, patients and groups.
    goal
        The guarantee or the workload.
    """
    if isinstance(goal, Coverage):
        return [workload_thresholds(column, goal) for column in probabilities.T]
    return guaranteed(probabilities, predictions.labels, predictions.patients, gate_groups(predictions.groups), goal)


def _counts(
    probabilities: Floats, predictions: Predictions, goal: Goal, pairs: Sequence[Thresholds]
) -> Sequence[Facts]:
    labels = predictions.labels
    if isinstance(goal, Coverage):
        return [workload_facts(*column) for column in zip(probabilities.T, labels.T, pairs, strict=True)]
    cases = cases_of(probabilities, labels, predictions.patients, gate_groups(predictions.groups))
    return [guarantee_facts(of, goal, pair) for of, pair in zip(cases, pairs, strict=True)]


def _description(predictions: Predictions, goal: Goal, occasion: Occasion) -> str:
    patients = len(np.unique(predictions.patients))
    if isinstance(goal, Coverage):
        return f"workload: {goal.text}; set on {predictions.description} ({occasion.day})"
    return (
        f"guarantee, for each finding by itself: {goal.text}, for patients like the {patients:,} of "
        f"{predictions.source} of its fit, each patient counted once ({occasion.day})"
    )


def _facts(predictions: Predictions, goal: Goal, occasion: Occasion) -> Facts:
    guarantee = isinstance(goal, Promise)
    return {
        "kind": "guarantee" if guarantee else "coverage",
        "assumption": ASSUMPTION if guarantee else NO_GUARANTEE,
        **asdict(goal),
        **occasion.facts,
        "data": predictions.source,
        "images": len(predictions.images),
        "patients": len(np.unique(predictions.patients)),
    }
