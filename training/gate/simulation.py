"""Simulate sites whose true rates are known: how often a promise is broken, and how often where a threshold is shown.

A site fits its thresholds to some hundred patients, with one to twenty images each that resemble each other. The
log-odds of a finding are normal, with unit deviation among the positives and among the negatives, so that the share of
positives below a threshold is known exactly. The positives of women and of those under 40 score lower than the others':
a threshold that is right for all patients together misses more of them. The same thresholds are then read where the
prevalence is another, or where the disease is subtler, so that the positives score lower; neither of these is promised.

References
----------
Angelopoulos et al. 2021 (the confidence is over the draw of the patients). Benjamini and Yekutieli 2005 (confidence
given that something is shown).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, ndtri

from candor.decide.gate import Thresholds
from candor.decide.groups import AGE, GROUPS, SEX, VIEW
from training.gate.guarantee import Promise
from training.gate.thresholds import Cases, fit_thresholds
from training.statistics.metrics import Floats

AUCS: Final = (0.55, 0.60, 0.70, 0.80, 0.90)
POSITIVES: Final = (30, 60, 100)
"""The numbers of patients with the finding at a site."""

PREVALENCE: Final = 0.25
"""Share of the patients who have the finding."""

LIKENESS: Final = 0.6
"""Correlation of the scores of two images of one patient."""

MORE_IMAGES: Final = 0.45
"""The chance that a patient has a further image, up to :data:`MOST_IMAGES`."""

MOST_IMAGES: Final = 20

SHOWS: Final = 0.7
"""The chance that a further image of a patient with the finding shows it too."""

GROUP_EFFECTS: Final = {(SEX, "F"): -0.4, (AGE, "under 40"): -0.4}
"""By how many deviations the positives of a group score lower than those of the others."""

GROUP_SHARES: Final = {VIEW: (0.4, 0.6), SEX: (0.5, 0.5), AGE: (0.3, 0.4, 0.3)}
"""How frequent the groups are, in the order of :data:`candor.decide.groups.GROUPS`."""


@dataclass(frozen=True, slots=True)
class Population:
    """Where a threshold is read.

    Parameters
    ----------
    name
        In words.
    prevalence
        As a multiple of that of the fit.
    shift
        By how many deviations the positives score higher than in the fit.
    """

    name: str
    prevalence: float = 1.0
    shift: float = 0.0


POPULATIONS: Final = (
    Population("that of the fit"),
    Population("half the prevalence", prevalence=0.5),
    Population("twice the prevalence", prevalence=2.0),
    Population("subtler disease, a quarter of a deviation", shift=-0.25),
    Population("subtler disease, half a deviation", shift=-0.5),
)


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """What simulated sites of one kind show, ``(sites,)`` or ``(sites, groups)`` each.

    Parameters
    ----------
    auc, positives
        Of the finding, and how many patients have it.
    absent, missed
        Whether ABSENT can be said; the true share of positives that it misses, by population ``(sites, populations)``.
    present, precise
        Whether PRESENT can be said; the true share of positives among those, by population.
    group_absent, group_missed
        By group, in the population of the fit.
    ruled_out
        Share of the negatives called absent.
    """

    auc: float
    positives: int
    absent: NDArray[np.bool_]
    missed: Floats
    present: NDArray[np.bool_]
    precise: Floats
    group_absent: NDArray[np.bool_]
    group_missed: Floats
    ruled_out: Floats


NAMES: Final = tuple((attribute, name) for attribute, names in GROUPS.items() for name in names)
"""The groups, in the order of the figures."""

_CELLS: Final = tuple(product(*GROUPS.values()))
_SHARE: Final = np.asarray([math.prod(shares) for shares in product(*(GROUP_SHARES[a] for a in GROUPS))])
_EFFECT: Final = np.asarray(
    [sum(GROUP_EFFECTS.get(pair, 0.0) for pair in zip(GROUPS, cell, strict=True)) for cell in _CELLS]
)
_CENTRED: Final = _EFFECT - float(_SHARE @ _EFFECT)
_MEMBERS: Final = np.asarray([[dict(zip(GROUPS, cell, strict=True))[a] == n for cell in _CELLS] for a, n in NAMES])


def simulate(promise: Promise, sites: int, seed: int = 0) -> Iterator[Sites]:
    """Simulate sites of each AUC and number of positives.

    Parameters
    ----------
    promise
        What the sites fit to.
    sites
        How many of each kind.
    seed
        Of the draws.
    """
    for auc, positives in product(AUCS, POSITIVES):
        rng = np.random.default_rng([seed, round(1000 * auc), positives])
        yield _together(auc, positives, [_site(rng, auc, positives, promise) for _ in range(sites)])


def _together(auc: float, positives: int, found: list[tuple[Floats, ...]]) -> Sites:
    missed, precise, group_missed, ruled_out = (np.stack(column) for column in zip(*found, strict=True))
    return Sites(
        auc=auc,
        positives=positives,
        absent=ruled_out.sum(axis=1) > 0,
        missed=missed,
        present=~np.isnan(precise[:, 0]),
        precise=precise,
        group_absent=ruled_out @ _MEMBERS.T > 0,
        group_missed=group_missed,
        ruled_out=ruled_out @ _SHARE,
    )


def _site(rng: np.random.Generator, auc: float, positives: int, promise: Promise) -> tuple[Floats, ...]:
    """Fit to one site, and return what is true of its thresholds: see :class:`Sites`."""
    distance = math.sqrt(2) * float(ndtri(auc))
    patients = round(positives / PREVALENCE)
    cell = rng.choice(len(_CELLS), patients, p=_SHARE)
    images = np.minimum(rng.geometric(1 - MORE_IMAGES, patients), MOST_IMAGES)
    owner = np.repeat(np.arange(patients), images)
    first = np.append(True, owner[1:] != owner[:-1])
    labels = (owner < positives) & (first | (rng.random(len(owner)) < SHOWS))
    noise = math.sqrt(LIKENESS) * rng.normal(size=patients)[owner]
    noise += math.sqrt(1 - LIKENESS) * rng.normal(size=len(owner))
    scores = noise + np.where(labels, distance + _CENTRED[cell][owner], 0.0)
    groups = {a: np.asarray([c[k] for c in _CELLS])[cell][owner] for k, a in enumerate(GROUPS)}
    pair = fit_thresholds(Cases(_probability(scores, distance), labels, owner, groups), promise)
    return _truth(pair, distance)


def _probability(scores: Floats, distance: float) -> Floats:
    """Return the calibrated probability of scores, at the prevalence of the fit."""
    return np.asarray(expit(distance * scores - distance**2 / 2 + logit(PREVALENCE)), np.float64)


def _truth(pair: Thresholds, distance: float) -> tuple[Floats, ...]:
    held = [pair.within(dict(zip(GROUPS, cell, strict=True))) for cell in _CELLS]
    low = np.asarray([_score(own.lo, distance, -math.inf) for own in held])
    high = np.asarray([_score(own.hi, distance, math.inf) for own in held])
    means = distance + _CENTRED
    missed = np.stack([_SHARE @ ndtr(low - means - where.shift) for where in POPULATIONS])
    precise = np.stack([_precision(high, means, where) for where in POPULATIONS])
    by_cell = _SHARE * ndtr(low - means)
    return missed, precise, _MEMBERS @ by_cell / (_MEMBERS @ _SHARE), ndtr(low)


def _score(threshold: float | None, distance: float, none: float) -> float:
    return none if threshold is None else float((logit(threshold) - logit(PREVALENCE)) / distance + distance / 2)


def _precision(high: Floats, means: Floats, where: Population) -> float:
    """Return the share of positives among those called present; NaN if none can be."""
    prevalence = PREVALENCE * where.prevalence
    right = prevalence * float(_SHARE @ ndtr(means + where.shift - high))
    wrong = (1 - prevalence) * float(_SHARE @ ndtr(-high))
    return right / (right + wrong) if right else math.nan
