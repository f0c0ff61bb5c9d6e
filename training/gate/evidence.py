"""Measure how often the guarantee is kept: fit to one half of the patients, count on the other, many times.

The share that a threshold truly misses is not known, only the share that it misses among the patients of the other
half, who are a random draw themselves. So even a guarantee that holds with exactly its confidence is seen broken more
often. How often follows from exchangeability alone: the number of positives of the other half below the threshold is
negative hypergeometric, whatever the network. The evidence gives this number beside the counted one.

References
----------
Angelopoulos et al. 2021 (learn then test). Wilks 1942 (how many of a second sample lie beyond an order statistic).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import nhypergeom

from candor.decide.calibration import IDENTITY, Curve, LogitMap, sigmoid
from training.calibration.choice import enough, fit_maps
from training.calibration.scaling import Bools, Floats
from training.gate.guarantee import Promise
from training.gate.one_image_per_patient import draws
from training.gate.thresholds import called, guaranteed, misses_allowed
from training.names import GATE_HALVINGS
from training.predictions.table import Names, Predictions
from training.statistics.risk import ratio

_ALREADY: Final = LogitMap(IDENTITY, 0.5, 0.5)
"""The map of a finding with few labels: the given probability."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Figures of the thresholds on the half that was held back, ``(splits, findings)`` each; NaN if nothing counts.

    Parameters
    ----------
    missed
        Share of the positives called absent.
    absent, present
        Share of the images called so.
    npv, ppv
        Share of ABSENT, and of PRESENT, that is correct.
    prevalence
        Share of positives; calling every image absent is wrong for these.
    """

    missed: Floats
    absent: Floats
    present: Floats
    npv: Floats
    ppv: Floats
    prevalence: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Figures of every split.

    Parameters
    ----------
    lower, upper
        ``(splits, findings)``: which thresholds were supported.
    positives
        ``(splits, findings)``: number of patients of the fit who have the finding.
    drawn
        ``(splits, findings)``: share of positives missed in the other half, one drawn image of each patient.
    expected
        ``(splits, findings)``: probability that ``drawn`` is within the promise, if the guarantee is just kept; NaN if
        no lower threshold was supported.
    once
        Figures in which each patient counts as one image: the mean over the images that could be drawn.
    every
        Figures in which each image counts.
    in_full
        ``(splits,)``: share of all images without a deferral.
    """

    lower: Bools
    upper: Bools
    positives: Floats
    drawn: Floats
    expected: Floats
    once: View
    every: View
    in_full: Floats


def gate_evidence(predictions: Predictions, promise: Promise, splits: int = GATE_HALVINGS) -> Evidence:
    """Fit to one half of the patients and measure on the other, for each split.

    Parameters
    ----------
    predictions
        Logits and labels of one network.
    promise
        The guarantee to fit to.
    splits
        How many; their seeds count from 0.
    """
    found = [_split(*predictions.halves(seed), promise) for seed in range(splits)]
    return Evidence(
        lower=np.stack([split.lower for split in found]),
        upper=np.stack([split.upper for split in found]),
        positives=np.stack([split.positives for split in found]),
        drawn=np.stack([split.drawn for split in found]),
        expected=np.stack([split.expected for split in found]),
        once=_stacked([split.once for split in found]),
        every=_stacked([split.every for split in found]),
        in_full=np.stack([split.in_full for split in found]),
    )


def _stacked(views: Sequence[View]) -> View:
    return View(*(np.stack([getattr(view, field.name) for view in views]) for field in fields(View)))


