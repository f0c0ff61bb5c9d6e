"""Write the result of a fit of the gate as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
        "deferred in",
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
    return [name, counted, facts["positives"], _absent_up_to(pair), missed, _threshold(pair.hi), right, limited]


def _leaves(pair: Thresholds, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Thresholds]]:
    """Yield the names of groups that meet, and their thresholds."""
    for by_name in pair.groups.values():
        for name, own in by_name.items():
            yield from _leaves(own, (*names, name))
    if not pair.groups:
        yield names, pair


def _limited(pair: Thresholds) -> Iterable[str]:
    """Yield the groups in which the finding is never called absent, or never present."""
    parts = list(_leaves(pair))
    for name in dict.fromkeys(name for names, _ in parts for name in names):
        of_name = [own for names, own in parts if name in names]
        if pair.lo is not None and all(own.lo is None for own in of_name):
            yield f"{name} (never absent)"
        if pair.hi is not None and all(own.hi is None for own in of_name):
            yield f"{name} (never present)"


def _absent_up_to(pair: Thresholds) -> str:
    """Return the lowest and the highest threshold of the groups."""
    found = sorted({_threshold(own.lo) for _, own in _leaves(pair) if own.lo is not None})
    return " to ".join(dict.fromkeys([found[0], found[-1]])) if found else _threshold(None)


def _threshold(threshold: float | None) -> str:
    return "(deferred)" if threshold is None else f"{threshold:.4f}"


def _unsupported(finding: Finding, facts: Any) -> Iterable[str]:
    for side, answer in (("lo_unsupported", "absent"), ("hi_unsupported", "present")):
        if facts[side] is not None:
            yield f"- {spaced(finding.label)}, {answer}: {facts[side]}"
