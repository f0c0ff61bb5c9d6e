"""Thresholds with a guarantee: each finding misses at most a stated share of its positives, with a stated confidence.

ABSENT is said up to ``lo``. A patient who has the finding is missed by the share of the images showing it that score no
higher, and the promise bounds the mean of these shares over the patients: the chance that one such image, drawn at
random of a random patient, is called absent. PRESENT is said from ``hi``, where at least a stated share of the images
is positive, again for one image of a random patient. Both are exact binomial tests of these shares.

The positives of some groups of patients and views score lower than others. So ``lo`` depends on view, sex and age: it
lies below the mean of their positives by a tolerance limit, see :func:`group_limits`. How far an image scores above its
own limit orders all images, and thresholds on this excess are tested from the safest up. Each test is at the full
level, and the first failure ends them (fixed-sequence testing); the share missed can only grow with the threshold. With
one image a patient and no groups the guarantee is exact. With groups it is nearly so, since the limits come from the
same positives; simulated sites measure it (:mod:`training.gate.simulation`).

For ``hi`` there is one test, of the images whose probability reaches the promised share. A calibration that was fitted
to the same patients keeps the order of the scores, and so ``lo``; the guarantee of ``hi`` then holds nearly.

The confidence is over all fits. If few fits show a threshold, those were lucky, and more of them break the promise. So
a finding is answered only where its AUC surely lies above a limit, and the groups limit it more where that is only just
so.

References
----------
Clopper and Pearson 1934 (exact binomial test). Hoeffding 1956 (sums that vary less than a binomial number).
Angelopoulos et al. 2021 (learn then test). Bauer 1991 (fixed-sequence testing). Odeh and Owen 1980 (normal tolerance
limits, also of a regression).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, expit, logit, nctdtrit, ndtri

from candor.decide.gate import EVEN, Thresholds
from candor.decide.groups import AGE, GROUPS, SEX, VIEW
from training.data.groups import AGES
from training.gate.guarantee import Promise
from training.predictions.table import AGE_GROUP
from training.statistics.metrics import Floats
from training.statistics.patient_auc import Owners, patient_auc, patient_count, patient_shares
from training.statistics.risk import Bools

Names = NDArray[np.str_]
_Names = tuple[str, ...]
"""Names of groups that meet, one for each attribute that is known."""

FEWEST: Final = 3
"""Fewest patients with a finding from whom a group's effect is estimated; with fewer the group is deferred."""

_SURE: Final = 0.90
"""Confidence that the AUC lies above the limit, for a finding to be answered."""

_SURER: Final = 0.99
"""The same, for a finding that is not weak."""

_CAUTIOUS: Final = 0.99
"""Confidence in each group for a weak finding: its patients are those with whom it looked better than it is."""

_LIKELY: Final = 0.5
"""Confidence of PRESENT in each group."""

_BELOW_EVEN: Final = -1e-8
"""Log-odds just below even: what is more likely than not is never called absent."""

_RIDGE: Final = 1e-9
"""Keeps the regression solvable where two attributes agree in all patients; what cannot be told gets no answer."""

_ROUNDING: Final = 1e-9
"""No threshold and no test depends on smaller differences, which the order of the images makes."""

_UNDER_40: Final = tuple(name for name, (_, end) in AGES.items() if end <= 40)


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """The images of the fit whose label of one finding is known, ``(images,)`` each.

    Parameters
    ----------
    probabilities
        Calibrated.
    labels
        Whether the image shows the finding.
    owner
        Whose image it is, as a number from 0 up.
    groups
        Names of the groups by attribute, see :data:`candor.decide.groups.GROUPS`; other names are not known.
    """

    probabilities: Floats
    labels: Bools
    owner: Owners
    groups: Mapping[str, Names]

    @property
    def patients(self) -> int:
        """The number of patients."""
        return patient_count(self.owner)

    def take(self, mask: Bools) -> Cases:
        """Keep the images where ``(images,)`` is true, and no groups."""
        return Cases(self.probabilities[mask], self.labels[mask], self.owner[mask], {})


