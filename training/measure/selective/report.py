"""Render an audit as Markdown; every number comes from its figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from training.markdown import alone, display, table, with_interval
from training.measure.selective.figures import ALWAYS_ABSENT, CONFIDENCE, GROUP_COVERAGE
from training.measure.selective.report_team import team_sections

Json = dict[str, Any]


def sections(record: Json, folder: Path, name: str) -> Iterable[str]:
    """Return the whole report, part by part, with the plots that are in the folder.

    Parameters
    ----------
    record
        The audit's figures.
    folder
        The report's folder, which holds the plots.
    name
        The audit's name, in the title and in the plots' file names.
    """
    found = record["audit"]
    yield f"# Audit of the gate: {name}"
    yield (
        "**Research use only, not for diagnosis.** Nothing is measured on a patient to whom it was fitted. Brackets "
        'are 95% intervals from bootstrap resamples of patients; differences are paired. "Always absent" answers '
        "absent to everything: findings are rare, and accuracy rewards it."
    )
    yield f"Model: {record['model']}. Fitted: {record['fitted']}. Measured: {found['source']}."
    if "verdict" in record:
        yield f"Verdict: {record['verdict']['text']}."
    yield from _gates(found)
    yield from plot(folder, name, "risk", "Selective and generalized risk at each coverage")
    yield from _coverages(found)
    yield from _by_finding(found)
    yield from promises(record)
    yield from _costs(found)
    yield from plot(folder, name, "costs", "Mean cost of an answer")
    yield from _groups(found)
    yield from _shifted(record)
    for kind, team in record["teams"].items():
        yield from team_sections(team)
        yield from plot(folder, name, f"team-{kind}", "The team at each workload")
    yield "## The command behind the numbers"
    yield f"```\n{record['command']}  # {record['date']}\n```"


def plot(folder: Path, name: str, kind: str, text: str, place: str = "") -> Iterable[str]:
    """Return the Markdown of a plot, if it was drawn.

    Parameters
    ----------
    folder
        Holds the plots.
    name
        The audit's name, in the plot's file name.
    kind
        Which plot: ``risk``, ``costs`` or ``team-<reader>``.
    text
        Alternative text of the picture.
    place
        Relative path from the page to the folder, with its slash; empty where the page is in the folder.
    """
    if (folder / f"{name}-{kind}.png").is_file():
        yield f"![{text}]({place}{name}-{kind}.png)"


def thousandths(estimate: Json | None) -> str:
    """Format an area with its interval, times 1000."""
    if estimate is None:
        return "not defined"
    value, low, high = (1000 * estimate[end] for end in ("value", "low", "high"))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def gates_table(found: Json) -> str:
    """Return the table that compares every gate, pooled over the findings."""
    return table(
        ("gate", "AURC", "E-AURC", "AUGRC", "AUGRC less confidence's", "AUGRC, mean of findings"),
        [
            (
                name,
                *(thousandths(gate[kind]["pooled"]) for kind in ("aurc", "excess_aurc", "augrc")),
                "" if name == CONFIDENCE else thousandths(gate["less_confidence"]["augrc"]),
                thousandths(gate["augrc"]["mean"]),
            )
            for name, gate in found["gates"].items()
        ],
    )


def _gates(found: Json) -> Iterable[str]:
    yield "## Which gate leaves least wrong"
    yield (
        f"{found['images']} images of {found['patients']} patients, {len(found['findings'])} findings; "
        f"{found['prevalence']:.1%} of the labels are positive. Areas times 1000, smaller is better; all answers "
        "together, then the mean of the findings. Confidence is min(p, 1 - p); entropy gives the same order. Random "
        'defers by lot. A gate that does not beat "always absent" has gained from rarity alone.'
    )
    yield gates_table(found)


def coverage_table(figures: Json) -> str:
    """Return the table of what confidence keeps at each coverage."""
    columns = ("accuracy", "always_absent", "sensitivity", "specificity", "npv", "ppv", "missed")
    return table(
        ("kept", "accuracy", "always absent", "sensitivity", "specificity", "NPV", "PPV", "positives missed"),
        [(coverage, *(with_interval(kept[c]) for c in columns)) for coverage, kept in figures.items()],
    )


def _coverages(found: Json) -> Iterable[str]:
    yield "## With and without deferral"
    yield (
        "What calibrated confidence keeps, all answers together. Sensitivity and specificity are of what is kept; "
        '"positives missed" is the share of all positives that is kept and answered absent. NPV must be read beside '
        '"always absent", which is 1 - prevalence of what is kept.'
    )
    yield coverage_table(found["coverage"]["pooled"])


def _by_finding(found: Json) -> Iterable[str]:
    yield "## By finding"
    yield "Areas times 1000, of confidence and of always absent; AUC of all images and of the surest 80%."
    gates, coverage = found["gates"], found["coverage"]
    yield table(
        (
            "finding",
            "positives",
            "AURC",
            "AURC, always absent",
            "AUGRC",
            "AUGRC, always absent",
            "AUC",
            "AUC of 80%",
            "missed at 80%",
        ),
        [
            (
                display(label),
                positives,
                *(
                    thousandths(gates[gate][kind]["findings"][label])
                    for kind in ("aurc", "augrc")
                    for gate in (CONFIDENCE, ALWAYS_ABSENT)
                ),
                with_interval(coverage[label]["100%"]["auc"]),
                with_interval(coverage[label]["80%"]["auc"]),
                with_interval(coverage[label]["80%"]["missed"]),
            )
            for label, positives in found["findings"].items()
        ],
    )


def promises(record: Json) -> Iterable[str]:
    """Return the section about what the thresholds promised and whether they kept it."""
    found = record["promises"]
    yield "## What the thresholds promise, and keep"
    yield (
        f"Promise: {record['promise']}. Measured on {found['images']} images of other patients. "
        "Where nothing is called absent, or nothing present, the patients of the fit supported no such threshold."
    )
    rows = [(display(label), figures) for label, figures in found["findings"].items()]
    yield table(
        (
            "finding",
            "positives",
            "ABSENT",
            "positives called absent",
            "NPV",
            "1 - prevalence",
            "PRESENT",
            "PPV",
            "deferred",
            "accuracy of answers",
        ),
        [(name, f["positives"], *_promised(f)) for name, f in [*rows, ("**all**", found["pooled"])]],
    )
    full = with_interval(found["pooled"]["answered_in_full"])
    yield f"Images answered in full, with no finding deferred: {full}."


def _promised(figures: Json) -> Iterable[str]:
    absent = figures["absent_share"]
    silent = absent is not None and absent["value"] == 0
    yield alone(absent)
    yield "-" if silent else with_interval(figures["missed_share"])
    yield "-" if silent else with_interval(figures["npv"])
    yield alone(figures["prior_npv"])
    yield alone(figures["present_share"])
    yield "-" if figures["ppv"] is None else with_interval(figures["ppv"])
    yield alone(figures["deferred_share"])
    yield alone(figures["accuracy"])


def _costs(found: Json) -> Iterable[str]:
    costs = found["costs"]
    yield "## What it costs"
    yield (
        "An error costs 1, a deferral c; everything with P(wrong) over c is deferred. Answering everything with the "
        f"model costs {costs['answering everything']:.4f}, always absent {costs[ALWAYS_ABSENT]:.4f}, deferring "
        "everything c."
    )
    yield table(
        ("c", "mean cost of an answer"),
        [(f"{c:.2f}", with_interval(cost)) for c, cost in zip(costs["costs"], costs[CONFIDENCE], strict=True)],
    )


def _groups(found: Json) -> Iterable[str]:
    rows = [(kind, group, f) for kind, groups in found["groups"].items() for group, f in groups.items()]
    if not rows:
        return
    yield "## Who is deferred"
    yield f"One border for all that keeps {GROUP_COVERAGE:.0%} of the answers, and what it keeps of each group."
    columns = ("kept", "accuracy", "always_absent", "missed")
    yield table(
        ("", "group", "images", "kept", "accuracy", "always absent", "positives missed"),
        [(kind, group, f["images"], *(with_interval(f[c]) for c in columns)) for kind, group, f in rows],
    )


def _shifted(record: Json) -> Iterable[str]:
    if not record["shifted"]:
        return
    yield "## On other data"
    yield "The same calibration and gate, all answers together; areas times 1000."
    rows = {"as fitted": record["audit"]} | record["shifted"]
    yield table(
        ("data", "images", "positive", "AUGRC", "always absent", "random", "accuracy", "of the surest 80%"),
        [
            (
                name,
                found["images"],
                f"{found['prevalence']:.1%}",
                *(thousandths(found["gates"][g]["augrc"]["pooled"]) for g in (CONFIDENCE, ALWAYS_ABSENT, "random")),
                *(with_interval(found["coverage"]["pooled"][c]["accuracy"]) for c in ("100%", "80%")),
            )
            for name, found in rows.items()
        ],
    )
