"""Fit a bundle's gate: thresholds with a promise that holds for patients like those it was fitted to.

ABSENT up to ``lo``: of the finding's positives at most a stated share falls there. The number of n positives
that fall at or below a threshold with true share r is binomial(n, r), so an exact test can reject "r is more
than allowed"; thresholds are tested from the lowest up, until one fails. PRESENT from ``hi`` up: of the images
there at least a stated share are positive, tested likewise from the highest score down to 0.5, below which
PRESENT would be less likely than not. Tests in a fixed order, each at the full level, up to the first failure
keep the confidence for the threshold that is chosen. Images must be independent: one a patient.

References
----------
Clopper and Pearson 1934 (exact binomial test). Angelopoulos et al. 2021 (learn then test, fixed sequence).
Fisher 1935 (exact test).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import compress
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, hypergeom

from cxr.bundle import Model, load_calibration
from cxr.defer import Gate, Thresholds
from cxr.errors import SettingsError
from training.calibrate import NOBODY_KNOWS, calibration_part
from training.datasets import Dataset
from training.fitted import write_gate
from training.predict import predict_logits
from training.records import Occasion
from training.scaling import Bools, Floats

EVEN: Final = 0.5
"""ABSENT is said below it and PRESENT from it up: neither contradicts its own probability."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What the thresholds shall keep, each for every finding by itself.

    Parameters
    ----------
    max_missed
        Largest share of a finding's positives that may be called absent, in (0, 1).
    min_precision
        Least share of positives among the images called present, in (0, 1).
    confidence
        Probability, over the draw of the patients, that a fitted threshold keeps its promise, in (0, 1).

    Raises
    ------
    SettingsError
        A value is not in (0, 1).
    """

    max_missed: float = 0.10
    min_precision: float = 0.50
    confidence: float = 0.90

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 < value < 1:
                raise SettingsError(f"{name} is {value}; it must lie between 0 and 1")

    @property
    def positives_needed(self) -> int:
        """Fewest positives that can support ``lo``: with none of them missed."""
        return math.ceil(math.log(1 - self.confidence) / math.log(1 - self.max_missed))

    @property
    def present_needed(self) -> int:
        """Fewest images called present that can support ``hi``: with all of them positive."""
        return math.ceil(math.log(1 - self.confidence) / math.log(self.min_precision))

    @property
    def text(self) -> str:
        """The promise in plain words."""
        return (
            f"at most {self.max_missed:.0%} of a finding's positives are called absent, and at least "
            f"{self.min_precision:.0%} of those called present are positive, each with {self.confidence:.0%} confidence"
        )


def lower_threshold(probabilities: Floats, labels: Bools, promise: Promise) -> float | None:
    """Find the largest probability up to which ABSENT keeps the promise; None where none does.

    Parameters
    ----------
    probabilities, labels
        ``(images,)``, one image a patient.

    Returns
    -------
    One of ``probabilities``, under 0.5.
    """
    positives = np.sort(probabilities[labels])
    allowed = _misses_allowed(len(positives), promise)
    if allowed is None:
        return None
    ceiling = min(EVEN, positives[allowed])  # the first miss too many; every smaller threshold passes
    below = probabilities[probabilities < ceiling]
    return float(below.max()) if len(below) else None


def _misses_allowed(positives: int, promise: Promise) -> int | None:
    """Count the misses up to which the exact test rejects a share above ``max_missed``; None: not even none."""
    passed = np.flatnonzero(binom.cdf(np.arange(positives), positives, promise.max_missed) <= 1 - promise.confidence)
    return int(passed[-1]) if len(passed) else None


def upper_threshold(probabilities: Floats, labels: Bools, promise: Promise) -> float | None:
    """Find the smallest probability from which PRESENT keeps the promise; None where none does.

    Parameters
    ----------
    probabilities, labels
        ``(images,)``, one image a patient.

    Returns
    -------
    One of ``probabilities``, at least 0.5.
    """
    scores = np.unique(probabilities[probabilities >= EVEN])[::-1]
    above = np.asarray([np.count_nonzero(probabilities >= score) for score in scores], np.int64)
    hits = np.asarray([np.count_nonzero(labels & (probabilities >= score)) for score in scores], np.int64)
    tested = above >= promise.present_needed  # fewer could not pass, whatever their labels
    passed = binom.sf(hits[tested] - 1, above[tested], promise.min_precision) <= 1 - promise.confidence
    run = int(np.argmin(np.append(passed, False)))  # how many pass before the first that fails
    return float(scores[tested][run - 1]) if run else None


def fit_gate(model: Model, dataset: Dataset, promise: Promise, occasion: Occasion) -> Gate:
    """Fit ``gate.json`` to one image of each CALIBRATION patient, for each finding among those with a known label.

    Raises
    ------
    BundleError
        The calibration belongs to other weights.
    DataError
        The data set has no CALIBRATION patient, or knows no label of them.
    """
    part = calibration_part(model, dataset)
    part = replace(part, images=tuple(sorted(part.images, key=lambda image: image.name)))
    chosen = first_known(part.labels(), part.patients())
    needed = np.asarray(chosen.any(axis=1), np.bool_)
    part = replace(part, images=tuple(compress(part.images, needed.tolist())))
    probabilities = load_calibration(model).probabilities(predict_logits(model, part))
    fits = {
        finding: _fit(probabilities[chosen[needed, k], k], part.labels()[chosen[needed, k], k] > 0, promise)
        for k, finding in enumerate(model.findings)
    }
    patients = len(set(part.patients()))
    like = f"for patients like the {patients} of {part.source} of its fit ({occasion.day})"
    gate = Gate({finding: pair for finding, (pair, _) in fits.items()}, f"{promise.text}, {like}")
    facts = asdict(promise) | occasion.facts | {"data": part.source, "patients": patients}
    write_gate(model, gate, facts, {finding: counts for finding, (_, counts) in fits.items()})
    return gate


def first_known(labels: NDArray[np.float32], patients: NDArray[np.str_]) -> Bools:
    """Mark each patient's first picture whose label is known, for each finding: independent draws for an exact test.

    Parameters
    ----------
    labels
        ``(images, findings)``, NaN where not known.
    patients
        ``(images,)``.

    Returns
    -------
    ``(images, findings)``.
    """
    chosen = np.zeros(labels.shape, np.bool_)
    for k in range(labels.shape[1]):
        known = np.flatnonzero(~np.isnan(labels[:, k]))
        chosen[known[np.unique(patients[known], return_index=True)[1]], k] = True
    return chosen


def _fit(probabilities: Floats, labels: Bools, promise: Promise) -> tuple[Thresholds, Mapping[str, object]]:
    pair = fit_thresholds(probabilities, labels, promise)
    return pair, gate_facts(probabilities, labels, pair, promise)


def fit_thresholds(probabilities: Floats, labels: Bools, promise: Promise) -> Thresholds:
    """Fit one finding's thresholds; see :func:`lower_threshold` and :func:`upper_threshold`.

    A lower threshold that keeps the promise by answering seldom, and not by telling anything, is dropped.
    """
    lo = lower_threshold(probabilities, labels, promise)
    if lo is not None and not rarer_than_chance(probabilities <= lo, labels, promise):
        lo = None
    return Thresholds(lo, upper_threshold(probabilities, labels, promise))


def rarer_than_chance(absent: Bools, labels: Bools, promise: Promise) -> bool:
    """Tell whether positives are rarer among the images called absent than among as many drawn at random.

    Fisher's exact test, one-sided, at the level of the promise: a network that cannot tell a finding would otherwise
    call a few images absent, break no promise, and say nothing.
    """
    missed = np.count_nonzero(absent & labels)
    by_chance = hypergeom.cdf(missed, len(labels), np.count_nonzero(labels), np.count_nonzero(absent))
    return bool(by_chance <= 1 - promise.confidence)


def gate_facts(probabilities: Floats, labels: Bools, pair: Thresholds, promise: Promise) -> Mapping[str, object]:
    """Count what the thresholds do to the images that they were fitted to, and say what is missing for one."""
    absent = probabilities <= (-1.0 if pair.lo is None else pair.lo)
    present = probabilities >= (2.0 if pair.hi is None else pair.hi)
    return {
        "images": len(labels),
        "positives": int(labels.sum()),
        "absent": int(absent.sum()),
        "missed": int((absent & labels).sum()),
        "present": int(present.sum()),
        "present_and_positive": int((present & labels).sum()),
        "lo_unsupported": None if pair.lo is not None else _why_no_lower(probabilities, labels, promise),
        "hi_unsupported": None if pair.hi is not None else _why_no_upper(probabilities, promise),
    }


def _why_no_lower(probabilities: Floats, labels: Bools, promise: Promise) -> str:
    if not len(labels):
        return NOBODY_KNOWS
    positives = int(labels.sum())
    if positives < promise.positives_needed:
        return f"{positives} positives; at least {promise.positives_needed} are needed, with none missed"
    lo = lower_threshold(probabilities, labels, promise)
    if lo is None:
        return "no image scores below the positives that may be missed"
    absent = probabilities <= lo
    missed, called = np.count_nonzero(absent & labels), np.count_nonzero(absent)
    return f"{missed} of the {called} images that could be called absent are positive, no fewer than by chance"


def _why_no_upper(probabilities: Floats, promise: Promise) -> str:
    if not len(probabilities):
        return NOBODY_KNOWS
    likely = int(np.count_nonzero(probabilities >= EVEN))
    if likely < promise.present_needed:
        return f"{likely} images reach a probability of {EVEN}; at least {promise.present_needed} are needed"
    return f"too few of the {likely} images that reach a probability of {EVEN} are positive"
