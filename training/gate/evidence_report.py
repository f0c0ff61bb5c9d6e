"""Write the evidence about the guarantee as a Markdown page, and as JSON: simulated sites, and real patients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Final

import numpy as np

from candor import RESEARCH_USE
from training.calibration.scaling import Bools, Floats
from training.gate.evidence import Halvings
from training.gate.guarantee import Promise, percent
from training.gate.simulation import GROUP_EFFECTS, LIKENESS, NAMES, POPULATIONS, PREVALENCE, Sites
from training.markdown import spaced, table
from training.predictions.table import Predictions
from training.records import Occasion

GOAL_BROKEN: Final = 0.10
"""Goal: of the sites that show a threshold, at most this share breaks the promise."""

FEWEST_SHOWN: Final = 100
"""A rate of fewer sites that show a threshold is printed, but does not count for the goal."""

_USEFUL: Final = 0.7
"""The other populations are told for findings with at least this AUC."""

Counts = tuple[int, int]
"""At how many sites the promise is broken, of how many that show a threshold."""


def broken(sites: Sites, promise: Promise) -> dict[str, Counts]:
    """Return at how many sites the promise is broken of those that show a threshold.

    Parameters
    ----------
    sites
        Simulated sites of one kind.
    promise
        What they fitted to.

    Returns
    -------
    By ``absent``, ``present`` and the names of the groups.
    """
    rates = {
        "absent": (sites.missed[:, 0] > promise.max_missed, sites.absent),
        "present": (sites.precise[:, 0] < promise.min_precision, sites.present),
    }
    for k, (_, name) in enumerate(NAMES):
        rates[name] = sites.group_missed[:, k] > promise.max_missed, sites.group_absent[:, k]
    return {name: _where(breaks, shown) for name, (breaks, shown) in rates.items()}


def _where(breaks: Bools, shown: Bools) -> Counts:
    return int((breaks & shown).sum()), int(shown.sum())


def simulation_page(kinds: Sequence[Sites], promise: Promise) -> Iterable[str]:
    """Yield the paragraphs about simulated sites in Markdown.

    Parameters
    ----------
    kinds
        The simulated sites of each kind.
    promise
        What they fitted to.
    """
    sites = len(kinds[0].absent)
    effects = ", ".join(f"{name} {effect:+g}" for (_, name), effect in GROUP_EFFECTS.items())
    names = [name for _, name in NAMES]
    rows = []
    for kind in kinds:
        rates = broken(kind, promise)
        overall = rates["absent"][0] / sites
        cells = [_rate(rates[name]) for name in ("absent", *names)]
        rows.append((f"{kind.auc:.2f}", kind.positives, f"{kind.ruled_out.mean():.1%}", f"{overall:.1%}", *cells))
    yield (
        f"{sites:,} sites of each kind; {PREVALENCE:.0%} of the patients have the finding. A patient has one to twenty "
        f"images, correlated by {LIKENESS}, and the positives of some groups score lower by deviations: {effects}. So "
        "the true share missed is known. From the fifth column on: sites whose promise is broken, of those that show "
        "ABSENT, for all patients and in each group."
    )
    header = ("AUC", "positives", "negatives ruled out", "broken, of all sites", "broken where shown", *names)
    yield table(header, rows)
    yield _verdict(kinds, promise)
    yield "The same thresholds read in another population, for an AUC of at least 0.7:"
    useful = [kind for kind in kinds if kind.auc >= _USEFUL]
    yield table(
        (
            "population",
            "missed more than promised, where ABSENT is shown",
            "less precise than promised, where PRESENT is",
        ),
        [(where.name, *_elsewhere(useful, promise, place)) for place, where in enumerate(POPULATIONS)],
    )
    yield (
        "Of the sites that show the threshold. The share of missed positives does not depend on the prevalence; "
        "the precision of PRESENT does. Where the disease is subtler than in the patients of the fit, more is missed: "
        "a promise for another population is no promise, and only a fit to its own patients gives one."
    )


def _elsewhere(kinds: Sequence[Sites], promise: Promise, place: int) -> tuple[str, str]:
    missed = [_where(kind.missed[:, place] > promise.max_missed, kind.absent) for kind in kinds]
    precise = [_where(kind.precise[:, place] < promise.min_precision, kind.present) for kind in kinds]
    return _rate(_sum(missed)), _rate(_sum(precise))


def _verdict(kinds: Sequence[Sites], promise: Promise) -> str:
    """Return which rates of sites that show a threshold are above the goal, in a sentence."""
    every = {name: [broken(kind, promise)[name] for kind in kinds] for name in broken(kinds[0], promise)}
    pooled = ", ".join(
        f"{'ABSENT' if name == 'absent' else 'PRESENT' if name == 'present' else name} {_rate(_sum(counts))}"
        for name, counts in every.items()
    )
    above = [
        f"AUC {kind.auc:.2f} with {kind.positives} positives, {name}: {_rate(count)}"
        for name, counts in every.items()
        for kind, count in zip(kinds, counts, strict=True)
        if count[1] >= FEWEST_SHOWN and count[0] / count[1] > GOAL_BROKEN
    ]
    met = f"NOT met by {'; '.join(above)}" if above else "met by all"
    return (
        f"All kinds together, where shown: {pooled}. Goal (at most {percent(GOAL_BROKEN)} where at least "
        f"{FEWEST_SHOWN} sites show a threshold): {met}."
    )


def _sum(counts: Sequence[Counts]) -> Counts:
    return sum(count for count, _ in counts), sum(shown for _, shown in counts)


def _rate(counts: Counts) -> str:
    count, shown = counts
    return f"{count / shown:.1%} ({count} of {shown:,})" if shown else "none shown"


def simulation_json(kinds: Sequence[Sites], promise: Promise) -> list[dict[str, object]]:
    """Return the figures of simulated sites for a JSON file.

    Parameters
    ----------
    kinds, promise
        As for :func:`simulation_page`.
    """
    return [
        {
            "auc": kind.auc,
            "positives": kind.positives,
            "sites": len(kind.absent),
            "ruled_out": float(kind.ruled_out.mean()),
            "broken_and_shown": {name: list(counts) for name, counts in broken(kind, promise).items()},
            "elsewhere": {
                where.name: list(_where(kind.missed[:, place] > promise.max_missed, kind.absent))
                for place, where in enumerate(POPULATIONS)
            },
        }
        for kind in kinds
    ]


def as_json(
    predictions: Predictions, promise: Promise, found: Halvings, kinds: Sequence[Sites], occasion: Occasion
) -> dict[str, object]:
    """Return the evidence for a JSON file.

    Parameters
    ----------
    predictions
        The measured predictions.
    promise
        The guarantee.
    found
        The figures of every split.
    kinds
        The simulated sites.
    occasion
        Date and command.
    """
    return {
        "notice": RESEARCH_USE,
        "data": predictions.description,
        "splits": len(found.lower),
        **asdict(promise),
        **occasion.facts,
        "simulation": simulation_json(kinds, promise),
        "kept": {"": kept(found.missed[..., 0], promise, found.lower)}
        | {name: kept(found.missed[..., k], promise, _answers(found, k)) for k, name in _groups()},
        "findings": {
            finding.label: {name: _mean(values) for name, values in _figures(found, k).items()}
            for k, finding in enumerate(predictions.findings)
        },
    }


def kept(missed: Floats, promise: Promise, among: Bools) -> float | None:
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


def _groups() -> Iterable[tuple[int, str]]:
    return ((k, name) for k, (_, name) in enumerate(NAMES, start=1))


def _answers(found: Halvings, k: int) -> Bools:
    return np.asarray(found.lower & (found.answered[..., k] > 0), np.bool_)


def _figures(found: Halvings, k: int) -> dict[str, Floats]:
    return {
        "positives": found.positives[:, k],
        "lower_supported": found.lower[:, k].astype(np.float64),
        "upper_supported": found.upper[:, k].astype(np.float64),
        "absent": found.answered[:, k, 0],
        "missed": found.missed[:, k, 0],
        "most_missed_of_a_group": found.missed[:, k].max(axis=1, initial=0.0, where=~np.isnan(found.missed[:, k])),
        "present": found.present[:, k],
        "right": found.right[:, k],
    }


def _mean(values: Floats) -> float | None:
    """Return the mean of the known values, or None if there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def page(
    predictions: Predictions, promise: Promise, found: Halvings, kinds: Sequence[Sites], occasion: Occasion
) -> Iterable[str]:
    """Yield the paragraphs of the page in Markdown.

    Parameters
    ----------
    predictions, promise, found, kinds, occasion
        As for :func:`as_json`.
    """
    yield "# Evidence: the guarantee"
    yield f"{RESEARCH_USE}."
    yield f"    {occasion.command}"
    yield f"The promise, for each finding by itself: {promise.text}."
    yield "## Simulated sites"
    yield from simulation_page(kinds, promise)
    yield "## Real patients"
    yield (
        f"{predictions.description}; {len(found.lower)} random halvings of the patients ({occasion.day}). Calibration "
        "and thresholds are fitted to one half; all figures are counted on the other, in which a patient counts once, "
        "by the share of the images showing the finding that are called absent."
    )
    yield table(
        ("patients", "missed at most " + percent(promise.max_missed) + ", of the pairs with a threshold"),
        [("all", _cell(kept(found.missed[..., 0], promise, found.lower)))]
        + [(name, _cell(kept(found.missed[..., k], promise, _answers(found, k)))) for k, name in _groups()],
    )
    yield (
        "A pair is a finding in one of the halvings. The other half is a random draw of patients too, and the share "
        "missed in it varies around the true share: the fewer positives it has, as in a group, the more often is a "
        "promise seen broken that is kept. The simulated sites above, whose true share is known, test the confidence."
    )
    header = ("finding", "positives", "supported", "ABSENT", "missed", "most of a group", "PRESENT", "right")
    yield table(
        header, [_row(spaced(finding.label), _figures(found, k)) for k, finding in enumerate(predictions.findings)]
    )
    yield (
        "Positives: patients of the fit who have the finding, on average. Supported: share of the halvings in which a "
        "lower, and an upper, threshold is supported. ABSENT and PRESENT: share of the images. Missed: share of the "
        "positives called ABSENT, and the largest of any view, sex or age band, on average. Right: of PRESENT, that is "
        f"positive. {promise.positives_needed} positives are the fewest that can support ABSENT."
    )


def _row(name: str, figures: dict[str, Floats]) -> tuple[str, ...]:
    means = {key: _mean(values) for key, values in figures.items()}
    return (
        name,
        f"{means['positives']:.0f}",
        f"{means['lower_supported']:.0%}, {means['upper_supported']:.0%}",
        *(_cell(means[key]) for key in ("absent", "missed", "most_missed_of_a_group", "present", "right")),
    )


def _cell(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
