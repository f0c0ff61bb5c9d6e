"""Render the figures of the answer for the study as a page of the bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from candor.decide.study_answer import StudyModel
from training.markdown import table, with_interval
from training.records import Occasion

REPORT: Final = Path("docs", "study-answer.md")
"""Path of the page in a bundle."""

Json = dict[str, Any]


def page(record: Json, model: StudyModel, occasion: Occasion) -> str:
    """Return the page.

    Parameters
    ----------
    record
        The figures out of fold.
    model
        What was fitted to all patients.
    occasion
        Date and command.
    """
    return "\n\n".join(_sections(record, model, occasion)) + "\n"


def summary(record: Json) -> str:
    """Return the figures as tables, without the page's text."""
    return "\n\n".join([_ranking(record), _rule_outs(record), *_groups(record)])


def _sections(record: Json, model: StudyModel, occasion: Occasion) -> Iterator[str]:
    yield "# Any abnormality, rule-out and worklist"
    yield (
        "**Research use only, not for diagnosis.** A study that is ruled out is called unremarkable, which never means "
        "normal: nothing that Candor looks for is likely, and a radiologist's reading is needed."
    )
    yield (
        f"All figures are out of fold: each patient is judged by a score, thresholds and a choice of inputs that were "
        f"fitted to other patients. They are against {record['against']}: {record['images']} pictures of "
        f"{record['patients']} patients, {record['abnormal']} of them abnormal. Each picture is taken as a study of "
        f"its own. Brackets are 95% intervals from {record['resamples']} bootstrap resamples of patients."
    )
    yield _ranking(record)
    yield "## Rule-out"
    yield (
        "A promise holds for patients like those of the fit, whatever the prevalence: it is about the abnormal alone. "
        f"It holds for the views {', '.join(sorted(model.views)) or 'of the fit'}; a picture of another view is never "
        "ruled out. Missed is the mean over the abnormal patients of the share of their abnormal pictures that is "
        "called unremarkable."
    )
    yield _rule_outs(record)
    yield from _groups(record)
    yield "## Worklist"
    yield (
        "The priority of a study is the share of the calibration studies that score lower, where "
        f"{model.prevalence:.0%} of the studies are abnormal. A picture that Candor could not judge gets the priority "
        f"of the median abnormal study, {model.priority_of_not_judged:.0f}."
    )
    yield "## The command behind the numbers"
    yield f"```\n{occasion.command}  # {occasion.day}\n```"


def _ranking(record: Json) -> str:
    share = record["abnormal"] / record["images"]
    return table(
        ("figure", "value"),
        [
            (f"AUC against {record['against']}", with_interval(record["auc"])),
            ("AUC against the labels", with_interval(record["auc_by_labels"])),
            ("abnormal of all", f"{share:.1%}"),
            ("abnormal in the first half of the worklist", f"{record['worklist']['first_half_abnormal']:.1%}"),
            ("abnormal in its last quarter", f"{record['worklist']['last_quarter_abnormal']:.1%}"),
        ],
    )


def _rule_outs(record: Json) -> str:
    rows = [
        (
            f"at most {100 * promise['max_missed']:g}% missed, {100 * promise['confidence']:g}% confidence",
            with_interval(promise["normal_ruled_out"]),
            with_interval(promise["abnormal_missed"]),
        )
        for promise in record["rule_out"]
    ]
    return table(("promise", "normal ruled out", "abnormal missed"), rows)


def _groups(record: Json) -> Iterator[str]:
    for promise in record["rule_out"]:
        rows = [
            (name, f"{f['missed']} of {f['abnormal']}", f"{f['ruled_out']} of {f['normal']}")
            for name, f in promise["groups"].items()
        ]
        yield table(
            (f"group, at most {100 * promise['max_missed']:g}% missed", "abnormal missed", "normal ruled out"), rows
        )
