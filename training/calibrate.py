"""Fit a bundle's calibration to patients that the network never saw.

A finding with few positives takes its slope from the other findings and fits its intercept alone. The intercept
follows the same count as the fitting prevalence, so at the assumed one the count's noise mostly cancels out.

A label that is NaN is not known: its picture counts for the other findings alone. A finding that no picture has a
known label for stays as export left it, the network's own probabilities at the prevalence of its training data.

References
----------
Guo et al. 2017. Saerens et al. 2002 (prior shift). Stone 1974 (cross-validated choice and assessment).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Model
from cxr.calibrate import Calibration, LogitMap
from cxr.errors import DataError
from cxr.findings import Finding
from training.apart import require_unseen
from training.datasets import Dataset
from training.fitted import trained_shares, write_calibration
from training.metrics import expected_calibration_error
from training.predict import predict_logits
from training.prevalence import Prevalence
from training.records import Occasion
from training.scaling import (
    FEWEST_POSITIVES,
    FOLDS,
    IDENTITY,
    Bools,
    Floats,
    Labels,
    Line,
    chosen_line,
    folds_of,
    line_with_slope,
    negative_log_likelihood,
    shared_slope,
    softened,
)
from training.splits import Subset

NOBODY_KNOWS: Final = "no picture of a calibration patient has a known label"
"""Why a finding is not fitted."""


def calibrate(model: Model, dataset: Dataset, prevalence: Prevalence, occasion: Occasion) -> Calibration:
    """Fit ``calibration.json`` to the CALIBRATION patients of a data set, and close the gate.

    Parameters
    ----------
    dataset
        Of the model's findings, in the model's order.
    prevalence
        The assumed one; a finding that it does not know keeps that of the training data.
    occasion
        Stands in the file.

    Raises
    ------
    DataError
        The data set has no CALIBRATION patient, or knows no label of them.
    BundleError
        A finding has no known label, and the bundle does not say how frequent it was in the training data.
    """
    part = calibration_part(model, dataset)
    labels, patients = part.labels(), part.patients()
    logits = predict_logits(model, part).astype(np.float64)
    lines = fit_lines(logits, labels, patients)
    maps = {
        finding: _logit_map(model, finding, line, labels[:, k], prevalence)
        for k, (finding, line) in enumerate(zip(model.findings, lines, strict=True))
    }
    count = f"{len(labels)} images of {len(set(patients))} patients of {part.source}"
    calibration = Calibration(maps, f"calibrated on {count} ({occasion.day}); assumes the {prevalence.source}")
    facts = occasion.facts | {
        "data": part.source,
        "images": len(labels),
        "patients": len(set(patients)),
        "folds": FOLDS,
        "assumed_prevalence": prevalence.source,
    }
    write_calibration(model, calibration, facts, _figures(model.findings, logits, labels, patients))
    return calibration


def calibration_part(model: Model, dataset: Dataset) -> Dataset:
    """Take the CALIBRATION patients, to whom calibration and gate are fitted.

    Raises
    ------
    DataError
        There is none, no label of theirs is known, or some trained the network.
    """
    part = dataset.only(Subset.CALIBRATION)
    if not part.images:
        raise DataError(
            "no picture belongs to a calibration patient; give a data set with official test patients, or a split by "
            "hash, as 70-15-15"
        )
    if np.isnan(part.labels()).all():
        names = ", ".join(finding.label for finding in dataset.findings)
        raise DataError(f"{NOBODY_KNOWS} for any of {names}; give a data set that knows the bundle's findings")
    require_unseen(model, part)
    return part


def _logit_map(
    model: Model, finding: Finding, line: Line | None, labels: NDArray[np.float32], prevalence: Prevalence
) -> LogitMap:
    if line is None:
        fitted = trained_shares(model)[finding]
        return LogitMap(IDENTITY.kind, IDENTITY.slope, IDENTITY.intercept, fitted, prevalence.of(finding, fitted))
    fitted = float(np.nanmean(softened(labels)))
    return LogitMap(line.kind, line.slope, line.intercept, fitted, prevalence.of(finding, fitted))


def fit_lines(logits: Floats, labels: Labels, patients: NDArray[np.str_]) -> list[Line | None]:
    """Fit every finding's map to ``(images, findings)`` logits and labels; None where no label is known.

    The kind is chosen for each finding with at least ``FEWEST_POSITIVES``; the others share one slope, fitted to those.
    """
    folds = folds_of(patients)
    many = (labels > 0).sum(axis=0) >= FEWEST_POSITIVES
    slope = shared_slope(logits[:, many], labels[:, many]) if many.any() else 1.0
    return [_fit_line(logits[:, k], labels[:, k], folds, None if many[k] else slope) for k in range(labels.shape[1])]


def _fit_line(logits: Floats, labels: Labels, folds: NDArray[np.int64], slope: float | None) -> Line | None:
    known = ~np.isnan(labels)
    if not known.any():
        return None
    if slope is None:
        return chosen_line(logits[known], labels[known] > 0, folds[known])
    return line_with_slope(slope, logits[known], labels[known] > 0)


def cross_validated(logits: Floats, labels: Labels, patients: NDArray[np.str_]) -> Floats:
    """Probabilities of each image from maps that were chosen and fitted without its patient.

    The choice is made anew without each fold, so that it flatters nobody.
    """
    folds = folds_of(patients)
    probabilities = np.empty_like(logits)
    for fold in np.unique(folds):
        out = folds == fold
        lines = fit_lines(logits[~out], labels[~out], patients[~out])
        for k, line in enumerate(lines):
            probabilities[out, k] = (line or IDENTITY).probabilities(logits[out, k])
    return probabilities


def _figures(
    findings: tuple[Finding, ...], logits: Floats, labels: Labels, patients: NDArray[np.str_]
) -> dict[Finding, dict[str, object]]:
    after = cross_validated(logits, labels, patients)
    return {
        finding: _finding_figures(labels[:, k], IDENTITY.probabilities(logits[:, k]), after[:, k])
        for k, finding in enumerate(findings)
    }


def _finding_figures(labels: Labels, before: Floats, after: Floats) -> dict[str, object]:
    known = ~np.isnan(labels)
    truth = labels[known] > 0
    return {
        "images": len(truth),
        "positives": int(truth.sum()),
        "shared_slope": bool(known.any() and truth.sum() < FEWEST_POSITIVES),
        "unfitted": None if known.any() else NOBODY_KNOWS,
        "before": calibration_figures(truth, before[known]) if known.any() else None,
        "after_cross_validated": calibration_figures(truth, after[known]) if known.any() else None,
    }


def calibration_figures(labels: Bools, probabilities: Floats) -> dict[str, float]:
    """Mean negative log-likelihood, expected calibration error (15 bins) and Brier score of ``(images,)``."""
    return {
        "nll": negative_log_likelihood(labels, probabilities),
        "ece": expected_calibration_error(labels, probabilities),
        "brier": float(np.mean((probabilities - labels) ** 2)),
    }
