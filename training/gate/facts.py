"""Count the answers of thresholds on the patients of the fit, and explain why a threshold is missing."""

from __future__ import annotations

import math

import numpy as np

from candor.decide.gate import EVEN, Thresholds
from training.calibration.calibrate import NOBODY_KNOWS
from training.gate.guarantee import Promise, percent
from training.gate.thresholds import Cases, called, lower_threshold, surely_ranks, upper_threshold
from training.statistics.metrics import Interval
from training.statistics.patient_auc import patient_auc, patient_shares


def guarantee_facts(cases: Cases, promise: Promise, pair: Thresholds) -> dict[str, object]:
    """Return the counts of one finding's thresholds on the patients of the fit, each patient counted once.

    Parameters
    ----------
    cases
        The images of the fit.
    promise
        What the thresholds were fitted to.
    pair
        The thresholds.

    Returns
    -------
    A patient with some of the images called so counts in part. Among others ``patients_needed``: how many patients
    would have enough positives, at the share of positives among these; None if there are enough, or none at all.
    """
    auc = patient_auc(cases.probabilities, cases.labels, cases.owner)
    patients, positives = (cases.patients, cases.take(cases.labels).patients)
    few = 0 < positives < promise.positives_needed
    absent, present = called(cases.probabilities, pair, cases.groups)
    shown = cases.take(cases.labels)
    return {
        "patients": patients,
        "positives": positives,
        "auc": auc.json,
        "absent": _patients(cases, absent),
        "missed": _patients(shown, absent[cases.labels]),
        "positives_needed": promise.positives_needed,
        "patients_needed": math.ceil(promise.positives_needed * patients / positives) if few else None,
        "lo_unsupported": None if pair.lo is not None else _why_no_lower(cases, promise, auc),
        "present": _patients(cases, present),
        "present_and_positive": _patients(cases, present & cases.labels),
        "hi_unsupported": None if pair.hi is not None else _why_no_upper(cases, promise, auc),
    }


def _patients(cases: Cases, counted: np.ndarray) -> float:
    """Return for how many patients images count, each patient by the share of the images."""
    return round(float(patient_shares(cases.owner)[counted].sum()), 2)


def _why_no_lower(cases: Cases, promise: Promise, auc: Interval) -> str:
    patients, positives = (cases.patients, cases.take(cases.labels).patients)
    if not patients:
        return NOBODY_KNOWS
    if positives < promise.positives_needed:
        why = f"{positives} positives; at least {promise.positives_needed} are needed, with none missed"
        return why + (_among(patients, positives, promise.positives_needed) if positives else "")
    if not surely_ranks(cases, promise):
        return _weak(auc, promise)
    if lower_threshold(cases, promise) is None:
        return "no image scores below the positives that may be missed"
    return _no_group(promise)


def _why_no_upper(cases: Cases, promise: Promise, auc: Interval) -> str:
    patients = cases.patients
    if not patients:
        return NOBODY_KNOWS
    hi = max(EVEN, promise.min_precision)
    likely = cases.take(cases.probabilities >= hi)
    having = likely.patients
    if having < promise.present_needed:
        why = (
            f"the images of {having} patients reach a probability of {hi:g}; those of at least "
            f"{promise.present_needed} are needed"
        )
        return why + (_among(patients, having, promise.present_needed) if having else "")
    if not surely_ranks(cases, promise):
        return _weak(auc, promise)
    if upper_threshold(cases, promise) is None:
        return f"too few of the {len(likely.labels)} images that reach a probability of {hi:g} are positive"
    return "where it is said most are right, but in no view, or in neither sex, or in no age band likely so"


def _weak(auc: Interval, promise: Promise) -> str:
    stated = "not defined" if math.isnan(auc.value) else str(auc)
    return f"the AUC is {stated}, not surely above {promise.min_auc:g}"


def _no_group(promise: Promise) -> str:
    return f"no view, sex or age band keeps the promise with {percent(promise.group_confidence)} confidence"


def _among(patients: int, found: int, needed: int) -> str:
    """Return how many patients would be enough, if the needed images stay as frequent, in words."""
    return f": some {math.ceil(needed * patients / found):,} patients like these {patients:,}"
