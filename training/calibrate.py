"""Fit a bundle's calibration to patients that the network never saw.

A finding with few positives takes its slope from the other findings and fits its intercept alone. The intercept
follows the same count as the fitting prevalence, so at the assumed one the count's noise mostly cancels out.

References
----------
Guo et al. 2017. Saerens et al. 2002 (prior shift). Stone 1974 (cross-validated choice and assessment).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Model
from cxr.calibrate import Calibration, LogitMap
from cxr.errors import DataError
from cxr.findings import Finding
from training.fitted import write_calibration
from training.metrics import expected_calibration_error
from training.nih import Dataset
from training.predict import predict_logits
from training.records import Occasion
from training.scaling import (
    FEWEST_POSITIVES,
    FOLDS,
    IDENTITY,
    Bools,
    Floats,
    Line,
    chosen_line,
    folds_of,
    line_with_slope,
    negative_log_likelihood,
    shared_slope,
    softened,
)
from training.splits import Subset


def calibrate(model: Model, dataset: Dataset, prevalence: Mapping[Finding, float], occasion: Occasion) -> Calibration:
    """Fit ``calibration.json`` to the CALIBRATION patients of a data set, and close the gate.

    Parameters
    ----------
    dataset
        Of the model's findings, in the model's order.
    prevalence
        The assumed one of each finding, in (0, 1).
    occasion
        Stands in the file.

    Raises
    ------
    DataError
        The data set has no CALIBRATION patient.
    """
    part = dataset.only(Subset.CALIBRATION)
    labels, patients = part.labels() > 0, part.patients()
    if not len(labels):
        raise DataError("no picture belongs to a calibration patient; give a data set with official test patients")
    logits = predict_logits(model, part).astype(np.float64)
    lines = fit_lines(logits, labels, patients)
    maps = {
        finding: _logit_map(line, float(softened(labels[:, k]).mean()), prevalence[finding])
        for k, (finding, line) in enumerate(zip(model.findings, lines, strict=True))
    }
    count = f"{len(labels)} images of {len(set(patients))} patients of NIH ChestX-ray14"
    description = f"calibrated on {count} ({occasion.day}); assumes the prevalence of all ChestX-ray14"
    facts = occasion.facts | {"images": len(labels), "patients": len(set(patients)), "folds": FOLDS}
    calibration = Calibration(maps, description)
    write_calibration(model, calibration, facts, _figures(model.findings, logits, labels, patients))
    return calibration


def _logit_map(line: Line, fitted: float, assumed: float) -> LogitMap:
    return LogitMap(line.kind, line.slope, line.intercept, fitted, assumed)


def fit_lines(logits: Floats, labels: Bools, patients: NDArray[np.str_]) -> list[Line]:
    """Fit every finding's map to ``(images, findings)`` logits and labels.

    The kind is chosen for each finding with at least ``FEWEST_POSITIVES``; the others share one slope, fitted to those.
    """
    folds = folds_of(patients)
    many = labels.sum(axis=0) >= FEWEST_POSITIVES
    slope = shared_slope(logits[:, many], labels[:, many]) if many.any() else 1.0
    return [
        chosen_line(logits[:, k], labels[:, k], folds)
        if many[k]
        else line_with_slope(slope, logits[:, k], labels[:, k])
        for k in range(labels.shape[1])
    ]


def cross_validated(logits: Floats, labels: Bools, patients: NDArray[np.str_]) -> Floats:
    """Probabilities of each image from maps that were chosen and fitted without its patient.

    The choice is made anew without each fold, so that it flatters nobody.
    """
    folds = folds_of(patients)
    probabilities = np.empty_like(logits)
    for fold in np.unique(folds):
        out = folds == fold
        lines = fit_lines(logits[~out], labels[~out], patients[~out])
        for k, line in enumerate(lines):
            probabilities[out, k] = line.probabilities(logits[out, k])
    return probabilities


def _figures(
    findings: tuple[Finding, ...], logits: Floats, labels: Bools, patients: NDArray[np.str_]
) -> dict[Finding, dict[str, object]]:
    after = cross_validated(logits, labels, patients)
    return {
        finding: {
            "positives": int(labels[:, k].sum()),
            "shared_slope": bool(labels[:, k].sum() < FEWEST_POSITIVES),
            "before": calibration_figures(labels[:, k], IDENTITY.probabilities(logits[:, k])),
            "after_cross_validated": calibration_figures(labels[:, k], after[:, k]),
        }
        for k, finding in enumerate(findings)
    }


def calibration_figures(labels: Bools, probabilities: Floats) -> dict[str, float]:
    """Mean negative log-likelihood, expected calibration error (15 bins) and Brier score of ``(images,)``."""
    return {
        "nll": negative_log_likelihood(labels, probabilities),
        "ece": expected_calibration_error(labels, probabilities),
        "brier": float(np.mean((probabilities - labels) ** 2)),
    }
