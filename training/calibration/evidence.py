"""Measure what a refit of the calibration gains: fit to one half of the patients, measure on the other, many times.

The floor is the calibration error of a model whose probabilities are exactly right: its labels are drawn from the
refitted probabilities of the same images. The halvings overlap, so the variance between them is too small; the interval
of a mean over them is Nadeau and Bengio's, which corrects that.

References
----------
Guo et al. 2017 (expected calibration error). Nadeau and Bengio 2003 (corrected resampled t-test).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from candor.decide.calibration import IDENTITY, CalibrationKind, Curve, LogitMap, sigmoid
from training.calibration.choice import FEWEST_POSITIVES, GOAL, chosen_map, enough, fit_maps
from training.calibration.scaling import Floats, fit_curve, negative_log_likelihood
from training.markdown import spaced, table
from training.names import CALIBRATION_HALVINGS
from training.predictions.table import Predictions
from training.statistics.metrics import Interval, calibration_errors, calibration_floors

DRAWS: Final = 20
"""How often labels are drawn for the floor of one halving."""

SIZES: Final = (250, 500, 1000, 2000)
"""Numbers of images of smaller sites."""

BEFORE, AFTER, FLOOR, ONE_ERROR = "before", "after", "floor", "simplest within one standard error"


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Figures of every halving.

    Parameters
    ----------
    errors
        By name: ``(halvings, findings)`` expected calibration errors on the half that was held back.
    likelihoods
        Likewise, mean negative log-likelihoods.
    kinds
        For each finding, how often each kind was chosen.
    fitted
        ``(halvings, findings)``: which had enough labels to be fitted.
    """

    errors: dict[str, Floats]
    likelihoods: dict[str, Floats]
    kinds: list[Counter[str]]
    fitted: NDArray[np.bool_]


def evidence(predictions: Predictions, halvings: int = CALIBRATION_HALVINGS) -> Evidence:
    """Refit on one half of the patients and measure on the other, for each halving.

    The figures before the refit are those of the given probabilities; a finding with few labels keeps these.

    Parameters
    ----------
    predictions
        Logits and labels of one network.
    halvings
        How many; their seeds count from 0.
    """
    errors: dict[str, list[Floats]] = {}
    likelihoods: dict[str, list[Floats]] = {}
    kinds: list[Counter[str]] = [Counter() for _ in predictions.findings]
    fitted = []
    for seed in range(halvings):
        first, held_back = predictions.halves(seed)
        refits = _refits(first, seed)
        fitted.append(enough(first.labels))
        for k, curve in enumerate(refits[AFTER]):
            kinds[k][curve.kind.value] += 1
        for name, curves in refits.items():
            said = _said(curves, held_back)
            errors.setdefault(name, []).append(calibration_errors(held_back.labels, said)[0])
            likelihoods.setdefault(name, []).append(_likelihoods(held_back, said))
        least = calibration_floors(held_back.labels, _said(refits[AFTER], held_back), DRAWS, seed)
        errors.setdefault(FLOOR, []).append(least)
    stacked, likely = ({k: np.stack(v) for k, v in part.items()} for part in (errors, likelihoods))
    return Evidence(stacked, likely, kinds, np.stack(fitted))


def _refits(first: Predictions, seed: int) -> dict[str, list[Curve]]:
    """Fit to one half: the chosen kinds, the kinds to compare with, and the chosen kinds with fewer images."""
    identity: list[Curve] = [IDENTITY] * len(first.findings)
    refits = {BEFORE: identity, AFTER: _fit(first)}
    alone, patients = enough(first.labels), first.patients
    columns = [(first.logits[:, k], first.labels[:, k]) for k in range(len(first.findings))]
    refits[ONE_ERROR] = [
        chosen_map(*c, patients, slack=1.0).curve if ok else IDENTITY for c, ok in zip(columns, alone, strict=True)
    ]
    for kind in list(CalibrationKind)[1:]:
        refits[f"always {kind.value}"] = [
            fit_curve(kind, *c) if ok else IDENTITY for c, ok in zip(columns, alone, strict=True)
        ]
    for size in SIZES:
        if size < len(first.images):
            refits[sized(size)] = _fit(first.take(some(first.patients, size, seed)))
    return refits


