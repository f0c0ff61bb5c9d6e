"""The verbs about calibration: calibrate, and what a refit is worth, calibration-evidence."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from candor.command_line import AddVerb
from candor.model.bundle import load_model
from candor.study.errors import SettingsError
from candor.study.findings import Finding
from training.calibration.calibrate import AFTER, BEFORE, SHIFTED, Refit, calibrate, recalibrate
from training.calibration.evidence import HALVINGS, evidence, in_words
from training.calibration.prevalence import Prevalence, assumed_prevalence, read_prevalence
from training.cli.bundle import add_bundle_and_data, data_of, occasion_of
from training.markdown import table
from training.predictions.table import read_predictions


def add_calibration_verbs(add: AddVerb) -> None:
    """Add the verbs to a command line."""
    _add_calibrate(add)
    _add_evidence(add)


def add_predictions(verb: argparse.ArgumentParser, required: bool) -> None:
    """Let a verb take a table of predictions; see :mod:`training.predictions.table`."""
    verb.add_argument(
        "--predictions",
        type=Path,
        required=required,
        metavar="TABLE",
        help="scores of the bundle's network beside labels: CSV, or results.json of the application with --labels",
    )
    verb.add_argument("--labels", type=Path, metavar="CSV", help="labels and patients, where they stand elsewhere")


def _add_calibrate(add: AddVerb) -> None:
    verb = add(_calibrate, "calibrate", "Fit the calibration to a data set or to a site's own cases; closes the gate.")
    add_bundle_and_data(verb, required=False)
    add_predictions(verb, required=False)
    verb.add_argument("--site", help="whose images they are, for the reports; by default the table's name")
    verb.add_argument(
        "--prevalence",
        type=Path,
        metavar="TABLE",
        help="CSV with finding and prevalence, or JSON, to assume; by default that of all ChestX-ray14 for its "
        "pictures, and for others their own share",
    )


def _calibrate(options: argparse.Namespace) -> None:
    if (options.data is None) == (options.predictions is None):
        raise SettingsError("calibrate needs either --data or --predictions, and not both")
    model, occasion = load_model(options.bundle), occasion_of(options)
    if options.predictions is None:
        dataset = data_of(options, model)
        refit = calibrate(model, dataset, assumed_prevalence(options.data, dataset, options.prevalence), occasion)
    else:
        predictions = read_predictions(options.predictions, options.labels, model.findings)
        predictions = replace(predictions, source=options.site or predictions.source)
        refit = recalibrate(model, predictions, _prevalence(options, model.findings), occasion)
    print("\n\n".join([*shown(refit), _next(options)]))


def _prevalence(options: argparse.Namespace, findings: tuple[Finding, ...]) -> Prevalence:
    """Take the table that is given; without one every finding is as frequent as in the images."""
    if options.prevalence is None:
        return Prevalence({}, "prevalence of these images")
    return Prevalence(read_prevalence(options.prevalence, findings), f"prevalence in {options.prevalence.name}")


def shown(refit: Refit) -> Iterable[str]:
    """Say what was fitted, what it is worth and what was not fitted, as Markdown."""
    yield refit.calibration.description
    measured = [f"{name} {when}" for name in ("NLL", "ECE", "Brier") for when in ("before", "shifted", "after")]
    rows = [_row(refit, finding) for finding in refit.calibration.maps]
    yield table(("finding", "images", "positives", "map", *measured), rows)
    yield (
        "Before is what the bundle said until now, shifted the same at the prevalence of these images; after is "
        "cross-validated, said by a fit without the image's patient. NLL is the mean negative log-likelihood, ECE the "
        "expected calibration error of 15 bins."
    )
    fitted: list[Any] = [facts for facts in refit.facts.values() if facts[AFTER]]
    if fitted:
        means = [f"{np.mean([facts[name]['ece'] for facts in fitted]):.4f} {name}" for name in (BEFORE, SHIFTED, AFTER)]
        yield f"Mean ECE of the {len(fitted)} findings that were fitted: {', '.join(means)}.".replace("_", " ")
    unfitted = [
        f"- {finding.label}: {facts['unfitted']}" for finding, facts in refit.facts.items() if facts["unfitted"]
    ]
    if unfitted:
        yield "Not fitted alone (a refit keeps their maps, a first fit shares the slope of the others among them):"
        yield "\n".join(unfitted)


def _row(refit: Refit, finding: Finding) -> list[object]:
    facts: Any = refit.facts[finding]
    parts = [facts[name] for name in (BEFORE, SHIFTED, AFTER)]
    figures = [f"{part[name]:.4f}" if part else "-" for name in ("nll", "ece", "brier") for part in parts]
    kind = refit.calibration.maps[finding].kind.value
    how = " (shared slope)" if facts["shared_slope"] else " (kept)" if facts["kept"] else ""
    return [finding.label, facts["known"], facts["positives"], kind + how, *figures]


def _next(options: argparse.Namespace) -> str:
    """Say what a new calibration asks for."""
    bundle = shlex.quote(str(options.bundle))
    pairs = (("--data", options.data), ("--predictions", options.predictions), ("--labels", options.labels))
    source = " ".join(f"{name} {shlex.quote(str(path))}" for name, path in pairs if path is not None)
    return (
        "The gate is closed: until it is fitted to the new probabilities, every finding is deferred. Next:\n\n"
        f"    python -m training fit-gate --bundle {bundle} {source}"
    )


def _add_evidence(add: AddVerb) -> None:
    text = "Halve the patients of a table many times: what a refit on one half is worth on the other."
    verb = add(_evidence, "calibration-evidence", text)
    add_predictions(verb, required=True)
    verb.add_argument("--halvings", type=int, default=HALVINGS, help="how many random halvings of the patients")


def _evidence(options: argparse.Namespace) -> None:
    predictions = read_predictions(options.predictions, options.labels)
    print("\n\n".join(in_words(predictions, evidence(predictions, options.halvings))))