def _split(first: Predictions, held_back: Predictions, promise: Promise) -> Evidence:
    """Fit to one half and measure on the other: an :class:`Evidence` whose arrays lack the axis of the splits."""
    curves = _calibrated(first)
    probabilities, said = _said(curves, first), _said(curves, held_back)
    drawn = draws(first.images, first.patients, first.labels)
    pairs = guaranteed(probabilities, first.labels, drawn, promise)
    positives = (drawn.showing & (first.labels > 0)).sum(axis=0)
    positive, known = held_back.labels > 0, ~np.isnan(held_back.labels)
    answers = [called(column, pair) for column, pair in zip(said.T, pairs, strict=True)]
    absent, present = (np.stack(columns, axis=1) & known for columns in zip(*answers, strict=True))
    others = draws(held_back.images, held_back.patients, held_back.labels).showing & positive
    lower = np.asarray([pair.lo is not None for pair in pairs], np.bool_)
    ones = np.ones(known.shape)
    return Evidence(
        lower=lower,
        upper=np.asarray([pair.hi is not None for pair in pairs], np.bool_),
        positives=positives.astype(np.float64),
        drawn=ratio((others & absent).sum(axis=0), others.sum(axis=0)),
        expected=np.where(lower, expected_kept(positives, others.sum(axis=0), promise), np.nan),
        once=view(
            absent, present, positive, known, shared(known, held_back.patients), shared(positive, held_back.patients)
        ),
        every=view(absent, present, positive, known, ones, ones),
        in_full=np.asarray((absent | present | ~known).all(axis=1).mean()),
    )


def _calibrated(part: Predictions) -> list[Curve]:
    kept = [None if alone else _ALREADY for alone in enough(part.labels)]
    return [m.curve for m in fit_maps(part.logits, part.labels, part.patients, kept)]


def _said(curves: Sequence[Curve], part: Predictions) -> Floats:
    return sigmoid(np.stack([curve.log_odds(part.logits[:, k]) for k, curve in enumerate(curves)], axis=1))


def shared(counted: Bools, patients: Names) -> Floats:
    """Return weights of images that add up to 1 for each patient.

    Parameters
    ----------
    counted
        ``(images, findings)``: which images count.
    patients
        ``(images,)``.

    Returns
    -------
    ``(images, findings)``; 0 for an image that does not count.
    """
    owner = np.unique(patients, return_inverse=True)[1]
    totals = np.zeros((owner.max() + 1, counted.shape[1]))
    np.add.at(totals, owner, counted)
    return ratio(counted.astype(np.float64), totals[owner])


def view(absent: Bools, present: Bools, positive: Bools, known: Bools, weight: Floats, of_positives: Floats) -> View:
    """Return the figures of answers, with a weight for each image.

    Parameters
    ----------
    absent, present, positive, known
        ``(images, findings)``.
    weight, of_positives
        Weight of each image ``(images, findings)``; the second is for the share of positives that is missed.
    """

    def total(which: Bools, weights: Floats = weight) -> Floats:
        return np.asarray(np.where(which, weights, 0.0).sum(axis=0), np.float64)

    return View(
        missed=ratio(total(absent & positive, of_positives), total(positive, of_positives)),
        absent=ratio(total(absent), total(known)),
        present=ratio(total(present), total(known)),
        npv=ratio(total(absent & ~positive), total(absent)),
        ppv=ratio(total(present & positive), total(present)),
        prevalence=ratio(total(positive), total(known)),
    )


def expected_kept(first: NDArray[np.int64], second: NDArray[np.int64], promise: Promise) -> Floats:
    """Return the probability that the other half misses no more than promised, if the guarantee is just kept.

    Parameters
    ----------
    first, second
        ``(findings,)``: positives of the fit, and of the other half.
    promise
        The guarantee.

    Returns
    -------
    ``(findings,)``; NaN if the fit supports no threshold.
    """
    chances = []
    for fitted, other in zip(first.tolist(), second.tolist(), strict=True):
        allowed = misses_allowed(fitted, promise)
        within = math.floor(promise.max_missed * other)
        chances.append(math.nan if allowed is None else nhypergeom.cdf(within, fitted + other, other, allowed + 1))
    return np.asarray(chances, np.float64)
