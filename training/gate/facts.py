"""Count the answers of thresholds on the patients of the fit, and explain why a threshold is missing."""

from __future__ import annotations

import math

import numpy as np

from candor.decide.gate import Thresholds
from training.calibration.calibrate import NOBODY_KNOWS
from training.calibration.scaling import Bools, Floats
from training.gate.guarantee import Promise
from training.gate.one_image_per_patient import Draws, column
from training.gate.thresholds import EVEN, called, lower_threshold


def guarantee_facts(
    probabilities: Floats, labels: Floats, drawn: Draws, promise: Promise, pair: Thresholds, k: int
) -> dict[str, object]:
    """Return the counts of one finding's thresholds; see :func:`lower_facts` and :func:`upper_facts`.

    Parameters
    ----------
    probabilities, labels
        ``(images, findings)``.
    drawn
        Which images count.
    promise
        What the thresholds were fitted to.
    pair
        The thresholds.
    k
        Column of the finding.
    """
    return lower_facts(*column(probabilities, labels, drawn.showing, k), pair.lo, promise) | upper_facts(
        *column(probabilities, labels, drawn.whatever, k), pair.hi, promise
    )


def lower_facts(probabilities: Floats, labels: Bools, lo: float | None, promise: Promise) -> dict[str, object]:
    """Return the counts of the lower threshold, or why there is none.

    Parameters
    ----------
    probabilities, labels
        ``(images,)``, one image of each patient.
    lo
        The threshold, or None.
    promise
        What it was fitted to.

    Returns
    -------
    Among others ``patients_needed``: how many patients would have enough positives, at the share of positives among
    these; None if there are enough, or none at all.
    """
    positives = int(labels.sum())
    few = 0 < positives < promise.positives_needed
    absent = called(probabilities, Thresholds(lo, None))[0]
    return {
        "images": len(labels),
        "positives": positives,
        "absent": int(absent.sum()),
        "missed": int((absent & labels).sum()),
        "positives_needed": promise.positives_needed,
        "patients_needed": math.ceil(promise.positives_needed * len(labels) / positives) if few else None,
        "lo_unsupported": None if lo is not None else _why_no_lower(probabilities, labels, promise),
    }


def upper_facts(probabilities: Floats, labels: Bools, hi: float | None, promise: Promise) -> dict[str, object]:
    """Return the counts of the upper threshold, or why there is none.

    Parameters
    ----------
    probabilities, labels
        ``(images,)``, one image of each patient.
    hi
        The threshold, or None.
    promise
        What it was fitted to.
    """
    present = called(probabilities, Thresholds(None, hi))[1]
    return {
        "present": int(present.sum()),
        "present_and_positive": int((present & labels).sum()),
        "hi_unsupported": None if hi is not None else _why_no_upper(probabilities, promise),
    }


def _why_no_lower(probabilities: Floats, labels: Bools, promise: Promise) -> str:
    if not len(labels):
        return NOBODY_KNOWS
    positives = int(labels.sum())
    if positives < promise.positives_needed:
        why = f"{positives} positives; at least {promise.positives_needed} are needed, with none missed"
        return why + (_among(len(labels), positives, promise.positives_needed) if positives else "")
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
        why = f"{likely} images reach a probability of {EVEN}; at least {promise.present_needed} are needed"
        return why + (_among(len(probabilities), likely, promise.present_needed) if likely else "")
    return f"too few of the {likely} images that reach a probability of {EVEN} are positive"


def _among(patients: int, found: int, needed: int) -> str:
    """Return how many patients would be enough, if the needed images stay as frequent, in words."""
    return f": some {math.ceil(needed * patients / found):,} patients like these {patients:,}"
