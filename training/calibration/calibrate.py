"""Fit a bundle's calibration to patients that the network never saw: of its data set, or of a site.

A first fit starts from the network's own probabilities. A finding with few positives is shifted to the prevalence of
the images, or shares the slope of three or more others where that does better. Its intercept and the fitting prevalence
follow the same count, so at the assumed prevalence the noise of the count mostly cancels out. A refit starts from the
bundle's calibration. A finding with few positives keeps its map; one with many keeps it at the site's prevalence,
unless another map does better.

References
----------
Guo et al. 2017. Saerens et al. 2002 (prior shift). Stone 1974 (cross-validated choice and assessment).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from candor.decide.calibration import Calibration, LogitMap, Origin, sigmoid
from candor.model.bundle import Model, load_calibration
from candor.study.errors import BundleError, DataError
from candor.study.findings import Finding
from training.bundles.fitted import Facts, identity_calibration, trained_shares, write_calibration
from training.bundles.leakage import unseen_part
from training.calibration.choice import (
    FEWEST_POSITIVES,
    Kept,
    cross_validated,
    enough,
    fit_maps,
    has_slope_of_others,
    share_of,
)
from training.calibration.intervals import intervals
from training.calibration.prevalence import Prevalence
from training.calibration.scaling import Floats, negative_log_likelihood
from training.data.readers import Dataset
from training.data.splits import FOLDS
from training.predictions.table import Predictions, predictions_of
from training.records import Occasion
from training.statistics.metrics import calibration_errors, calibration_floors

NOBODY_KNOWS: Final = "no image of the fit has a known label"
"""The reason why a finding is not fitted."""

BEFORE: Final = "before"
SHIFTED: Final = "before_at_this_prevalence"
AFTER: Final = "after_cross_validated"
FLOOR: Final = "ece_of_a_perfect_model"
"""Names of the figures in the file."""


@dataclass(frozen=True, slots=True, eq=False)
class Refit:
    """A new calibration, with the facts by which a person judges each finding before using it.

    Parameters
    ----------
    labels
        ``(images, findings)`` of the fit.
    before, after
        ``(images, findings)``: probabilities at the prevalence of these images, by the calibration that the bundle had,
        and by the new one out of fold.
    """

    calibration: Calibration
    facts: Mapping[Finding, Facts]
    labels: Floats
    before: Floats
    after: Floats


def calibrate(model: Model, dataset: Dataset, prevalence: Prevalence, occasion: Occasion) -> Refit:
    """Fit ``calibration.json`` to the UNSEEN patients of a data set, and close the gate.

    Parameters
    ----------
    model
        The bundle.
    dataset
        Labels of the model's findings, in the model's order.
    prevalence
        The prevalence to assume; a finding that it lacks keeps the one that the bundle assumes.
    occasion
        Date and command, written into the file.

    Raises
    ------
    DataError
        The data set has no UNSEEN patient, or no known label of them, or some of them trained the network.
    """
    part = labelled_part(model, dataset)
    return recalibrate(model, predictions_of(model, part, part.source), prevalence, occasion)


def labelled_part(model: Model, dataset: Dataset) -> Dataset:
    """Return the UNSEEN patients of a data set, to whom calibration and gate are fitted.

    Parameters
    ----------
    model
        The bundle, whose training patients must not be among them.
    dataset
        The data set.

    Raises
    ------
    DataError
        There is none, none of their labels is known, or some trained the network.
    """
    part = unseen_part(model, dataset)
    if np.isnan(part.labels()).all():
        names = ", ".join(finding.label for finding in dataset.findings)
        raise DataError(f"{NOBODY_KNOWS} for any of {names}; give a data set that knows the bundle's findings")
    return part


def recalibrate(
    model: Model,
    predictions: Predictions,
    prevalence: Prevalence,
    occasion: Occasion,
    shipped: Calibration | None = None,
) -> Refit:
    """Fit ``calibration.json`` to predictions of the model, and close the gate.

    Parameters
    ----------
    model
        The bundle.
    predictions
        Predictions of the model's findings, in the model's order; ``source`` names the site.
    prevalence
        The prevalence to assume. A finding that it lacks is assumed as frequent as in these images or, if it is not
        fitted, as before.
    occasion
        Date and command, written into the file.
    shipped
        The calibration to start from; None is the bundle's.

    Raises
    ------
    DataError
        No finding has enough labels to be fitted.
    """
    if predictions.findings != model.findings:
        raise DataError("the predictions are not of the bundle's findings in its order; read them with its findings")
    shipped = shipped_calibration(model) if shipped is None else shipped
    _require_enough(predictions, refit=shipped.origin is not None)
    first = shipped.origin is None
    kept = [
        None if first and not np.isnan(predictions.labels[:, k]).all() else m
        for k, m in enumerate(shipped.maps.values())
    ]
    fitted = fit_maps(predictions.logits, predictions.labels, predictions.patients, kept)
    maps = {
        finding: replace(m, assumed_prevalence=prevalence.of(finding, m.assumed_prevalence))
        for finding, m in zip(model.findings, fitted, strict=True)
    }
    description = f"calibrated on {predictions.description} ({occasion.day}); assumes the {prevalence.source}"
    origin = Origin(predictions.source, occasion.day, len(predictions.images))
    after = cross_validated(predictions.logits, predictions.labels, predictions.patients, kept)
    shares = map(share_of, predictions.labels.T)
    here = [replace(m, assumed_prevalence=s).shift for m, s in zip(shipped.maps.values(), shares, strict=True)]
    before = sigmoid(shipped.log_odds(predictions.logits) + here)
    by_finding = _facts(predictions, shipped, kept, fitted, before, after)
    refit = Refit(Calibration(maps, description, origin), by_finding, predictions.labels, before, after)
    facts = occasion.facts | {
        "data": predictions.source,
        "patients": len(np.unique(predictions.patients)),
        "folds": FOLDS,
        "assumed_prevalence": prevalence.source,
    }
    bands = intervals(predictions, kept, maps)
    stored = {f: {**by_finding[f], **({"interval": bands[f]} if f in bands else {})} for f in maps}
    write_calibration(model, refit.calibration, facts, stored)
    return replace(refit, calibration=load_calibration(model))  # with the intervals


def shipped_calibration(model: Model) -> Calibration:
    """Load the bundle's calibration; if it belongs to other weights or is damaged, print so and return the identity."""
    try:
        return load_calibration(model)
    except BundleError as error:
        print(f"the bundle's calibration cannot be kept for any finding: {error}", file=sys.stderr)
        return identity_calibration(trained_shares(model))


