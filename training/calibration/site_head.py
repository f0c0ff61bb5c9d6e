"""Refit a bundle's head to the unseen patients of a data set, and calibrate the bundle with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from candor.decide.calibration import IDENTITY, LogitMap
from candor.model.bundle import Model
from candor.study.errors import DataError
from candor.study.findings import Finding
from training.calibration.calibrate import Refit, labelled_part, recalibrate, shipped_calibration
from training.calibration.choice import share_of
from training.calibration.head import Cases, Head, refit_head
from training.calibration.prevalence import Prevalence
from training.calibration.scaling import Floats
from training.calibration.write_head import BIAS, WEIGHT, shipped_head, write_head
from training.data.dataset import Dataset
from training.markdown import spaced, table, with_interval
from training.predictions.fold_heads import refitted_to
from training.predictions.predict import predict
from training.predictions.table import with_logits
from training.records import Occasion
from training.statistics.metrics import Interval, aucs, interval, mean_defined, patient_weights

RESAMPLES: Final = 1000
LINEAR: Final = 1e-2
"""Largest difference of a logit from a linear function of the features; half precision needs some."""


@dataclass(frozen=True, slots=True)
class HeadGain:
    """What a refitted head gains on patients left out.

    Parameters
    ----------
    strength
        The penalty; None where the head stays as shipped.
    shipped, refitted
        AUC of the shipped head, and of the heads of the other folds; NaN where it is undefined.
    gain
        The difference with its paired 95% interval by patient.
    """

    strength: float | None
    shipped: float
    refitted: float
    gain: Interval


@dataclass(frozen=True, slots=True, eq=False)
class SiteHead:
    """A bundle's new head and calibration; ``mean`` is over all findings."""

    gains: Mapping[Finding, HeadGain]
    mean: HeadGain
    refit: Refit


def calibrate_with_head(model: Model, dataset: Dataset, prevalence: Prevalence, occasion: Occasion) -> SiteHead:
    """Refit the head where that does better, and fit the calibration to logits out of fold; this closes the gate.

    Parameters
    ----------
    model
        The bundle; its weights are changed if a head is refitted.
    dataset
        Labels of the model's findings, in the model's order.
    prevalence
        As for :func:`training.calibration.calibrate.recalibrate`.
    occasion
        Date and command, written into the files.

    Raises
    ------
    DataError
        The head is not linear in the features, there are too few patients, or as for
        :func:`training.calibration.calibrate.calibrate`.
    """
    part = labelled_part(model, dataset)
    outputs = predict(model, part)
    shipped, features = Head(*shipped_head(model)), outputs.features.astype(np.float64)
    cases = Cases(features, part.labels().astype(np.float64), part.patients())
    _require_linear(model, features, outputs.logits)
    refitted = refit_head(shipped, cases)
    before, after = shipped.logits(features), refitted.logits(cases)
    gains, mean = _gains(part.findings, cases, before, after, refitted.strengths)
    calibration = shipped_calibration(model)
    changed = [strength is not None for strength in refitted.strengths]
    if any(changed) or refitted_to(model) is not None:
        facts = {
            "data": part.source,
            **occasion.facts,
            "images": len(part.images),
            "patients": len(np.unique(cases.patients)),
            "findings": {f.label: _fact(gain) for f, gain in gains.items() if gain.strength is not None},
        }
        folds = np.stack([head.weight for head in refitted.folds]), np.stack([head.bias for head in refitted.folds])
        model = write_head(model, (refitted.head.weight, refitted.head.bias), folds, facts)
    maps = {
        finding: LogitMap(IDENTITY, share_of(labels), share_of(labels)) if new else m
        for (finding, m), labels, new in zip(calibration.maps.items(), cases.labels.T, changed, strict=True)
    }
    predictions = with_logits(part, after.astype(np.float32), part.source)
    refit = recalibrate(model, predictions, prevalence, occasion, replace(calibration, maps=maps))
    return SiteHead(gains, mean, refit)


def _require_linear(model: Model, features: Floats, logits: NDArray[np.float32]) -> None:
    weights = load_file(model.weights)
    channels = weights.get(WEIGHT, np.empty((0, 0))).shape[-1]
    if channels == features.shape[1]:
        served = features @ weights[WEIGHT].astype(np.float64).T + weights[BIAS]
        if np.abs(served - logits).max(initial=0) <= LINEAR:
            return
    raise DataError(f"the head of {model.architecture} is not linear in the features; calibrate without --refit-head")


def _gains(
    findings: Sequence[Finding], cases: Cases, before: Floats, after: Floats, strengths: Sequence[float | None]
) -> tuple[dict[Finding, HeadGain], HeadGain]:
    weights = patient_weights(cases.patients, RESAMPLES, seed=0)
    (one, other), (drawn, redrawn) = (
        [aucs(cases.labels, logits, w) for logits in (before, after)] for w in (None, weights)
    )
    gains = {
        finding: HeadGain(
            strengths[k],
            float(one[0, k]),
            float(other[0, k]),
            interval(float(other[0, k] - one[0, k]), redrawn[:, k] - drawn[:, k]),
        )
        for k, finding in enumerate(findings)
    }
    shipped, refitted = (float(mean_defined(part)[0]) for part in (one, other))
    return gains, HeadGain(
        None, shipped, refitted, interval(refitted - shipped, mean_defined(redrawn) - mean_defined(drawn))
    )


def _fact(gain: HeadGain) -> dict[str, object]:
    return {"strength": gain.strength, "auc_shipped": gain.shipped, "auc_refitted": gain.refitted}


def head_report(made: SiteHead) -> Iterable[str]:
    """Yield the paragraphs of a report: which findings got a new head, and what it gains."""
    fitted = [spaced(finding.label) for finding, gain in made.gains.items() if gain.strength is not None]
    yield (
        f"New head for {len(fitted)} findings: {', '.join(fitted)}. The others keep the shipped head."
        if fitted
        else "No finding got a new head: none does better than the shipped one on patients left out."
    )
    rows = [(spaced(finding.label), *_row(gain)) for finding, gain in made.gains.items()]
    yield table(("finding", "AUC shipped", "AUC refitted", "gain", "penalty"), [*rows, ("**mean**", *_row(made.mean))])
    yield (
        "Each image is judged by a head that was fitted without its patient; which findings get a new head was decided "
        "once. In brackets the paired 95% interval by patient."
    )


def _row(gain: HeadGain) -> list[str]:
    aucs_of = ["-" if np.isnan(value) else f"{value:.3f}" for value in (gain.shipped, gain.refitted)]
    return [*aucs_of, with_interval(gain.gain.json), "" if gain.strength is None else f"{gain.strength:.3g}"]
