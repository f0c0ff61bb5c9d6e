"""Measure what thresholds miss in patients who were not part of their fit.

A patient who has a finding counts once: by the share of the images showing it that are called absent, of all images or
of those in a group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.decide.calibration import IDENTITY, LogitMap, sigmoid
from training.calibration.choice import enough, fit_maps
from training.calibration.scaling import Bools, Floats
from training.gate.guarantee import Promise
from training.gate.simulation import NAMES
from training.gate.thresholds import called, gate_groups, guaranteed
from training.names import GATE_HALVINGS
from training.predictions.table import Names, Predictions
from training.statistics.metrics import Interval
from training.statistics.risk import ratio

_ALREADY: Final = LogitMap(IDENTITY, 0.5, 0.5)
"""The map of a finding with few labels: the given probability."""

_RESAMPLES: Final = 1000


@dataclass(frozen=True, slots=True)
class Missed:
    """The share of positives that is called absent.

    Parameters
    ----------
    positives
        Pairs of a finding and a patient who has it.
    share
        With its 95% interval by patient; None without a positive.
    """

    positives: int
    share: Interval | None


def missed_shares(labels: Floats, absent: Bools, patients: Names, groups: Mapping[str, Names]) -> dict[str, Missed]:
    """Return the share of positives that is missed, over all findings, by the name of the group; "" are all patients.

    Parameters
    ----------
    labels, absent
        ``(images, findings)``.
    patients
        ``(images,)``.
    groups
        View, sex and age band, ``(images,)`` each.
    """
    everyone = np.ones(len(labels), np.bool_)
    parts = {"": everyone} | {name: groups[a] == name for a, name in NAMES if a in groups}
    return {name: _missed((labels > 0) & part[:, np.newaxis], absent, patients) for name, part in parts.items()}


def _missed(positive: Bools, absent: Bools, patients: Names) -> Missed:
    owner = np.unique(patients, return_inverse=True)[1]
    shares = _shares_missed(positive, absent, owner)
    has = ~np.isnan(shares)
    missed, having = np.where(has, shares, 0).sum(axis=1), has.sum(axis=1)
    if not having.any():
        return Missed(0, None)
    drawn = np.random.default_rng(0).multinomial(len(missed), np.full(len(missed), 1 / len(missed)), _RESAMPLES)
    low, high = np.nanquantile(ratio(drawn @ missed, (drawn @ having).astype(np.float64)), [0.025, 0.975])
    return Missed(int(having.sum()), Interval(float(missed.sum() / having.sum()), float(low), float(high)))


def _shares_missed(positive: Bools, absent: Bools, owner: NDArray[np.intp]) -> Floats:
    """Return each patient's share of positive images that is called absent, ``(patients, findings)``; NaN without."""
    totals = np.zeros((2, owner.max() + 1, positive.shape[1]))
    np.add.at(totals[0], owner, positive & absent)
    np.add.at(totals[1], owner, positive)
    return ratio(totals[0], totals[1])


@dataclass(frozen=True, slots=True, eq=False)
class Halvings:
    """What thresholds that were fitted to one half of the patients do on the other, for each split.

    Parameters
    ----------
    positives
        ``(splits, findings)``: patients of the fit who have the finding.
    lower, upper
        ``(splits, findings)``: whether a threshold is shown.
    missed
        ``(splits, findings, 1 + groups)``: share of the positives missed, by all patients and in each group of
        :data:`training.gate.simulation.NAMES`; NaN without a positive.
    answered
        ``(splits, findings, 1 + groups)``: share of the images called absent.
    present, right
        ``(splits, findings)``: share of the images called present, and of those that are positive, each patient counted
        once.
    """

    positives: Floats
    lower: Bools
    upper: Bools
    missed: Floats
    answered: Floats
    present: Floats
    right: Floats


def halvings(predictions: Predictions, promise: Promise, splits: int = GATE_HALVINGS) -> Halvings:
    """Fit calibration and thresholds to one half of the patients and measure on the other, for each split.

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
    return Halvings(*(np.stack(column) for column in zip(*found, strict=True)))


def _split(first: Predictions, held_back: Predictions, promise: Promise) -> tuple[Floats, ...]:
    kept = [None if alone else _ALREADY for alone in enough(first.labels)]
    curves = [m.curve for m in fit_maps(first.logits, first.labels, first.patients, kept)]
    fitted, said = (
        sigmoid(np.stack([curve.log_odds(part.logits[:, k]) for k, curve in enumerate(curves)], axis=1))
        for part in (first, held_back)
    )
    pairs = guaranteed(fitted, first.labels, first.patients, gate_groups(first.groups), promise)
    groups = gate_groups(held_back.groups)
    answers = [called(column, pair, groups) for column, pair in zip(said.T, pairs, strict=True)]
    absent, present = (np.stack(columns, axis=1) for columns in zip(*answers, strict=True))
    owner = np.unique(held_back.patients, return_inverse=True)[1]
    positive, known = held_back.labels > 0, ~np.isnan(held_back.labels)
    parts = [np.ones(len(owner), np.bool_)]
    parts += [groups[a] == name if a in groups else np.zeros(len(owner), np.bool_) for a, name in NAMES]
    missed = [_mean(_shares_missed(positive & part[:, np.newaxis], absent, owner)) for part in parts]
    answered = [ratio((absent & known)[part].sum(axis=0), known[part].sum(axis=0)) for part in parts]
    called_present, right = (
        np.where(np.isnan(shares := _shares_missed(known, which, owner)), 0, shares).sum(axis=0)
        for which in (present, present & positive)
    )
    has = _shares_missed(first.labels > 0, first.labels > 0, np.unique(first.patients, return_inverse=True)[1])
    return (
        np.nansum(has, axis=0),
        np.asarray([pair.lo is not None for pair in pairs]),
        np.asarray([pair.hi is not None for pair in pairs]),
        np.stack(missed, axis=-1),
        np.stack(answered, axis=-1),
        ratio((present & known).sum(axis=0), known.sum(axis=0)),
        ratio(right, called_present),
    )


def _mean(shares: Floats) -> Floats:
    """Return the mean over the patients with a positive, ``(findings,)``; NaN without."""
    return ratio(np.nansum(shares, axis=0), (~np.isnan(shares)).sum(axis=0).astype(np.float64))
