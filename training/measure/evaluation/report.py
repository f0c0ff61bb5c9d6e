"""Render an evaluation as Markdown, ``docs/evaluation.md``; every number comes from its figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from training.markdown import display, table, with_interval
from training.measure.evaluation.populations import FEWEST_IMAGES, FEWEST_POSITIVES
from training.measure.evaluation.report_experts import beside_radiologists, localised, picture
from training.measure.evaluation.sample import FEWEST_PATIENTS

REPORT: Final = Path("docs", "evaluation.md")
"""Path of the report in a bundle; its plots are beside it."""

UNCALIBRATED: Final = (
    "The bundle is not calibrated yet (`candor model calibrate`): figures that need a calibration are left out, and "
    "the probabilities are the network's own."
)

Json = dict[str, Any]


def write_report(root: Path, record: Json) -> Path:
    """Write the report of an evaluation into a bundle, and return its path.

    Parameters
    ----------
    root
        The bundle's folder.
    record
        The content of ``evaluation.json``.
    """
    path = root / REPORT
    path.write_text("\n\n".join(_sections(path.parent, record)) + "\n")
    return path


def _sections(folder: Path, record: Json) -> Iterable[str]:
    yield "# Evaluation"
    yield (
        "**Research use only, not for diagnosis.** The classifier was trained here on none of these patients. Brackets "
        f"are 95% intervals from {record['resamples']} bootstrap resamples of patients. Findings may be far more "
        "frequent among the pictures than in a clinic: average precision, F1 and calibration hold for them alone. "
        "All figures are in `models/evaluation.json`."
    )
    yield from _ranking(folder, record)
    yield from _answers(record["unseen"])
    yield from _gate(record)
    yield from _calibration(folder, record)
    yield from _modes(record["unseen"]["modes"])
    yield from _groups(folder, record["unseen"]["groups"])
    yield from beside_radiologists(folder, record["readers"])
    yield from localised(folder, record["localisation"])
    yield from _labels(folder)
    yield "## The command behind the numbers"
    yield f"```\n{record['command']}  # {record['date']}\n```"
    yield f"Bundle SHA-256 {record['bundle_sha256']}."


def _ranking(folder: Path, record: Json) -> Iterable[str]:
    unseen = record["unseen"]
    yield "## How well it ranks"
    yield (
        f"AUC is the area under the ROC curve, AP the average precision. {unseen['images']} pictures "
        f"({unseen['patients']} patients), {held_out(record)}. {out_of_fold(record)}"
    )
    yield table(
        ("finding", "positives", "patients", "AUC", "AP"),
        [
            *((display(label), *_ranked(figures)) for label, figures in unseen["findings"].items()),
            ("**mean**", *_means(unseen)),
        ],
    )
    yield from too_few(unseen)
    yield from picture(folder, "auc", "AUC of every finding with its interval")
    yield (
        "Macro is the mean over the findings; micro takes all answers to all findings together, by calibrated "
        "probability."
    )
    yield from picture(folder, "curves", "ROC and precision-recall curves")


def held_out(record: Json) -> str:
    """Return in words which pictures were held out from training."""
    source, by = record["data"], record["held_out_by"]
    if by == "another data set":
        return f"all of {source}, which is another data set than that of the training"
    return f"held out from {source}" + (" by its official test list" if by != "hash" else " by hash")


def out_of_fold(record: Json) -> str:
    """Return in words how figures avoid the patients to whom calibration and gate were fitted."""
    if not record["calibrated"]:
        return UNCALIBRATED
    if not record["fitted_here"]:
        return "Calibration and gate are the bundle's, which were not fitted to these patients."
    return (
        f"Calibration, gate and thresholds were fitted to these patients; their figures are out of {record['folds']} "
        "folds: fitted again without each fold, and measured on it."
    )


def _ranked(figures: Json) -> tuple[object, ...]:
    ranked = with_interval(figures["auc"]), with_interval(figures["average_precision"])
    return figures["positives"], figures["positive_patients"], *ranked


def too_few(figures: Json) -> Iterable[str]:
    """Return a sentence about the findings of too few patients, if there are any.

    Parameters
    ----------
    figures
        ``unseen`` of ``evaluation.json``.
    """
    counts = {label: of["positive_patients"] for label, of in figures["findings"].items()}
    few = [f"{display(label)} ({n})" for label, n in counts.items() if n < FEWEST_PATIENTS]
    if few:
        yield (
            f"Findings of fewer than {FEWEST_PATIENTS} positive patients get no figure and are in no mean, however "
            f"many pictures they have: {', '.join(few)}."
        )


def _means(figures: Json) -> tuple[str, ...]:
    return "", "", with_interval(figures["mean_auc"]), with_interval(figures["mean_average_precision"])


def _answers(unseen: Json) -> Iterable[str]:
    found = unseen["answers"]
    yield "## Answers at a threshold, without a gate"
    yield (
        "Yes from a threshold up, chosen on the patients of the other folds so that sensitivity + specificity is "
        f"greatest there (Youden), measured on {found['images']} pictures. The threshold shown is the folds' mean. "
        "The gate does not use these."
    )
    yield table(
        ("finding", "threshold", "sensitivity", "specificity", "F1"),
        [(display(label), _threshold(f["threshold"]), *_answered(f)) for label, f in found["findings"].items()],
    )
    yield table([f"F1, {name}" for name in found["f1"]], [[with_interval(value) for value in found["f1"].values()]])


def _gate(record: Json) -> Iterable[str]:
    found = record["gate"]
    if found is None:
        return
    yield "## What the gate answers, and what it misses"
    yield (
        f"It answers {found['answered']:.1%} of all questions, and at least one question on "
        f"{found['pictures_with_an_answer']:.1%} of the pictures. Missed is the share of positives that are called "
        "absent, over all findings: a patient who has a finding counts once, by the share of the pictures showing it. "
        f"{out_of_fold(record)}"
    )
    rows = [(name, of["positives"], with_interval(of["share"])) for name, of in found["missed"].items()]
    yield table(("patients", "positives", "missed"), rows)


def _threshold(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _answered(figures: Json) -> list[str]:
    return [with_interval(figures[name]) for name in ("sensitivity", "specificity", "f1")]


def _calibration(folder: Path, record: Json) -> Iterable[str]:
    yield "## Calibration"
    unseen, mean = record["unseen"], record["unseen"]["calibration_error"]
    if mean is None:
        yield UNCALIBRATED
        return
    how = "out of fold, " * record["fitted_here"]
    yield (
        f"Mean expected calibration error: {mean['ece']:.4f}, which is {mean['ratio']:.2f} times the floor of "
        f"{mean['floor']:.4f}: the error of a perfect model on as many pictures."
    )
    yield (
        f"Expected calibration error (15 bins) and Brier score, {how}at the prevalence of the fit. "
        "Resampling adds noise to the bins, which biases the calibration error's intervals upwards."
    )
    yield table(
        ("finding", "ECE before", "ECE after", "floor", "Brier before", "Brier after"),
        [
            (
                display(label),
                *(with_interval(f[when]["ece"]) for when in ("before", "after")),
                "-" if f["floor"] is None else f"{f['floor']:.3f}",
                *(with_interval(f[when]["brier"]) for when in ("before", "after")),
            )
            for label, f in unseen["calibration"].items()
        ],
    )
    yield from picture(folder, "reliability", "Reliability diagrams before and after calibration")


def _modes(modes: Json) -> Iterable[str]:
    yield "## Three kinds of negatives"
    yield (
        "AUC against all pictures without the finding, against normal ones alone (easier), and among pictures with at "
        "least one finding (harder: what is left once normal pictures are known to be normal)."
    )
    names = ("one_vs_all", "one_vs_normal", "disease_only")
    rows = [
        (display(label), *(with_interval(modes[name]["findings"][label]["auc"]) for name in names))
        for label in modes["one_vs_all"]["findings"]
    ]
    mean = ("**mean**", *(with_interval(modes[name]["mean_auc"]) for name in names))
    yield table(("finding", "one against all", "against normal", "disease only"), [*rows, mean])


def _groups(folder: Path, groups: Json) -> Iterable[str]:
    yield "## By sex, age and view"
    yield (
        f"Mean AUC over the findings with at least {FEWEST_POSITIVES} positive patients and negatives in "
        f"every group of the same kind; groups of fewer than {FEWEST_IMAGES} pictures are not measured. `models/"
        "evaluation.json` has every finding."
    )
    rows = [
        (kind, group, f["images"], f["patients"], len(part["compared"]), with_interval(f["mean_auc"]))
        for kind, part in groups.items()
        for group, f in part["groups"].items()
    ]
    yield table(("", "group", "pictures", "patients", "findings compared", "mean AUC"), rows)
    small = [f"{kind} {name} ({n})" for kind, part in groups.items() for name, n in part["too_small"].items()]
    if small:
        yield f"Too few pictures to be measured: {', '.join(small)}."
    yield from picture(folder, "groups", "Mean AUC by group")


def _labels(folder: Path) -> Iterable[str]:
    yield "## Co-occurrence of findings"
    yield "Labels: counts, and in colour the share of the row's pictures with the column's."
    yield from picture(folder, "cooccurrence", "Co-occurrence of the findings")
