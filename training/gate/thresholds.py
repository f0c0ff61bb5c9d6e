"""Thresholds with a guarantee: each finding misses at most a stated share of its positives, with a stated confidence.

ABSENT is said up to ``lo``. A patient who has the finding is missed by the share of the images showing it that score no
higher, and the promise bounds the mean of these shares over the patients: the chance that one such image, drawn at
random of a random patient, is called absent. PRESENT is said from ``hi``, where at least a stated share of the images
is positive, again for one image of a random patient. Both are tested by :mod:`training.gate.draws`.

Thresholds are tested from the safest on, in the order of the scores, which does not depend on the labels. Each test is
at the full level, and the first failure ends them (fixed-sequence testing). For ``lo`` nothing else is needed: the
share missed can only grow with the threshold. For ``hi`` a higher score must not mean a rarer finding, and the first
test is of as many images as can show something. A calibration that was fitted to the same patients keeps the order of
the scores, and so the guarantee of ``lo``. If isotonic regression makes the highest scores equal, the guarantee of
``hi`` holds only approximately.

The confidence is over all fits. If few fits show a threshold, those were lucky, and more of them break the promise. So
a finding is answered only where its AUC surely lies above a limit, and every group of patients and views limits the
thresholds, see :func:`group_limit`; where the AUC lies only just above the limit, the groups limit them more.

References
----------
Angelopoulos et al. 2021 (learn then test). Bauer 1991 (fixed-sequence testing). Odeh and Owen 1980 (normal tolerance
limits).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, nctdtrit, ndtri

from candor.decide.gate import EVEN, Thresholds
from candor.decide.groups import AGE, GROUPS, SEX, VIEW
from training.data.groups import AGES
from training.gate.draws import few_are_missed, most_are_right
from training.gate.guarantee import Promise
from training.predictions.table import AGE_GROUP
from training.statistics.metrics import Floats
from training.statistics.patient_auc import Owners, patient_auc, patient_count, patient_means, patient_shares
from training.statistics.risk import Bools

Names = NDArray[np.str_]

FEWEST: Final = 3
"""Fewest patients with a finding from whom a group's limit is estimated; with fewer the group is deferred."""

_SURER: Final = 0.995
"""Confidence of the interval of the AUC of a finding that is not weak."""

_CAUTIOUS: Final = 0.99
"""Confidence in each group for a weak finding: its patients are those with whom it looked better than it is."""

_UNDER_40: Final = tuple(name for name, (_, end) in AGES.items() if end <= 40)

_FIRST: Final = 4
"""The first test of ``hi`` is of this many times the fewest images that could pass."""

_STEP: Final = 1.25
"""Each further test of ``hi`` is of this many times the images of the one before."""


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
    lo, hi = lower_threshold(cases, promise), upper_threshold(cases, promise)
    groups = {
        attribute: {
            name: _in_group(cases.take(cases.groups[attribute] == name), lo, hi, promise) for name in GROUPS[attribute]
        }
        for attribute in GROUPS
        if np.isin(cases.groups.get(attribute, []), GROUPS[attribute]).any()
    }
    of_groups = [by_name.values() for by_name in groups.values()]
    some_lo = all(any(pair.lo is not None for pair in pairs) for pairs in of_groups)
    some_hi = all(any(pair.hi is not None for pair in pairs) for pairs in of_groups)
    return Thresholds(lo if some_lo else None, hi if some_hi else None, groups)


def _in_group(cases: Cases, lo: float | None, hi: float | None, promise: Promise) -> Thresholds:
    limit = None if lo is None else group_limit(cases, promise)
    keeps = hi is not None and _present(cases, hi, promise, promise.group_confidence)
    return Thresholds(None if lo is None or limit is None else min(lo, limit), hi if keeps else None)


