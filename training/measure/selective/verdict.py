"""Decide whether a learned gate is activated: only if it is shown to be better than calibrated confidence.

There are two conditions, on patients to whom neither was fitted. Its AUGRC over all answers must be smaller, with the
upper end of the paired 95% interval under 0. And at no coverage may it keep more missed positives than confidence does:
a gate that gained its area by deferring false alarms would miss more of the ill.

References
----------
Traub et al. 2024 (AUGRC). Jaeger et al. 2023 (confidence is a baseline that is hard to beat).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.measure.evaluation.sample import RESAMPLES, Record
from training.statistics.metrics import Floats, Interval, interval, patient_weights
from training.statistics.risk import COVERAGES, Bools, areas, by_finding, kept, pooled
from training.statistics.signals import p_wrong

EVEN: Final = 0.5
_NEARLY: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the learned gate is active, the reason in one line, and the figures behind it for JSON."""

    active: bool
    text: str
    figures: Record


def verdict(
    labels: Floats, probabilities: Floats, p_wrong_learned: Floats, patients: NDArray[np.str_], seed: int
) -> Verdict:
    """Judge a learned gate against calibrated confidence, min(p, 1 - p).

    Parameters
    ----------
    labels
        ``(images, findings)``: 1 present, 0 absent, NaN not known.
    probabilities
        ``(images, findings)``, calibrated; the answer is "present" from 0.5 up.
    p_wrong_learned
        ``(images, findings)``: the learned P(wrong); only its order counts.
    patients
        ``(images,)``: the patient of each image, for the bootstrap.
    seed
        Seed of the bootstrap.

    Raises
    ------
    ValueError
        The shapes differ, or a P(wrong) is NaN.
    """
    weights = patient_weights(patients, RESAMPLES, seed)
    called = probabilities >= EVEN
    signals = {"learned": p_wrong_learned, "confidence": p_wrong(probabilities)}
    orders = {name: pooled(labels, called, signal) for name, signal in signals.items()}
    once = {name: float(areas(order).augrc[0, 0]) for name, order in orders.items()}
    drawn = {name: areas(order, weights).augrc[:, 0] for name, order in orders.items()}
    difference = interval(once["learned"] - once["confidence"], drawn["learned"] - drawn["confidence"])
    coverages = np.asarray(COVERAGES[:-1])
    missed = {name: kept(order, coverages).missed[0, 0] for name, order in orders.items()}
    more = coverages[missed["learned"] > missed["confidence"] + _NEARLY]
    figures: Record = {
        "augrc": {name: interval(once[name], drawn[name]).json for name in signals},
        "augrc_difference": difference.json,
        "augrc_by_finding": {name: _augrcs(labels, called, signal) for name, signal in signals.items()},
        "missed_at_coverage": {
            name: dict(zip(_names(coverages), m.tolist(), strict=True)) for name, m in missed.items()
        },
        "patients": len(np.unique(patients)),
        "images": len(labels),
    }
    better = bool(difference.high < 0)
    return Verdict(better and not len(more), _text(better, difference, more), figures)


def _names(coverages: Floats) -> list[str]:
    return [f"{coverage:.0%}" for coverage in coverages]


def _augrcs(labels: Floats, called: Bools, signal: Floats) -> list[float | None]:
    found = areas(by_finding(labels, called, signal)).augrc[0]
    return [None if np.isnan(value) else float(value) for value in found]


def _text(better: bool, difference: Interval, more: Floats) -> str:
    value, low, high = (f"{end:+.5f}" for end in (difference.value, difference.low, difference.high))
    measured = f"AUGRC less that of calibrated confidence is {value} [{low}, {high}]"
    if better and not len(more):
        return f"the learned gate is active: its {measured}, and it misses no more positives at equal coverage"
    reasons = [] if better else [f"the learned gate's {measured}, which does not lie under 0"]
    if len(more):
        reasons.append(f"the learned gate misses more positives at a coverage of {', '.join(_names(more))}")
    return f"the gate keeps calibrated confidence: {'; '.join(reasons)}"
