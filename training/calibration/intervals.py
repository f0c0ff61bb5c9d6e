"""Intervals of the calibrated probabilities: the maps are fitted again to bootstrap resamples of the patients.

A map's kind stays. Where a finding has few positives, its slope was not fitted to them; the interval still shows how
far they leave it open. A map that is kept keeps the interval of its own fit, if it has one. The interval is at the
assumed prevalence: it shows chance in the patients of the fit, and neither a wrong prevalence nor other patients.

References
----------
Efron 1979 (bootstrap), here of patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

import numpy as np

from candor.decide.calibration import Band, CalibrationKind, LogitMap, log_odds, sigmoid
from candor.study.findings import Finding
from training.calibration.choice import Kept, enough, share_of
from training.calibration.scaling import FLAT, PRIOR, Floats, Prior, fit_curve
from training.predictions.table import Predictions
from training.statistics.metrics import patient_weights

RESAMPLES: Final = 200
KNOTS: Final = 21
"""At how many logits an interval is stored: quantiles of those of the fit."""

PERCENTILES: Final = (5, 95)
_LEAST: Final = 1e-6
"""An end of an interval lies at least this far from 0 and 1."""


def intervals(
    predictions: Predictions, kept: Kept, maps: Mapping[Finding, LogitMap], resamples: int = RESAMPLES
) -> dict[Finding, dict[str, list[float]]]:
    """Return the 90% interval of each finding's probability, as curves for ``calibration.json``.

    Parameters
    ----------
    predictions
        The images of the fit.
    kept
        The map that each finding had before, or None.
    maps
        The new map of each finding.
    resamples
        How many; the same number draws the same patients.

    Returns
    -------
    ``logits``, which rise, and ``low`` and ``high``: probabilities at the assumed prevalence. A finding without a known
    label is left out.
    """
    counts = patient_weights(predictions.patients, resamples, seed=0).astype(np.int64)
    drawn = [np.repeat(np.arange(len(row)), row) for row in counts]
    alone, found = enough(predictions.labels), {}
    for k, (finding, m) in enumerate(maps.items()):
        logits, labels = predictions.logits[:, k], predictions.labels[:, k]
        if np.isnan(labels).all():
            continue
        knots = np.unique(np.quantile(logits, np.linspace(0, 1, KNOTS)).round(6))
        before = kept[k]
        if before is not None and before.band is not None and m.curve is before.curve:
            found[finding] = _as_it_was(m, before.band)
            continue
        fit = partial(_refit, m.kind, PRIOR) if alone[k] else partial(_refit, CalibrationKind.PLATT, FLAT)
        centre = m.curve.log_odds(knots) + m.shift - fit(logits, labels, knots)
        odds = centre + np.stack([fit(logits[rows], labels[rows], knots) for rows in drawn])
        low, high = np.percentile(sigmoid(odds), PERCENTILES, axis=0).clip(_LEAST, 1 - _LEAST).round(6)
        found[finding] = {"logits": knots.tolist(), "low": low.tolist(), "high": high.tolist()}
    return found


def _as_it_was(m: LogitMap, band: Band) -> dict[str, list[float]]:
    centre = m.curve.log_odds(np.asarray(band.logits)) + m.shift
    low, high = (sigmoid(odds).clip(_LEAST, 1 - _LEAST).round(6) for odds in (centre - band.below, centre + band.above))
    return {"logits": list(band.logits), "low": low.tolist(), "high": high.tolist()}


def _refit(kind: CalibrationKind, prior: Prior, logits: Floats, labels: Floats, knots: Floats) -> Floats:
    """Return log-odds at the knots, of one kind of map fitted to some images, at always the same prevalence."""
    return fit_curve(kind, logits, labels, prior).log_odds(knots) - log_odds(share_of(labels))