def cases_of(
    probabilities: Floats, labels: Floats, patients: NDArray[np.generic], groups: Mapping[str, Names]
) -> Iterator[Cases]:
    """Yield the cases of each finding.

    Parameters
    ----------
    probabilities, labels
        ``(images, findings)``; a label that is not known is NaN.
    patients
        ``(images,)``.
    groups
        By attribute, ``(images,)`` each.
    """
    owner = np.unique(patients, return_inverse=True)[1]
    for said, shown in zip(probabilities.T, labels.T, strict=True):
        known = ~np.isnan(shown)
        of_known = {attribute: names[known] for attribute, names in groups.items()}
        yield Cases(said[known], shown[known] > 0, owner[known], of_known)


def gate_groups(groups: Mapping[str, Names]) -> dict[str, Names]:
    """Return the groups of images in the names of the gate.

    Parameters
    ----------
    groups
        ``view``, ``sex`` and ``age group``, ``(images,)`` each, as :class:`training.predictions.table.Predictions` has
        them; one that is missing is left out.
    """
    found = {attribute: groups[attribute] for attribute in (VIEW, SEX) if attribute in groups}
    if AGE_GROUP in groups:
        children = np.isin(groups[AGE_GROUP], _UNDER_40)
        found[AGE] = np.where(children, GROUPS[AGE][0], groups[AGE_GROUP])
    return found


def guaranteed(
    probabilities: Floats,
    labels: Floats,
    patients: NDArray[np.generic],
    groups: Mapping[str, Names],
    promise: Promise,
) -> list[Thresholds]:
    """Fit every finding's thresholds.

    Parameters
    ----------
    probabilities, labels, patients, groups
        As for :func:`cases_of`.
    promise
        The guarantee.
    """
    return [fit_thresholds(cases, promise) for cases in cases_of(probabilities, labels, patients, groups)]


def fit_thresholds(cases: Cases, promise: Promise) -> Thresholds:
    """Fit one finding's thresholds, and those of its groups.

    Parameters
    ----------
    cases
        The images of the fit.
    promise
        The guarantee.
    """
    if not surely_ranks(cases, promise):
        return Thresholds(None, None)
    if not surely_ranks(cases, promise, _SURER):
        promise = replace(promise, group_confidence=max(_CAUTIOUS, promise.group_confidence))
    attributes = [name for name in GROUPS if np.isin(cases.groups.get(name, []), GROUPS[name]).any()]
    limits, hi = group_limits(cases, attributes, promise), upper_threshold(cases, promise)
    precise = {
        name
        for attribute in attributes
        for name in GROUPS[attribute]
        if hi is not None and _present(cases.take(cases.groups[attribute] == name), hi, promise, _LIKELY)
    }
    levels = [GROUPS[attribute] for attribute in attributes]
    highs = {names: hi for names in product(*levels) if precise.issuperset(names)}
    before = _tree(attributes, _moved(limits, 0.0), highs)
    shift = lower_threshold(replace(cases, probabilities=expit(_excess(cases, before))), promise)
    return _tree(attributes, {} if shift is None else _moved(limits, float(logit(shift))), highs)


def _moved(limits: Mapping[_Names, float], shift: float) -> dict[_Names, float]:
    """Return moved limits as probabilities, an image at the limit included."""
    return {names: float(expit(round(limit + shift, 9) + _ROUNDING)) for names, limit in limits.items()}


def _tree(
    attributes: Sequence[str], lows: Mapping[_Names, float], highs: Mapping[_Names, float | None], names: _Names = ()
) -> Thresholds:
    """Return thresholds by attribute, one within the other; what no part has is None."""
    if len(names) == len(attributes):
        return Thresholds(lows.get(names), highs.get(names))
    attribute = attributes[len(names)]
    parts = {name: _tree(attributes, lows, highs, (*names, name)) for name in GROUPS[attribute]}
    los = [part.lo for part in parts.values() if part.lo is not None]
    his = [part.hi for part in parts.values() if part.hi is not None]
    return Thresholds(max(los, default=None), min(his, default=None), {attribute: parts})