def _fit(part: Predictions) -> list[Curve]:
    kept = [None if alone else LogitMap(IDENTITY, 0.5, 0.5) for alone in enough(part.labels)]
    return [m.curve for m in fit_maps(part.logits, part.labels, part.patients, kept)]


def sized(size: int) -> str:
    """Return the name of a refit to a number of images."""
    return f"refit to {size} images"


def some(patients: NDArray[np.str_], size: int, seed: int) -> NDArray[np.bool_]:
    """Choose patients at random, with all their images.

    Parameters
    ----------
    patients
        ``(images,)``.
    size
        Largest number of images.
    seed
        Seed of the choice.

    Returns
    -------
    ``(images,)``: whether each image is chosen.
    """
    names, owner, counts = np.unique(patients, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = order[np.cumsum(counts[order]) <= size]
    return np.asarray(np.isin(owner, chosen), np.bool_)


def _said(curves: list[Curve], part: Predictions) -> Floats:
    return sigmoid(np.stack([curve.log_odds(part.logits[:, k]) for k, curve in enumerate(curves)], axis=1))


def _likelihoods(part: Predictions, said: Floats) -> Floats:
    return np.asarray([negative_log_likelihood(part.labels[:, k], said[:, k]) for k in range(said.shape[1])])


def corrected_interval(values: Floats) -> Interval:
    """Return the mean of values ``(halvings,)`` with its 95% interval; both halves have the same size.

    The variance is multiplied by 1 / halvings + test / train, here 1 / halvings + 1.
    """
    spread = np.sqrt(values.var(ddof=1) * (1 / len(values) + 1)) * student.ppf(0.975, len(values) - 1)
    return Interval(float(values.mean()), float(values.mean() - spread), float(values.mean() + spread))


def in_words(predictions: Predictions, found: Evidence) -> Iterable[str]:
    """Yield the paragraphs of a report in Markdown.

    Parameters
    ----------
    predictions
        The measured predictions.
    found
        The figures of every halving.
    """
    before, after, least = (np.nanmean(found.errors[name], axis=1) for name in (BEFORE, AFTER, FLOOR))
    gain = corrected_interval(before - after)
    ratio = after.mean() / least.mean()
    met = gain.low > 0 and ratio <= GOAL
    yield (
        f"{predictions.description}; {len(before)} random halvings of the patients, refitted on one half and measured "
        "on the other. Expected calibration error: 15 bins of equal width, mean over the findings."
    )
    yield table(
        ("", "ECE on the other half"),
        [
            ("before", f"{before.mean():.4f}"),
            ("after", f"{after.mean():.4f}"),
            ("before - after", f"{gain.value:.4f} [{gain.low:.4f}, {gain.high:.4f}]"),
            ("halvings in which it fell", f"{(after < before).sum()} of {len(after)}"),
            ("floor: a perfectly calibrated model of this size", f"{least.mean():.4f}"),
            ("after / floor", f"{ratio:.2f}"),
        ],
    )
    yield (
        f"Goal (below before, with the whole interval of the difference above 0; at most {GOAL} x floor): "
        f"{'met' if met else 'NOT met'}."
    )
    yield table(
        ("fit", "ECE", "x floor", "NLL"),
        [
            (name, f"{np.nanmean(values):.4f}", f"{np.nanmean(values) / least.mean():.2f}", f"{_mean(found, name):.4f}")
            for name, values in found.errors.items()
            if name != FLOOR
        ],
    )
    yield table(
        ("finding", "ECE before", "after", "floor", "NLL before", "after", "chosen"),
        [_row(predictions, found, k) for k in range(len(predictions.findings))],
    )


def _mean(found: Evidence, name: str) -> float:
    return float(np.nanmean(found.likelihoods[name]))


def _row(predictions: Predictions, found: Evidence, k: int) -> list[object]:
    errors = [f"{np.nanmean(found.errors[name][:, k]):.4f}" for name in (BEFORE, AFTER, FLOOR)]
    likelihoods = [f"{np.nanmean(found.likelihoods[name][:, k]):.4f}" for name in (BEFORE, AFTER)]
    chosen = ", ".join(f"{kind} {count}" for kind, count in found.kinds[k].most_common())
    few = int((~found.fitted[:, k]).sum())
    note = f" ({few} with fewer than {FEWEST_POSITIVES} positives)" if few else ""
    return [spaced(predictions.findings[k].label), *errors, *likelihoods, chosen + note]