def surely_ranks(cases: Cases, promise: Promise, confidence: float = 0.95) -> bool:
    """Return whether the interval of the AUC lies above ``min_auc``; false if there is no AUC.

    Parameters
    ----------
    cases
        The images of the fit.
    promise
        The guarantee.
    confidence
        Of the two-sided interval, in (0, 1).
    """
    return patient_auc(cases.probabilities, cases.labels, cases.owner, confidence).low > promise.min_auc


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
    if not few_are_missed(np.zeros(patient_count(owner)), max_missed, confidence):
        return None
    while failed - passed > 1:
        middle = (passed + failed) // 2
        (missed,) = patient_means(owner, scores <= candidates[middle])
        if few_are_missed(missed, max_missed, confidence):
            passed = middle
        else:
            failed = middle
    return float(candidates[failed]) if failed < len(candidates) else math.inf


def upper_threshold(cases: Cases, promise: Promise) -> float | None:
    """Return the smallest probability from which PRESENT keeps the promise for all patients together.

    Parameters
    ----------
    cases
        The images of the fit.
    promise
        The guarantee.

    Returns
    -------
    A probability of an image, at least 0.5; None if there is none.
    """
    order = np.argsort(-cases.probabilities, kind="stable")
    scores, called = cases.probabilities[order], np.cumsum(patient_shares(cases.owner)[order])
    last = np.flatnonzero(np.append(np.diff(scores) < 0, True) & (scores >= EVEN))  # of each group of equal scores
    if not len(last):
        return None
    most = called[last[-1]]
    first = min(_FIRST * promise.present_needed, most)
    steps = first * _STEP ** np.arange(1 + int(math.log(most / first) / math.log(_STEP)))
    tested = np.unique(last[np.searchsorted(called[last], steps - 1e-9).clip(max=len(last) - 1)])
    kept = list(takewhile(lambda at: _present(cases, float(scores[at]), promise, promise.confidence), tested))
    return float(scores[kept[-1]]) if kept else None


def _present(cases: Cases, hi: float, promise: Promise, confidence: float) -> bool:
    present = cases.probabilities >= hi
    called, right = patient_means(cases.owner, present, present & cases.labels)
    return most_are_right(called, right, promise.min_precision, confidence)


def group_limit(cases: Cases, promise: Promise) -> float | None:
    """Return the largest probability up to which ABSENT may be said in a group of patients.

    The log-odds of a finding's positives are nearly normal (the tenth percentile of each lies 1.0 to 1.4 deviations
    below the mean in the shipped bundle and in a published CheXNet). So a normal tolerance limit needs far fewer
    patients than an exact test: the group misses more than promised with a chance of ``1 - group_confidence``.

    Parameters
    ----------
    cases
        The images of the fit in the group.
    promise
        The guarantee.

    Returns
    -------
    None with fewer than :data:`FEWEST` patients who have the finding.
    """
    shown = cases.take(cases.labels)
    patients = shown.patients
    if patients < FEWEST:
        return None
    log_odds, weights = logit(shown.probabilities.clip(1e-12, 1 - 1e-12)), patient_shares(shown.owner)
    mean = float((weights * log_odds).sum()) / patients
    deviation = math.sqrt(float((weights * (log_odds - mean) ** 2).sum()) / (patients - 1))
    return float(expit(mean - _deviations(patients, promise.max_missed, promise.group_confidence) * deviation))


@lru_cache(maxsize=1024)
def _deviations(patients: int, share: float, confidence: float) -> float:
    """Return how many deviations below the mean of a sample a share of the values lies at most, with a confidence."""
    root = math.sqrt(patients)
    return float(nctdtrit(patients - 1, -ndtri(share) * root, confidence)) / root


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
    if groups is None or not pair.groups:
        return absent, present
    attributes = list(pair.groups)
    blank = np.full(len(probabilities), "")
    rows = np.stack([groups.get(attribute, blank) for attribute in attributes], axis=1)
    kinds, kind = np.unique(rows, axis=0, return_inverse=True)
    for number, names in enumerate(kinds.tolist()):
        here = kind.ravel() == number
        both = called(probabilities[here], pair.within(dict(zip(attributes, names, strict=True))))
        absent[here] &= both[0]
        present[here] &= both[1]
    return absent, present
