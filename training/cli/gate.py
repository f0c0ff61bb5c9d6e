"""The verbs about the gate: fit-gate, and whether its guarantee was kept, gate-evidence."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from candor.command_line import AddVerb
from candor.decide.gate import Thresholds
from candor.files.durable import whole_file
from candor.model.bundle import Model, load_model
from candor.study.errors import DataError, SettingsError
from candor.study.findings import Finding
from candor.words.results_json import read_results
from training.cli.bundle import add_bundle_and_data, data_of, occasion_of
from training.cli.calibration import add_predictions
from training.gate.coverage import Coverage
from training.gate.evidence import SPLITS, gate_evidence
from training.gate.evidence_report import as_json, page
from training.gate.fit import ASSUMPTION, NO_GUARANTEE, FittedGate, Goal, fit_gate, fit_gate_to
from training.gate.thresholds import Promise
from training.markdown import spaced, table
from training.predictions.table import Predictions, read_predictions
from training.records import Occasion, write_json


def add_gate_verbs(add: AddVerb) -> None:
    """Add the verbs to a command line."""
    _add_fit_gate(add)
    _add_evidence(add)


def _add_fit_gate(add: AddVerb) -> None:
    text = "Fit the thresholds to a guarantee about errors, or to a workload, on a data set or on a site's own cases."
    verb = add(_fit_gate, "fit-gate", text)
    add_bundle_and_data(verb, required=False)
    add_predictions(verb, required=False)
    verb.add_argument("--site", help="whose images they are, for the reports; by default the table's name")
    _add_promise(verb)
    verb.add_argument(
        "--coverage",
        type=float,
        default=argparse.SUPPRESS,
        metavar="SHARE",
        help="a workload in place of a guarantee: share of the images that is answered for each finding, in (0, 1]",
    )


def _add_promise(verb: argparse.ArgumentParser) -> None:
    """Let a verb take a promise; what is not given is not there, so that it can be told from the default."""
    promise = Promise()
    helps = {
        "max_missed": "most of a finding's positives that are called absent",
        "min_precision": "least share of positives among those called present",
        "confidence": "of each promise",
    }
    for name, text in helps.items():
        verb.add_argument(
            f"--{name.replace('_', '-')}",
            type=float,
            default=argparse.SUPPRESS,
            metavar="SHARE",
            help=f"{text}, in (0, 1) (default: {getattr(promise, name):g})",
        )


def _promise_of(options: argparse.Namespace) -> Promise:
    return Promise(**_given(options))


def _given(options: argparse.Namespace) -> dict[str, float]:
    return {field.name: getattr(options, field.name) for field in fields(Promise) if hasattr(options, field.name)}


def _goal_of(options: argparse.Namespace) -> Goal:
    if not hasattr(options, "coverage"):
        return _promise_of(options)
    if _given(options):
        raise SettingsError(
            "--coverage sets a workload and promises nothing about errors; leave it out, or --max-missed, "
            "--min-precision and --confidence"
        )
    return Coverage(options.coverage)


def _fit_gate(options: argparse.Namespace) -> None:
    if (options.data is None) == (options.predictions is None):
        raise SettingsError("fit-gate needs either --data or --predictions, and not both")
    goal, model, occasion = _goal_of(options), load_model(options.bundle), occasion_of(options)
    if options.predictions is None:
        fitted = fit_gate(model, data_of(options, model), goal, occasion)
    else:
        fitted = fit_gate_to(model, _predictions(options, model), goal, occasion)
    print("\n\n".join(shown(fitted, goal)))


def _predictions(options: argparse.Namespace, model: Model) -> Predictions:
    require_same_model(options.predictions, model)
    predictions = read_predictions(options.predictions, options.labels, model.findings)
    return replace(predictions, source=options.site or predictions.source)


def require_same_model(results: Path, model: Model) -> None:
    """Check that a ``results.json`` was written with the bundle's network; a CSV does not say what wrote it.

    Parameters
    ----------
    results
        The file with the network's scores.
    model
        The bundle's.

    Raises
    ------
    DataError
        It was written with another, or is no ``results.json``.
    """
    if results.suffix != ".json":
        return
    by = read_results(results).model
    if (by.name, by.version) != (model.name, model.version):
        raise DataError(
            f"{results} was written with {by.name} {by.version}, but the bundle is {model.name} {model.version}; "
            "run the application with this bundle over the cases"
        )


def shown(fitted: FittedGate, goal: Goal) -> Iterable[str]:
    """Say what was fitted, what it means and what is missing, as Markdown."""
    yield fitted.gate.description
    yield ASSUMPTION if isinstance(goal, Promise) else NO_GUARANTEE
    header = ("finding", "images", "positives", "absent up to", "missed", "present from", "right of present")
    yield table(header, [_row(finding, pair, fitted) for finding, pair in fitted.gate.thresholds.items()])
    unsupported = [line for finding, facts in fitted.facts.items() for line in _unsupported(finding, facts)]
    if unsupported:
        yield "Not supported by these patients, so deferred instead:"
        yield "\n".join(unsupported)


def _row(finding: Finding, pair: Thresholds, fitted: FittedGate) -> list[object]:
    facts: Any = fitted.facts[finding]
    missed = f"{facts['missed']} of {facts['positives']}" if pair.lo is not None else "-"
    right = f"{facts['present_and_positive']} of {facts['present']}" if pair.hi is not None else "-"
    name = spaced(finding.label)
    return [name, facts["images"], facts["positives"], _threshold(pair.lo), missed, _threshold(pair.hi), right]


def _threshold(threshold: float | None) -> str:
    return "(deferred)" if threshold is None else f"{threshold:.4f}"


def _unsupported(finding: Finding, facts: Any) -> Iterable[str]:
    for side, answer in (("lo_unsupported", "absent"), ("hi_unsupported", "present")):
        if facts[side] is not None:
            yield f"- {spaced(finding.label)}, {answer}: {facts[side]}"


def _add_evidence(add: AddVerb) -> None:
    text = "Fit calibration and gate to one half of the patients and count on the other what was promised, many times."
    verb = add(_evidence, "gate-evidence", text)
    add_predictions(verb, required=True)
    _add_promise(verb)
    verb.add_argument("--splits", type=int, default=SPLITS, help="how many random halvings of the patients")
    verb.add_argument("--out", type=Path, help="page to write, .md; the figures stand beside it as .json")
    verb.add_argument("--date", type=date.fromisoformat, default=date.today(), help="stands in the files, YYYY-MM-DD")


def _evidence(options: argparse.Namespace) -> None:
    promise, occasion = _promise_of(options), Occasion(options.date, options.command)
    predictions = read_predictions(options.predictions, options.labels)
    found = gate_evidence(predictions, promise, options.splits)
    text = "\n\n".join(page(predictions, promise, found, occasion)) + "\n"
    if options.out is not None:
        with whole_file(options.out) as file:
            file.write(text.encode())
        write_json(options.out.with_suffix(".json"), as_json(predictions, promise, found, occasion))
    print(text, end="")
