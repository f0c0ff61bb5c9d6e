"""Write the result of a fit of the gate as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from candor.decide.gate import Thresholds
from candor.study.findings import Finding
from training.gate.fit import ASSUMPTION, NO_GUARANTEE, FittedGate, Goal
from training.gate.guarantee import Promise
from training.markdown import spaced, table


def gate_report(fitted: FittedGate, goal: Goal) -> Iterable[str]:
    """Yield the paragraphs of a report: what was fitted, what it means, and which thresholds are missing.

    Parameters
    ----------
    fitted
        The gate, with the counts of each finding.
    goal
        What it was fitted to.
    """
    yield fitted.gate.description
    yield ASSUMPTION if isinstance(goal, Promise) else NO_GUARANTEE
    counted = "patients" if isinstance(goal, Promise) else "images"
    header = (
        "finding",
        counted,
        "positives",
        "absent up to",
        "missed",
        "present from",
        "right of present",
        "limited in",
    )
    yield table(header, [_row(finding, pair, fitted) for finding, pair in fitted.gate.thresholds.items()])
    unsupported = [line for finding, facts in fitted.facts.items() for line in _unsupported(finding, facts)]
    if unsupported:
        yield "Deferred, because these patients do not support a threshold:"
        yield "\n".join(unsupported)


def _row(finding: Finding, pair: Thresholds, fitted: FittedGate) -> list[object]:
    facts: Any = fitted.facts[finding]
    missed = f"{facts['missed']:g} of {facts['positives']}" if pair.lo is not None else "-"
    right = f"{facts['present_and_positive']:g} of {facts['present']:g}" if pair.hi is not None else "-"
    name = spaced(finding.label)
    counted = facts["patients"] if "patients" in facts else facts["images"]
    limited = ", ".join(_limited(pair)) or "-"
    return [name, counted, facts["positives"], _threshold(pair.lo), missed, _threshold(pair.hi), right, limited]


def _limited(pair: Thresholds) -> Iterable[str]:
    """Yield the groups in which the finding is answered less often than elsewhere, or not at all."""
    for by_name in pair.groups.values():
        for name, own in by_name.items():
            if pair.lo is not None and own.lo is None:
                yield f"{name} (never absent)"
            elif pair.lo is not None and own.lo is not None and own.lo < pair.lo:
                yield f"{name} (absent up to {own.lo:.4f})"
            if pair.hi is not None and own.hi is None:
                yield f"{name} (never present)"


def _threshold(threshold: float | None) -> str:
    return "(deferred)" if threshold is None else f"{threshold:.4f}"


def _unsupported(finding: Finding, facts: Any) -> Iterable[str]:
    for side, answer in (("lo_unsupported", "absent"), ("hi_unsupported", "present")):
        if facts[side] is not None:
            yield f"- {spaced(finding.label)}, {answer}: {facts[side]}"
