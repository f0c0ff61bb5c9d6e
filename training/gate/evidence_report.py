"""Write the evidence about the guarantee as a Markdown page, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Final

import numpy as np

from candor import RESEARCH_USE
from training.calibration.scaling import Bools, Floats
from training.gate.evidence import Evidence, View
from training.gate.guarantee import Promise, percent
from training.markdown import spaced, table
from training.predictions.table import Predictions
from training.records import Occasion

GOAL_ABSENT: Final = 0.30
"""Goal: at least this share of all (image, finding) pairs is called absent."""

GOAL_KEPT: Final = 0.90
"""Goal: in at least this share of all (split, finding) pairs no more is missed than promised."""


def share_kept(missed: Floats, promise: Promise, among: Bools) -> float | None:
    """Return the share of the pairs in which no more is missed than promised; None without a pair.

    Parameters
    ----------
    missed
        ``(splits, findings)``: share of positives missed; NaN, without a positive, counts as none.
    promise
        The guarantee.
    among
        ``(splits, findings)``: which pairs count.
    """
    return float(np.mean(~(missed[among] > promise.max_missed))) if among.any() else None


def as_json(predictions: Predictions, promise: Promise, found: Evidence, occasion: Occasion) -> dict[str, object]:
    """Return the evidence for a JSON file: the promise, how often it was kept, and the mean figures of every finding.

    Parameters
    ----------
    predictions
        The measured predictions.
    promise
        The guarantee.
    found
        The figures of every split.
    occasion
        Date and command.
    """
    return {
        "notice": RESEARCH_USE,
        "data": predictions.description,
        "splits": len(found.lower),
        **asdict(promise),
        **occasion.facts,
        "kept": _kept(promise, found),
        "absent": {"once": _mean(found.once.absent), "every": _mean(found.every.absent)},
        "in_full": _mean(found.in_full),
        "findings": {finding.label: _finding(found, k) for k, finding in enumerate(predictions.findings)},
    }


def _kept(promise: Promise, found: Evidence) -> dict[str, dict[str, float | None]]:
    """Return by each way of counting the share kept of all pairs, and of those with a threshold."""
    everything = np.ones_like(found.lower)
    truths = {"drawn": found.drawn, "once": found.once.missed, "every": found.every.missed}
    kept = {
        name: {"supported": share_kept(missed, promise, found.lower), "all": share_kept(missed, promise, everything)}
        for name, missed in truths.items()
    }
    precise = np.where(found.upper, ~(found.once.ppv < promise.min_precision), True)
    supported = float(precise[found.upper].mean()) if found.upper.any() else None
    return kept | {
        "expected": {"supported": _mean(found.expected), "all": None},
        "precision": {"supported": supported, "all": float(precise.mean())},
    }


def _mean(values: Floats) -> float | None:
    """Return the mean of the known values, or None if there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _finding(found: Evidence, k: int) -> dict[str, object]:
    return {
        "positives_fit": _mean(found.positives[:, k]),
        "lower_supported": float(found.lower[:, k].mean()),
        "upper_supported": float(found.upper[:, k].mean()),
        "once": _figures(found.once, k),
        "every": _figures(found.every, k),
    }


def _figures(view: View, k: int) -> dict[str, float | None]:
    return {field.name: _mean(getattr(view, field.name)[:, k]) for field in fields(View)}


def page(predictions: Predictions, promise: Promise, found: Evidence, occasion: Occasion) -> Iterable[str]:
    """Yield the paragraphs of the page in Markdown.

    Parameters
    ----------
    predictions
        The measured predictions.
    promise
        The guarantee.
    found
        The figures of every split.
    occasion
        Date and command.
    """
    yield "# Evidence: the guarantee"
    yield f"{RESEARCH_USE}."
    yield f"    {occasion.command}"
    yield (
        f"{predictions.description}; {len(found.lower)} random halvings of the patients ({occasion.day}). "
        f"Calibration and thresholds are fitted to one half, so that {promise.text}. The fit uses one image of each "
        "patient, and one that shows the finding if the patient has it. All figures below are counted on the other "
        "half."
    )
    yield "## Was it kept?"
    yield from _was_it_kept(promise, found)
    yield "## What it answers"
    yield _answers_table(found)
    yield (
        "Means over the halvings, of all images; in brackets, each patient counted as one image. A finding that is not "
        "answered counts as none called absent. Answered in full: without a deferral of any finding."
    )
    yield "## Each finding"
    header = ("finding", "positives", "supported", "ABSENT", "missed", "NPV", "always absent", "PRESENT", "PPV")
    yield table(header, [_row(spaced(finding.label), found, k) for k, finding in enumerate(predictions.findings)])
    yield (
        "Positives: patients of the fit who have the finding, on average. Supported: share of the halvings in which "
        "they support a lower, and an upper, threshold; where they do not, the finding is deferred. ABSENT and "
        "PRESENT: share of the images. Missed: share of the positives called ABSENT, of all images and, in brackets, "
        "one image a patient. NPV, PPV: share of ABSENT, of PRESENT, that is right, where any is called so. Always "
        f"absent: 1 - prevalence, the NPV of calling every image absent. {promise.positives_needed} positives are the "
        "fewest that can support ABSENT."
    )


