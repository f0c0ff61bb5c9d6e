"""Measure a bundle on patients that the classifier never saw, and write ``evaluation.json``.

Two sets are told apart. All shared pictures of the official test list: the classifier saw none, and AUC does not
depend on calibration or gate. And the TEST patients alone, to whom nothing at all was fitted: only they can
judge calibration and decisions.

References
----------
Efron 1979 (bootstrap), here of patients. Guo et al. 2017 (expected calibration error).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Bundle
from cxr.defer import Thresholds
from cxr.errors import DataError
from cxr.result import Decision
from training.calibrate import calibration_figures
from training.metrics import Interval, aucs, interval, mean_defined, patient_weights
from training.nih import Dataset
from training.predict import predict_logits
from training.records import Occasion, write_json
from training.scaling import IDENTITY, Bools, Floats, Line
from training.splits import Subset

EVALUATION: Final = Path("models", "evaluation.json")
"""Where the figures stand in a bundle."""

RESAMPLES: Final = 1000
SEED: Final = 0

Record = dict[str, object]


def evaluate(bundle: Bundle, dataset: Dataset, occasion: Occasion) -> Record:
    """Measure discrimination, calibration and decisions, and write ``evaluation.json``.

    Parameters
    ----------
    dataset
        Of the bundle's findings, in the bundle's order.

    Raises
    ------
    DataError
        The data set has no TEST patient.
    """
    official = dataset.only(Subset.GATE, Subset.CALIBRATION, Subset.TEST)
    logits = predict_logits(bundle, official)
    in_test = np.asarray([image.subset is Subset.TEST for image in official.images], np.bool_)
    if not in_test.any():
        raise DataError("no picture belongs to a test patient; give a data set with official test patients")
    test = official.only(Subset.TEST)
    record: Record = {
        "bundle_sha256": bundle.sha256,
        **occasion.facts,
        "resamples": RESAMPLES,
        "official_test": discrimination(official, logits),
        "test": discrimination(test, logits[in_test])
        | {
            "calibration": _calibration(bundle, logits[in_test].astype(np.float64), test.labels() > 0),
            "decisions": _decisions(bundle, logits[in_test], test.labels() > 0),
        },
    }
    write_json(bundle.root / EVALUATION, record)
    return record


def discrimination(dataset: Dataset, logits: NDArray[np.float32]) -> Record:
    """AUC of every finding and their mean, each with its 95% bootstrap interval by patient.

    Parameters
    ----------
    logits
        ``(images, findings)``.
    """
    labels, patients = dataset.labels() > 0, dataset.patients()
    scores = logits.astype(np.float64)
    values = aucs(labels, scores)
    resampled = aucs(labels, scores, patient_weights(patients, RESAMPLES, SEED))
    mean = interval(float(mean_defined(values)[0]), mean_defined(resampled))
    return {
        "images": len(labels),
        "patients": len(set(patients.tolist())),
        "mean_auc": _json(mean),
        "findings": {
            finding.label: {
                "positives": int(labels[:, k].sum()),
                "auc": _json(interval(float(values[0, k]), resampled[:, k])),
            }
            for k, finding in enumerate(dataset.findings)
        },
    }


def _json(estimate: Interval) -> Record | None:
    """Write an interval for JSON, which has no NaN: null where the estimate is undefined."""
    if np.isnan([estimate.value, estimate.low, estimate.high]).any():
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _calibration(bundle: Bundle, logits: Floats, labels: Bools) -> Record:
    """Figures of the logits as they are and of the calibrated ones, at the prevalence of the fit."""
    return {
        finding.label: {
            "before": calibration_figures(labels[:, k], IDENTITY.probabilities(logits[:, k])),
            "after": calibration_figures(labels[:, k], Line(m.kind, m.slope, m.intercept).probabilities(logits[:, k])),
        }
        for k, (finding, m) in enumerate(bundle.calibration.maps.items())
    }


def _decisions(bundle: Bundle, logits: NDArray[np.float32], labels: Bools) -> Record:
    probabilities = bundle.calibration.probabilities(logits)
    return {
        finding.label: decision_counts(pair, probabilities[:, k], labels[:, k])
        for k, (finding, pair) in enumerate(bundle.gate.thresholds.items())
    }


def decision_counts(pair: Thresholds, probabilities: Floats, labels: Bools) -> Record:
    """Count the gate's answers on ``(images,)`` probabilities, and how many of them were wrong."""
    decisions = np.asarray([pair.decide(p)[0].value for p in probabilities])
    absent, present = decisions == Decision.ABSENT.value, decisions == Decision.PRESENT.value
    return {
        "images": len(labels),
        "positives": int(labels.sum()),
        "absent": int(absent.sum()),
        "missed": int((absent & labels).sum()),
        "present": int(present.sum()),
        "present_and_positive": int((present & labels).sum()),
        "deferred": int((~absent & ~present).sum()),
    }
