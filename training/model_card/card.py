"""Render a bundle's model card, ``docs/README.md``; every number comes from the bundle's JSON files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from candor.model.bundle import CALIBRATION, GATE, METADATA
from candor.study.errors import BundleError
from training.bundles.metadata import SPLITS
from training.markdown import alone, spaced, table, with_interval
from training.measure.evaluate import EVALUATION
from training.measure.evaluation.report import REPORT, UNCALIBRATED, held_out, out_of_fold, too_few
from training.model_card.checks import checks
from training.model_card.origin import licence, limits, origin, training_command, unseen

CARD: Final = Path("docs", "README.md")

COIN: Final = 0.5
"""The AUC of guessing."""

Json = dict[str, Any]


def write_card(root: Path, out: Path | None = None) -> Path:
    """Write the model card of an evaluated bundle, and return its path.

    Parameters
    ----------
    root
        The bundle's folder.
    out
        The folder that the evaluation was written to; the card goes there too. None for the bundle's.
    """
    evaluated = out or root
    files, evaluation = _files(root), json.loads((evaluated / EVALUATION).read_text())
    path = evaluated / CARD
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n\n".join(_sections(**files, evaluation=evaluation, more=checks(root))) + "\n")
    return path


def require_facts(root: Path) -> None:
    """Check that a bundle states what its card needs, apart from the evaluation.

    Parameters
    ----------
    root
        The bundle's folder.

    Raises
    ------
    BundleError
        A file or a fact is missing.
    """
    try:
        files = _files(root)
        list(origin(files["metadata"], files["splits"]))
        training_command(files["metadata"])
        list(checks(root))
    except (OSError, KeyError) as error:
        missing = error.filename if isinstance(error, OSError) else error.args[0]
        raise BundleError(f"{root} lacks {missing}, which its card needs; export the bundle again") from error


def _files(root: Path) -> dict[str, Json]:
    return {name: json.loads((root / path).read_text()) for name, path in _FILES.items()}


_FILES: Final = {"metadata": METADATA, "splits": SPLITS, "calibration": CALIBRATION, "gate": GATE}


def _sections(
    metadata: Json, splits: Json, calibration: Json, gate: Json, evaluation: Json, more: Iterable[str]
) -> Iterable[str]:
    yield f"# {metadata['name']} {metadata['version']}"
    yield f"**{metadata['intended_use']}** {metadata['description']}"
    yield "## What it was trained on"
    yield from origin(metadata, splits)
    yield from _discrimination(metadata, evaluation)
    yield from _experts(evaluation)
    yield from _calibration(calibration, evaluation)
    yield from _gate(gate, evaluation)
    yield from more
    yield "## What it cannot do"
    yield limits(metadata, evaluation)
    yield "## Licence"
    yield from licence(metadata)
    yield from _commands(metadata, calibration, gate, evaluation)


def _discrimination(metadata: Json, evaluation: Json) -> Iterable[str]:
    figures = evaluation["unseen"]
    yield "## How well it tells findings apart"
    yield (
        f"Area under the ROC curve with 95% intervals from {evaluation['resamples']} bootstrap resamples of patients. "
        f"{figures['images']} pictures ({figures['patients']} patients), {held_out(evaluation)}; {unseen(metadata)}. "
        f"{out_of_fold(evaluation)}"
    )
    rows = [
        (spaced(label), of["positives"], of["positive_patients"], with_interval(of["auc"]))
        for label, of in figures["findings"].items()
    ]
    mean = ("**mean**", "", "", with_interval(figures["mean_auc"]))
    yield table(("finding", "positive pictures", "positive patients", "AUC"), [*rows, mean])
    yield from too_few(figures)
    chance = [spaced(label) for label, of in figures["findings"].items() if of["auc"] and of["auc"]["low"] <= COIN]
    if chance:
        yield (
            f"Not told from chance by these pictures, since the interval reaches {COIN}: {', '.join(chance)}. Where "
            "the gate calls one of these absent it keeps its promise about misses, but the answer says nothing."
        )


def _experts(evaluation: Json) -> Iterable[str]:
    """Return the main figures against radiologists, and a link to the rest."""
    readers, found = evaluation["readers"], evaluation["localisation"]
    if readers is not None:
        mined, majority = (readers[name]["ranking"] for name in ("mined", "majority"))
        yield (
            f"On the {majority['images']} pictures that radiologists read the mean AUC of the "
            f"{len(readers['compared'])} findings that both see often enough is "
            f"{with_interval(majority['mean_auc'])} against the majority of three of them, and "
            f"{with_interval(mined['mean_auc'])} against the mined labels of the same pictures."
        )
    if found is not None:
        grad_cam, mean_map = (found["methods"][name]["pointing_game"] for name in ("grad_cam", "mean_map"))
        yield (
            f"The hottest pixel of the heatmap lies in the radiologist's box in {with_interval(grad_cam)} of "
            f"{found['boxes']} boxes; the mean map of the finding, which knows no patient, would reach "
            f"{with_interval(mean_map)}, and a map that is alike everywhere {found['chance']:.3f}."
        )
    yield (
        f"[{REPORT.name}]({REPORT.name}) has the rest: average precision, F1, curves, figures by sex, age and view, "
        "beside radiologists and by finding, with plots."
    )


def _calibration(calibration: Json, evaluation: Json) -> Iterable[str]:
    yield "## What its probabilities mean"
    measured = evaluation["unseen"]["calibration"]
    if measured is None:
        yield UNCALIBRATED
        return
    yield (
        f"The bundle was {calibration['description']}. The kind of each finding's map is chosen by "
        "cross-validation over patients; one with few positives is shifted to its prevalence, shares the slope of "
        "the others where that does better, or keeps its map. "
        "The report's probability is then shifted from the prevalence of the fit to the assumed one, the "
        f"{calibration.get('assumed_prevalence', 'prevalence of all ChestX-ray14')}. Expected calibration error "
        f"(15 bins) and Brier score are {'out of fold, ' * evaluation['fitted_here']}before and after, at the "
        "prevalence of the fit."
    )
    rows = [_calibration_row(label, m, measured[label]) for label, m in calibration["findings"].items()]
    header = ("finding", "map", "slope", "prevalence, fit", "assumed", "ECE before", "after", "Brier before", "after")
    yield table(header, rows)
    unfitted = [f"- {spaced(label)}: {m['unfitted']}." for label, m in calibration["findings"].items() if unfit(m)]
    if unfitted:
        yield "Not fitted, so that these keep the map that they had, at first the network's own probabilities:"
        yield "\n".join(unfitted)


def unfit(fitted: Json) -> bool:
    """Return whether a finding's map could not be fitted."""
    return fitted.get("unfitted") is not None and (fitted.get("kept", False) or not fitted["known"])