def _excess(cases: Cases, pair: Thresholds) -> Floats:
    """Return by how much the log-odds of each image lie above ``lo`` in its groups, ``(images,)``."""
    excess = np.full(len(cases.labels), np.inf)
    for here, own in _by_groups(pair, cases.groups, len(excess)):
        if own.lo is not None:
            excess[here] = _log_odds(cases.probabilities[here]) - logit(own.lo)
    return excess


def _log_odds(probabilities: Floats) -> Floats:
    return np.asarray(logit(probabilities.clip(1e-12, 1 - 1e-12)), np.float64)


def surely_ranks(cases: Cases, promise: Promise, confidence: float = _SURE) -> bool:
    """Return whether the AUC surely lies above ``min_auc``; false if there is no AUC.

    Parameters
    ----------
    cases
        The images of the fit.
    promise
        The guarantee.
    confidence
        Of the lower bound, in (0.5, 1).
    """
    return patient_auc(cases.probabilities, cases.labels, cases.owner, 2 * confidence - 1).low > promise.min_auc


def lower_threshold(cases: Cases, promise: Promise) -> float | None:
    """Return the largest probability up to which ABSENT keeps the promise for all patients together.

    Parameters
    ----------
    cases
        The images of the fit.
    promise
        The guarantee.

    Returns
    -------
    A probability of an image, under 0.5; None if there is none.
    """
    shown = cases.take(cases.labels)
    ceiling = first_miss_too_many(shown.probabilities, shown.owner, promise.max_missed, promise.confidence)
    if ceiling is None:
        return None
    below = cases.probabilities[cases.probabilities < min(EVEN, ceiling)]
    return float(below.max()) if len(below) else None


def first_miss_too_many(scores: Floats, owner: Owners, max_missed: float, confidence: float) -> float | None:
    """Return the lowest score of a positive that may not be missed; infinity if all may be, None if none may.

    Parameters
    ----------
    scores, owner
        ``(images,)`` of the positives: the score, and the patient as a number from 0 up.
    max_missed, confidence
        The promise, in (0, 1).
    """
    candidates = np.unique(scores)
    passed, failed = -1, len(candidates)  # the share missed grows with the threshold: bisection finds the first failure
    patients, weights = patient_count(owner), patient_shares(owner)
    if not surely_few(0.0, patients, max_missed, confidence):
        return None
    while failed - passed > 1:
        middle = (passed + failed) // 2
        if surely_few(float(weights[scores <= candidates[middle]].sum()), patients, max_missed, confidence):
            passed = middle
        else:
            failed = middle
    return float(candidates[failed]) if failed < len(candidates) else math.inf


def upper_threshold(cases: Cases, promise: Promise) -> float | None:
    """Return the probability from which PRESENT keeps the promise for all patients together.

    It is the promised share of positives, at least 0.5: what is more likely absent is never called present. The test is
    whether the probabilities from there up are not too high.

    Parameters
    ----------
    cases
        The images of the fit.
    promise
        The guarantee.

    Returns
    -------
    A probability of an image; None if too few images have it, or too many of those are negative.
    """
    hi = max(EVEN, promise.min_precision)
    return hi if _present(cases, hi, promise, promise.confidence) else None


def _present(cases: Cases, hi: float, promise: Promise, confidence: float) -> bool:
    present = cases.probabilities >= hi
    weights = patient_shares(cases.owner)
    wrong = float(weights[present & ~cases.labels].sum())
    return surely_few(wrong, float(weights[present].sum()), 1 - promise.min_precision, confidence)


def surely_few(errors: float, trials: float, most: float, confidence: float) -> bool:
    """Return whether the exact binomial test rejects that more than a share is wrong.

    A patient counts by the share of the images, so both numbers may be fractions. Shares vary less than the ones and
    zeros of single images: in simulations the test is the safer the more images the patients have.

    Parameters
    ----------
    errors, trials
        How many are wrong, and of how many.
    most
        The largest share that may be wrong, in (0, 1).
    confidence
        Of the test, in (0, 1).
    """
    return errors < trials and float(betainc(trials - errors, errors + 1, 1 - most)) <= 1 - confidence + _ROUNDING