def _require_enough(predictions: Predictions, refit: bool) -> None:
    known = ~np.isnan(predictions.labels)
    if not (enough(predictions.labels).any() if refit else known.any()):
        raise DataError(
            f"{predictions.source} has no finding that can be fitted: none has {FEWEST_POSITIVES} images with it and "
            f"{FEWEST_POSITIVES} without; give more labelled images"
        )


def _facts(
    predictions: Predictions,
    shipped: Calibration,
    kept: Kept,
    fitted: Sequence[LogitMap],
    here: Floats,
    after: Floats,
) -> dict[Finding, Facts]:
    said, alone = shipped.probabilities(predictions.logits), enough(predictions.labels)
    floors = calibration_floors(predictions.labels, after)
    facts: dict[Finding, Facts] = {}
    for k, (finding, m) in enumerate(shipped.maps.items()):
        labels = predictions.labels[:, k]
        new = alone[k] or kept[k] is None
        facts[finding] = _counts(labels, bool(alone[k])) | {
            "kept": kept[k] is not None and fitted[k].curve is m.curve,
            "shared_slope": kept[k] is None and not alone[k] and has_slope_of_others(fitted[k]),
            BEFORE: calibration_figures(labels, said[:, k]),
            SHIFTED: calibration_figures(labels, here[:, k]),
            AFTER: calibration_figures(labels, after[:, k]) if new else None,
            FLOOR: float(floors[k]) if new and not np.isnan(floors[k]) else None,
        }
    return facts


def _counts(labels: Floats, alone: bool) -> dict[str, object]:
    positives, negatives = int((labels > 0).sum()), int((labels <= 0).sum())
    few = f"{positives} positives and {negatives} negatives; {FEWEST_POSITIVES} of each are needed"
    nobody_knows = not positives + negatives
    return {
        "known": positives + negatives,
        "positives": positives,
        "unfitted": None if alone else NOBODY_KNOWS if nobody_knows else few,
    }


def calibration_figures(labels: Floats, probabilities: Floats) -> dict[str, float] | None:
    """Return mean negative log-likelihood, expected calibration error (15 bins) and Brier score of one finding.

    Parameters
    ----------
    labels, probabilities
        ``(images,)``; a label that is not known is NaN.

    Returns
    -------
    ``nll``, ``ece`` and ``brier``; None if no label is known.
    """
    known = ~np.isnan(labels)
    if not known.any():
        return None
    truth, said = labels[known] > 0, probabilities[known]
    return {
        "nll": negative_log_likelihood(truth, said),
        "ece": float(calibration_errors(truth[:, np.newaxis], said[:, np.newaxis])[0, 0]),
        "brier": float(np.mean((said - truth) ** 2)),
    }
