"""The sections of the report about the team of gate and reader."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from training.markdown import display, table, with_interval
from training.measure.evaluation.radiologists import FEWEST_POSITIVES

Json = dict[str, Any]
_MEASURES: Final = ("sensitivity", "specificity", "balanced_accuracy")
_SHOWN: Final = (0.2, 0.5)
"""Workloads that the table by finding shows."""


def team_sections(team: Json) -> Iterable[str]:
    """Return the section of one kind of reader."""
    yield f"## The team: {team['source']}"
    yield (
        f"{team['images']} images of {team['patients']} patients. The model answers with thresholds of greatest "
        "sensitivity + specificity; calibration and thresholds are cross-fitted to the mined labels of other patients. "
        "The reader answers what the gate defers: of every finding the least sure answers, or the images with the most "
        'expected errors. A reader who must look at an image for one finding has looked at it: only "no look" images, '
        "of which nothing is deferred, save a reading. Deferring at random lies between model and reader; the last "
        "column is what the gate adds to that, in balanced accuracy."
    )
    for reader, policies in team["readers"].items():
        for policy, found in policies.items():
            yield f"### {reader[0].upper()}{reader[1:]}, deferring {_POLICIES[policy]}; all findings together"
            yield pooled_table(found)
    reader, policies = list(team["readers"].items())[-1]
    yield f"### By finding: {reader}, deferring {_POLICIES['answers']}"
    yield finding_table(team["positives"], policies["answers"])


_POLICIES: Final = {"answers": "single answers", "images": "whole images"}


def pooled_table(found: Json) -> str:
    """Return the table of model, reader and team at every workload, all findings together."""
    ends = [("model alone", "", "", found["model"]["pooled"]), ("reader alone", "", "", found["reader"]["pooled"])]
    rows = [(name, *empty, *_measures(figures), "", "", "") for name, *empty, figures in ends]
    for at in found["workloads"]:
        figures = at["figures"]["pooled"]
        differences = (with_interval(figures[name]) for name in ("less_model", "less_better", "less_random"))
        saved, spared = f"{at['saved']:.0%}", f"{at['images_spared']:.0%}"
        rows.append((f"team, {at['workload']:.0%} deferred", saved, spared, *_measures(figures), *differences))
    return table(
        (
            "",
            "work saved",
            "no look",
            "sensitivity",
            "specificity",
            "balanced accuracy",
            "less model",
            "less the better of both",
            "less random deferral",
        ),
        rows,
    )


def _measures(figures: Json) -> list[str]:
    return [with_interval(figures[name]) for name in _MEASURES]


def finding_table(positives: dict[str, int], found: Json) -> str:
    """Return the table of sensitivity, specificity and balanced accuracy by finding.

    Parameters
    ----------
    positives
        Number of positives by finding; findings with too few are left out.
    found
        The figures of one reader with one way of deferring.
    """
    shown = [at for at in found["workloads"] if at["workload"] in _SHOWN]
    names = [label for label, count in positives.items() if count >= FEWEST_POSITIVES]
    return table(
        (
            "finding",
            "positives",
            "model: sensitivity",
            "specificity",
            "balanced",
            "reader: sensitivity",
            "specificity",
            "balanced",
            *(
                column
                for at in shown
                for column in (
                    f"team, {at['workload']:.0%}: sensitivity",
                    "specificity",
                    "balanced",
                    "less the better of both",
                )
            ),
        ),
        [
            (
                display(label),
                positives[label],
                *_measures(found["model"][label]),
                *_measures(found["reader"][label]),
                *(
                    cell
                    for at in shown
                    for cell in (
                        *_measures(at["figures"][label]),
                        with_interval(at["figures"][label]["less_better"]),
                    )
                ),
            )
            for label in names
        ],
    )