def group_limits(cases: Cases, attributes: Sequence[str], promise: Promise) -> dict[_Names, float]:
    """Return the largest log-odds up to which ABSENT may be said, by the names of the groups.

    The log-odds of a finding's positives are nearly normal around a mean that depends on view, sex and age, and spread
    alike (the tenth percentile of each finding lies 0.9 to 1.5 deviations below the mean in the shipped bundle and in a
    published CheXNet). So a tolerance limit of a regression needs far fewer patients than an exact test: where these
    groups meet, more than promised is missed with a chance of ``1 - group_confidence``.

    Parameters
    ----------
    cases
        The images of the fit.
    attributes
        The attributes that are known, in the order of the names; without any, ABSENT is bounded by 0.5 alone.
    promise
        The guarantee.

    Returns
    -------
    Groups with fewer than :data:`FEWEST` patients who have the finding are missing.
    """
    if not attributes:
        return {(): _BELOW_EVEN}
    shown = cases.labels & np.all([np.isin(cases.groups[a], GROUPS[a]) for a in attributes], axis=0)
    count = {n: patient_count(cases.owner[shown & (cases.groups[a] == n)]) for a in attributes for n in GROUPS[a]}
    kept = {a: [name for name in GROUPS[a] if count[name] >= FEWEST] for a in attributes}
    shown &= np.all([np.isin(cases.groups[a], kept[a]) for a in attributes], axis=0)
    terms = [(a, name) for a in attributes for name in kept[a][1:]]
    weights, freedom = patient_shares(cases.owner[shown]), patient_count(cases.owner[shown]) - len(terms) - 1
    if freedom < 1:
        return {}
    rows = np.stack([np.ones(len(weights)), *(cases.groups[a][shown] == name for a, name in terms)], axis=1)
    log_odds = _log_odds(cases.probabilities[shown])
    inverse = np.linalg.inv(rows.T @ (weights[:, np.newaxis] * rows) + _RIDGE * np.eye(rows.shape[1]))
    effects = inverse @ (rows.T @ (weights * log_odds))
    deviation = math.sqrt(float(weights @ (log_odds - rows @ effects) ** 2) / freedom)
    meetings = list(product(*kept.values()))
    places = np.asarray([[1.0, *(names[attributes.index(a)] == name for a, name in terms)] for names in meetings])
    root = 1 / np.sqrt(np.einsum("ij,jk,ik->i", places, inverse, places))  # of as many patients as tell of the mean
    below = nctdtrit(freedom, -ndtri(promise.max_missed) * root, promise.group_confidence) / root
    limits = np.minimum(places @ effects - below * deviation, _BELOW_EVEN)
    return dict(zip(meetings, limits.tolist(), strict=True))


def called(probabilities: Floats, pair: Thresholds, groups: Mapping[str, Names] | None = None) -> tuple[Bools, Bools]:
    """Return which probabilities are called absent, and which present.

    Parameters
    ----------
    probabilities
        ``(images,)``, or of any shape without groups.
    pair
        The thresholds.
    groups
        The groups of the images by attribute, ``(images,)`` each; without them only the finding's own thresholds count.

    Returns
    -------
    Two arrays of the same shape.
    """
    absent = np.asarray(probabilities <= (-1.0 if pair.lo is None else pair.lo), np.bool_)
    present = np.asarray(probabilities >= (2.0 if pair.hi is None else pair.hi), np.bool_)
    if groups is not None and pair.groups:
        for here, own in _by_groups(pair, groups, len(probabilities)):
            both = called(probabilities[here], own)
            absent[here] &= both[0]
            present[here] &= both[1]
    return absent, present


def _by_groups(pair: Thresholds, groups: Mapping[str, Names], images: int) -> Iterator[tuple[Bools, Thresholds]]:
    """Yield which images, ``(images,)``, have the same groups, and the thresholds that hold for them."""
    rows = np.stack([groups.get(attribute, np.full(images, "")) for attribute in GROUPS], axis=1)
    kinds, kind = np.unique(rows, axis=0, return_inverse=True)
    for number, names in enumerate(kinds.tolist()):
        yield kind.ravel() == number, pair.within(dict(zip(GROUPS, names, strict=True)))