def _was_it_kept(promise: Promise, found: Evidence) -> Iterable[str]:
    kept = _kept(promise, found)
    missed = f"missed at most {percent(promise.max_missed)}"
    names = {
        "drawn": f"{missed}: one image a patient, drawn as for the fit",
        "expected": "the same, expected of a guarantee that is kept with exactly its confidence",
        "once": f"{missed}: one image a patient, the mean over those that could be drawn",
        "every": f"{missed}: all images",
        "precision": f"PRESENT right in at least {percent(promise.min_precision)}: one image a patient",
    }
    yield table(
        ("kept in the other half", "of the pairs with a threshold", "of all (split, finding) pairs"),
        [(text, _cell(kept[name]["supported"]), _cell(kept[name]["all"])) for name, text in names.items()],
    )
    verdicts = [
        f"{text} {_met(kept[name]['all'], GOAL_KEPT)}"
        for name, text in (("once", "one image a patient"), ("every", "all images"))
    ]
    yield f"Goal ({percent(GOAL_KEPT)} of all pairs): {', '.join(verdicts)}."
    yield (
        "A finding without a threshold is deferred. That keeps the promise but answers nothing, so the pairs with a "
        "threshold have a column of their own. If a threshold is seldom supported, as for PRESENT, those that are "
        "supported were partly lucky: the confidence is over all fits, the right column. The other half is a random "
        "draw of patients too, and the share missed in it varies around the true share. So a guarantee that is kept "
        f"with exactly {percent(promise.confidence)} confidence is seen kept less often than that, by exchangeability "
        "alone, whatever the network. The second line is that number (negative hypergeometric), and the first line "
        "should be near it. Simulations in which the true share is known test the confidence itself: "
        "tests/training/gate/test_thresholds.py and test_fit.py."
    )


def _met(share: float | None, goal: float) -> str:
    return "met" if share is not None and share >= goal else "NOT met"


def _answers_table(found: Evidence) -> str:
    every, once = found.every, found.once
    goal = f"goal {percent(GOAL_ABSENT)}: {_met(_mean(every.absent), GOAL_ABSENT)}"
    rows: Sequence[tuple[str, str, str]] = (
        ("called ABSENT", f"{_both(every.absent, once.absent)} ({goal})", "100%"),
        ("called PRESENT", _both(every.present, once.present), "0%"),
        ("positives missed", _both(every.missed, once.missed), "100%"),
        ("right of ABSENT (NPV)", _both(every.npv, once.npv), _both(1 - every.prevalence, 1 - once.prevalence)),
        ("right of PRESENT (PPV)", _both(every.ppv, once.ppv), "-"),
        ("answered in full", _percents(found.in_full), "100%"),
    )
    return table(("of the (image, finding) pairs", "with the guarantee", "always absent"), rows)


def _row(name: str, found: Evidence, k: int) -> tuple[str, ...]:
    every, once = found.every, found.once
    return (
        name,
        f"{found.positives[:, k].mean():.0f}",
        f"{found.lower[:, k].mean():.0%}, {found.upper[:, k].mean():.0%}",
        _percents(every.absent[:, k]),
        _both(every.missed[:, k], once.missed[:, k]),
        _percents(every.npv[:, k]),
        _percents(1 - every.prevalence[:, k]),
        _percents(every.present[:, k]),
        _percents(every.ppv[:, k]),
    )


def _both(every: Floats, once: Floats) -> str:
    return f"{_percents(every)} [{_percents(once)}]"


def _percents(values: Floats) -> str:
    return _cell(_mean(values))


def _cell(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
