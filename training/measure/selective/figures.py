"""The figures of an audit: how many errors remain when answers are deferred by each signal, by finding and pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.study.findings import Finding
from training.measure.evaluation.sample import RESAMPLES, SEED, Record
from training.measure.selective.costs import COSTS, cost_curve
from training.measure.selective.groups import group_figures
from training.statistics.metrics import Floats, Interval, aucs, interval, mean_defined, patient_weights
from training.statistics.risk import COVERAGES, Bools, Kept, Ordered, areas, by_finding, kept, pooled, ratio
from training.statistics.signals import p_wrong

EVEN: Final = 0.5
"""The answer is "present" from this calibrated probability up."""

CONFIDENCE: Final = "confidence"
ALWAYS_ABSENT: Final = "always absent"
RANDOM: Final = "random"
GROUP_COVERAGE: Final = 0.8
CURVE: Final = np.linspace(0.02, 1, 50)
"""Coverages at which the curves are drawn."""

_AREAS: Final = ("aurc", "excess_aurc", "augrc")
_KEPT: Final = ("accuracy", "always_absent", "sensitivity", "specificity", "npv", "ppv", "missed")


@dataclass(frozen=True, slots=True, eq=False)
class Audited:
    """Answers of a model, their labels, and the signals of uncertainty to compare.

    Parameters
    ----------
    source
        The data, in words.
    labels
        ``(images, findings)``: 1 present, 0 absent, NaN not known.
    probabilities
        ``(images, findings)``, calibrated on other patients.
    groups
        For each attribute ``(images,)`` names of groups; empty where unknown.
    signals
        Further uncertainties by name, ``(images, findings)``, such as the spread of the heatmap or a learned P(wrong).
    """

    source: str
    findings: tuple[Finding, ...]
    patients: NDArray[np.str_]
    labels: Floats
    probabilities: Floats
    groups: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    signals: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def called(self) -> Bools:
        """Whether the answer is "present"."""
        return self.probabilities >= EVEN

    def weights(self) -> Floats:
        """Draw the patients with replacement, the same at every call."""
        return patient_weights(self.patients, RESAMPLES, SEED)

    def gates(self) -> dict[str, tuple[Bools, Floats]]:
        """Answers and uncertainties of each gate to compare, by name.

        Entropy orders answers as confidence does, and is left out. "Always absent" answers "absent" everywhere, and
        defers where the probability is greatest: a gate that is no better has gained only from the rarity of the
        findings.
        """
        own = {CONFIDENCE: p_wrong(self.probabilities), **self.signals}
        gates = {name: (self.called, signal) for name, signal in own.items()}
        gates[RANDOM] = (self.called, np.zeros_like(self.probabilities))
        gates[ALWAYS_ABSENT] = (np.zeros_like(self.called), self.probabilities)
        return gates


def audit(audited: Audited) -> Record:
    """Measure every gate on the same images, with 95% intervals from the same draws of the patients.

    Returns
    -------
    For JSON. ``gates`` holds each gate's areas (``findings``, ``mean``, ``pooled``) and, pooled, the paired difference
    to those of confidence. ``coverage`` holds what confidence keeps at each of ``COVERAGES``. The other keys are
    ``costs``, ``groups`` and ``curves``.
    """
    weights, known = audited.weights(), ~np.isnan(audited.labels)
    positives = (audited.labels > 0).sum(axis=0)
    return {
        "source": audited.source,
        "images": len(audited.labels),
        "patients": len(np.unique(audited.patients)),
        "findings": {f.label: int(n) for f, n in zip(audited.findings, positives, strict=True)},
        "prevalence": float(positives.sum() / known.sum()),
        "gates": _gate_figures(audited, weights),
        "coverage": _coverage_figures(audited, weights),
        "costs": _cost_figures(audited, weights),
        "groups": group_figures(
            audited.labels,
            audited.called,
            p_wrong(audited.probabilities),
            audited.groups,
            weights,
            GROUP_COVERAGE,
        ),
        "curves": curves(audited),
    }


def _gate_figures(audited: Audited, weights: Floats) -> Record:
    """Measure AURC, E-AURC and AUGRC of every gate."""
    record: Record = {}
    reference: dict[str, tuple[float, Floats]] = {}
    for name, (called, signal) in audited.gates().items():
        single, drawn = (areas(by_finding(audited.labels, called, signal), w) for w in (None, weights))
        order = pooled(audited.labels, called, signal)
        once, resampled = areas(order), areas(order, weights)
        found: Record = {
            kind: {
                "findings": {
                    finding.label: interval(float(getattr(single, kind)[0, k]), getattr(drawn, kind)[:, k]).json
                    for k, finding in enumerate(audited.findings)
                },
                "mean": interval(
                    float(mean_defined(getattr(single, kind))[0]), mean_defined(getattr(drawn, kind))
                ).json,
                "pooled": interval(float(getattr(once, kind)[0, 0]), getattr(resampled, kind)[:, 0]).json,
            }
            for kind in _AREAS
        }
        own = {kind: (float(getattr(once, kind)[0, 0]), getattr(resampled, kind)[:, 0]) for kind in _AREAS}
        reference = reference or own
        found["less_confidence"] = {
            kind: interval(own[kind][0] - reference[kind][0], own[kind][1] - reference[kind][1]).json for kind in _AREAS
        }
        record[name] = found
    return record


def _coverage_figures(audited: Audited, weights: Floats) -> Record:
    """Measure what confidence keeps at each coverage: ``{finding or "pooled": {coverage: figures}}``.

    ``missed`` is the share of all positives that is kept as "absent". ``auc`` is for single findings only. It is over
    the images that the whole sample's border keeps, with all images that tie at the border.
    """
    signal = p_wrong(audited.probabilities)
    orders = {name: make(audited.labels, audited.called, signal) for name, make in _ORDERS.items()}
    record: Record = {"pooled": _at_coverages(orders["pooled"], weights)}
    drawn = {}
    for coverage in COVERAGES:
        labels = np.where(_border(audited.labels, signal, coverage), audited.labels, np.nan)
        drawn[coverage] = (aucs(labels, audited.probabilities), aucs(labels, audited.probabilities, weights))
    for k, finding in enumerate(audited.findings):
        figures = _at_coverages(_column(orders["by_finding"], k), weights)
        for coverage, (once, resampled) in drawn.items():
            figures[_percent(coverage)]["auc"] = interval(float(once[0, k]), resampled[:, k]).json
        record[finding.label] = figures
    return record


_ORDERS: Final = {"pooled": pooled, "by_finding": by_finding}


def _column(order: Ordered, k: int) -> Ordered:
    return Ordered(order.owner[[k]], order.kind[[k]], order.ends[[k]])


def _border(labels: Floats, signal: Floats, coverage: float) -> Bools:
    """Return which answers are at least as sure as the last of the surest ``coverage`` of their finding."""
    sure = np.where(np.isnan(labels), np.nan, signal)
    with np.errstate(all="ignore"):
        border = np.nanquantile(sure, coverage, axis=0, method="inverted_cdf")
    return np.asarray(sure <= border, np.bool_)


def _percent(coverage: float) -> str:
    return f"{coverage:.0%}"


def _at_coverages(order: Ordered, weights: Floats) -> dict[str, Record]:
    coverages = np.asarray(COVERAGES)
    once, drawn = kept(order, coverages), kept(order, coverages, weights)
    return {
        _percent(coverage): {name: _kept(name, once, drawn, place).json for name in _KEPT}
        for place, coverage in enumerate(COVERAGES)
    }


def _kept(name: str, once: Kept, drawn: Kept, place: int) -> Interval:
    values = []
    for part in (once, drawn):
        figure = getattr(part, name)[:, 0, place]
        if name == "missed":
            figure = ratio(figure, (part.true_positive + part.false_negative)[:, 0, -1])
        values.append(figure)
    return interval(float(values[0][0]), values[1])


def _cost_figures(audited: Audited, weights: Floats) -> Record:
    """Measure the mean cost of an answer: by confidence, by answering everything, and by always answering "absent"."""
    costs = np.asarray(COSTS)
    gates = (audited.labels, audited.called, p_wrong(audited.probabilities), costs)
    once, drawn = cost_curve(*gates)[0], cost_curve(*gates, weights)
    known = ~np.isnan(audited.labels)
    absent = float((audited.labels > 0).sum() / known.sum())
    wrong = float(((audited.called != (audited.labels > 0)) & known).sum() / known.sum())
    return {
        "costs": list(COSTS),
        CONFIDENCE: [interval(float(once[k]), drawn[:, k]).json for k in range(len(COSTS))],
        "answering everything": wrong,
        ALWAYS_ABSENT: absent,
    }


def curves(audited: Audited) -> Record:
    """Return the pooled risk-coverage curves for drawing: selective and generalized risk at each coverage."""
    known = int((~np.isnan(audited.labels)).sum())
    record: Record = {"coverage": CURVE.tolist()}
    for name, (called, signal) in audited.gates().items():
        found = kept(pooled(audited.labels, called, signal), CURVE)
        errors = (found.false_positive + found.false_negative)[0, 0]
        record[name] = {"selective": (errors / found.size[0, 0]).tolist(), "generalized": (errors / known).tolist()}
    return record


def finding_rows(findings: Sequence[Finding]) -> list[str]:
    """Return the column names of counts whose last column is all findings together."""
    return [*(finding.label for finding in findings), "pooled"]
