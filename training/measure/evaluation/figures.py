"""The figures of a sample: how well it ranks, how well it is calibrated, and how it answers at thresholds.

Every figure has a 95% interval from a bootstrap of the patients, and is null where it is undefined.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from candor.decide.calibration import sigmoid
from training.calibration.scaling import negative_log_likelihood
from training.measure.evaluation.sample import Record, Sample, by_finding, mean_of
from training.predictions.cross_fitting import out_of_fold
from training.statistics.decisions import Counts, count, samples_f1, youden_thresholds
from training.statistics.metrics import (
    Floats,
    aucs,
    average_precisions,
    brier_scores,
    calibration_errors,
    calibration_floors,
    interval,
)


def ranking(sample: Sample) -> Record:
    """Measure AUC and average precision of every finding, and their means over the findings where they are defined.

    They are undefined for a finding of too few patients (:attr:`.sample.Sample.few`): the pictures of one patient say
    little about others, however many they are.
    """
    weights, positives = sample.weights(), (sample.labels > 0).sum(axis=0)
    labels = np.where(sample.few, np.nan, sample.labels)
    auc = aucs(labels, sample.logits), aucs(labels, sample.logits, weights)
    precision = average_precisions(labels, sample.logits), average_precisions(labels, sample.logits, weights)
    counts = zip(positives.tolist(), sample.positive_patients.tolist(), strict=True)
    rows = zip(sample.findings, counts, by_finding(*auc), by_finding(*precision), strict=True)
    return {
        "images": len(sample.images),
        "patients": len(set(sample.patients.tolist())),
        "mean_auc": mean_of(*auc).json,
        "mean_average_precision": mean_of(*precision).json,
        "findings": {
            finding.label: {"positives": n, "positive_patients": m, "auc": a.json, "average_precision": p.json}
            for finding, (n, m), a, p in rows
        },
    }


def ranking_compared(sample: Sample, common: NDArray[np.bool_]) -> Record:
    """Measure as :func:`ranking` does, but take the means over some findings only, so that samples can be compared.

    Parameters
    ----------
    sample
        Pictures with labels and logits.
    common
        ``(findings,)``: the findings that the means are taken over, the same for all samples that are compared.
    """
    compared = ranking(sample.labelled(np.where(common, sample.labels, np.nan)))
    return ranking(sample) | {key: compared[key] for key in ("mean_auc", "mean_average_precision")}


def calibration(sample: Sample) -> Record:
    """Measure negative log-likelihood, calibration error (15 bins) and Brier score, before and after calibration.

    Before is the sigmoid of the logit; after is the calibrated probability at the prevalence of the fit. ``floor`` is
    the calibration error of a perfect model of the same size.
    """
    weights, floors = sample.weights(), calibration_floors(sample.labels, sample.probabilities)
    before, after = (_calibration(sample, p, weights) for p in (sigmoid(sample.logits), sample.probabilities))
    rows = zip(sample.findings, before, after, floors.tolist(), strict=True)
    return {f.label: {"before": b, "after": a, "floor": None if np.isnan(floor) else floor} for f, b, a, floor in rows}


def calibration_against_floor(sample: Sample) -> Record:
    """Return the mean calibration error over the findings with a known label, its floor, and their ratio."""
    errors = calibration_errors(sample.labels, sample.probabilities)[0]
    floors = calibration_floors(sample.labels, sample.probabilities)
    known = ~np.isnan(floors)
    ece, floor = float(errors[known].mean()), float(floors[known].mean())
    return {"ece": ece, "floor": floor, "ratio": ece / floor}


def _calibration(sample: Sample, probabilities: Floats, weights: Floats) -> list[Record]:
    eces, briers = (
        by_finding(metric(sample.labels, probabilities), metric(sample.labels, probabilities, weights))
        for metric in (calibration_errors, brier_scores)
    )
    nlls = (_likelihood(sample.labels[:, k], probabilities[:, k]) for k in range(len(sample.findings)))
    return [{"nll": n, "ece": e.json, "brier": b.json} for n, e, b in zip(nlls, eces, briers, strict=True)]


def _likelihood(labels: Floats, probabilities: Floats) -> float | None:
    known = ~np.isnan(labels)
    return negative_log_likelihood(labels[known] > 0, probabilities[known]) if known.any() else None


def answers(sample: Sample, thresholds: Floats) -> Record:
    """Measure sensitivity, specificity and F1 where a finding is called from its threshold up, and F1's four averages.

    Parameters
    ----------
    sample
        Pictures with labels and calibrated probabilities.
    thresholds
        ``(images, findings)`` calibrated probabilities from other patients, see :func:`youden_out_of_fold`; an answer
        whose threshold is NaN is left out, and so is a finding of too few patients.
    """
    chosen = ~(np.isnan(thresholds) | sample.few)
    labels = np.where(chosen, sample.labels, np.nan)
    called = sample.probabilities >= np.where(chosen, thresholds, np.inf)
    weights = sample.weights()
    once, drawn = count(labels, called), count(labels, called, weights)
    samples = samples_f1(labels, called), samples_f1(labels, called, weights)
    return {
        "images": len(sample.images),
        "f1": {
            "micro": interval(float(once.micro_f1[0]), drawn.micro_f1).json,
            "macro": interval(float(once.macro_f1[0]), drawn.macro_f1).json,
            "weighted": interval(float(once.weighted_f1[0]), drawn.weighted_f1).json,
            "samples": interval(float(samples[0][0]), samples[1]).json,
        },
        "findings": _by_finding(sample, thresholds, once, drawn),
    }


def youden_out_of_fold(sample: Sample) -> Floats:
    """Return for every image the thresholds at which sensitivity + specificity is greatest among the other folds.

    ``(images, findings)`` calibrated probabilities; NaN where the other folds have no positive or no negative.
    """

    def chosen(rest: NDArray[np.bool_], fold: NDArray[np.bool_]) -> Floats:
        best = youden_thresholds(sample.labels[rest], sample.probabilities[rest])
        return np.tile(best, (int(fold.sum()), 1))

    return out_of_fold(sample.patients, chosen)


def _by_finding(sample: Sample, thresholds: Floats, once: Counts, drawn: Counts) -> Record:
    sensitivity = by_finding(once.sensitivity, drawn.sensitivity)
    specificity = by_finding(once.specificity, drawn.specificity)
    f1 = by_finding(once.f1, drawn.f1)
    return {
        finding.label: {
            "threshold": None if np.isnan(thresholds[:, k]).all() else float(np.nanmean(thresholds[:, k])),
            "sensitivity": sensitivity[k].json,
            "specificity": specificity[k].json,
            "f1": f1[k].json,
        }
        for k, finding in enumerate(sample.findings)
    }