def _calibration_row(label: str, fitted: Json, measured: Json) -> Sequence[object]:
    before, after = measured["before"], measured["after"]
    return (
        spaced(label),
        fitted["kind"] + (", shared slope" if fitted.get("shared_slope") else "") + ", not fitted" * unfit(fitted),
        f"{fitted['slope']:.2f}" if "slope" in fitted else "",
        f"{fitted['fitted_prevalence']:.3f}",
        f"{fitted['assumed_prevalence']:.4f}",
        alone(before["ece"]),
        alone(after["ece"]),
        alone(before["brier"]),
        alone(after["brier"]),
    )


def _gate(gate: Json, evaluation: Json) -> Iterable[str]:
    yield "## When it answers"
    counts = evaluation["unseen"]["decisions"]
    if counts is None or gate["kind"] == "closed":
        yield f"The gate: {gate['description']}."
        return
    folds = " The counts are out of fold: each patient is answered by a calibration and a gate of the other patients."
    yield (
        f"The gate: {gate['description']}. {_assumption(gate)} A site fits its own gate to its own patients. A finding "
        f"without a threshold is never answered that way: it is deferred.{folds * evaluation['fitted_here']}"
    )
    rows = [_gate_row(label, pair, counts[label]) for label, pair in gate["findings"].items()]
    header = ("finding", "absent up to", "present from", "absent", "deferred", "present", "missed", "right of present")
    yield table(header, rows)
    reasons = [f"- {spaced(label)}: {text}." for label, pair in gate["findings"].items() for text in _unsupported(pair)]
    if reasons:
        yield "Thresholds that the patients of the fit do not support:"
        yield "\n".join(reasons)


def _assumption(gate: Json) -> str:
    """Return what the thresholds assume, in the gate's own words if it has them."""
    usual = "It holds for each finding by itself, not for all at once, and only for patients like those of the fit"
    return str(gate.get("assumption", usual)).rstrip(".") + "."


def _gate_row(label: str, pair: Json, counts: Json) -> Sequence[object]:
    pictures = counts["images"]
    shares = [f"{counts[name] / pictures:.0%}" if pictures else "-" for name in ("absent", "deferred", "present")]
    missed = f"{counts['missed']} of {counts['positives']} pictures ({counts['positive_patients']} patients)"
    right = f"{counts['present_and_positive']} of {counts['present']}"
    return (spaced(label), _threshold(pair["lo"]), _threshold(pair["hi"]), *shares, missed, right)


def _unsupported(pair: Json) -> Iterable[str]:
    for side, name in (("lo_unsupported", "absent"), ("hi_unsupported", "present")):
        if pair.get(side):
            yield f"no {name}, {pair[side]}"


def _commands(metadata: Json, calibration: Json, gate: Json, evaluation: Json) -> Iterable[str]:
    yield "## The commands behind the numbers"
    records = (record for record in (calibration, gate, evaluation) if "command" in record)
    dated = [f"{record['command']}  # {record['date']}" for record in records]
    yield "\n".join(["```", training_command(metadata), "python -m training export", *dated, "```"])
    yield f"Bundle SHA-256 {evaluation['bundle_sha256']}."


def _threshold(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
