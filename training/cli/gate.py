"""The verbs about the gate: fit-gate, gate-evidence and simulate-promise."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from candor.command_line import AddVerb
from candor.files.durable import whole_file
from candor.study.errors import SettingsError
from training.cli.options import add_bundle, add_data, add_date, add_predictions, add_site, occasion_of
from training.gate.guarantee import Promise
from training.names import GATE_HALVINGS, SIMULATED_SITES
from training.records import write_json


def add_gate_verbs(add: AddVerb) -> None:
    """Add the verbs to a command line."""
    _add_fit_gate(add)
    _add_evidence(add)
    _add_simulate(add)


def _add_fit_gate(add: AddVerb) -> None:
    text = "Fit the thresholds to a guarantee about errors, or to a workload, on a data set or on a site's own cases."
    verb = add(_fit_gate, "fit-gate", text)
    add_bundle(verb)
    add_data(verb, required=False)
    add_date(verb)
    add_predictions(verb, required=False)
    add_site(verb)
    _add_promise(verb)
    verb.add_argument(
        "--coverage",
        type=float,
        default=argparse.SUPPRESS,
        metavar="SHARE",
        help="a workload instead of a guarantee: share of the images that is answered for each finding, in (0, 1]",
    )


def _add_promise(verb: argparse.ArgumentParser) -> None:
    """Add the options of a promise; one that is not given is not set, so that it can be told from the default."""
    promise = Promise()
    helps = {
        "max_missed": "largest share of a finding's positives that may be called absent",
        "min_precision": "smallest share of positives among the images called present",
        "confidence": "confidence of each promise",
        "min_auc": "a finding is answered only where its AUC surely lies above this",
        "group_confidence": "confidence of the promise about missed positives where a view, a sex and an age band meet",
    }
    for name, text in helps.items():
        verb.add_argument(
            f"--{name.replace('_', '-')}",
            type=float,
            default=argparse.SUPPRESS,
            metavar="SHARE",
            help=f"{text}, in (0, 1) (default: {getattr(promise, name):g})",
        )


def _given(options: argparse.Namespace) -> dict[str, float]:
    return {field.name: getattr(options, field.name) for field in fields(Promise) if hasattr(options, field.name)}


def _fit_gate(options: argparse.Namespace) -> None:
    from candor.model.bundle import load_model
    from training.cli.inputs import data_of, predictions_of, require_one_source, require_same_model
    from training.gate.coverage import Coverage
    from training.gate.fit import fit_gate, fit_gate_to
    from training.gate.report import gate_report

    require_one_source(options, "fit-gate")
    promised = _given(options)
    if promised and hasattr(options, "coverage"):
        raise SettingsError(
            "--coverage sets a workload and promises nothing about errors; leave it out, or --max-missed, "
            "--min-precision, --confidence, --min-auc and --group-confidence"
        )
    goal = Coverage(options.coverage) if hasattr(options, "coverage") else Promise(**promised)
    model, occasion = load_model(options.bundle), occasion_of(options)
    if options.predictions is None:
        fitted = fit_gate(model, data_of(options, model), goal, occasion)
    else:
        require_same_model(options.predictions, model)
        fitted = fit_gate_to(model, predictions_of(options, model), goal, occasion)
    print("\n\n".join(gate_report(fitted, goal)))


def _add_evidence(add: AddVerb) -> None:
    text = (
        "Measure how often the guarantee is kept: at simulated sites, and with real patients, fitted to one half of "
        "them and counted on the other. Write a page and its figures."
    )
    verb = add(_evidence, "gate-evidence", text)
    add_predictions(verb, required=True)
    _add_promise(verb)
    verb.add_argument("--splits", type=int, default=GATE_HALVINGS, help="how many random halvings of the patients")
    _add_sites(verb)
    verb.add_argument("--out", type=Path, help="page to write, .md; the figures are written beside it as .json")
    add_date(verb)


def _evidence(options: argparse.Namespace) -> None:
    from training.gate.evidence import halvings
    from training.gate.evidence_report import as_json, page
    from training.gate.simulation import simulate
    from training.predictions.table import read_predictions

    promise, occasion = Promise(**_given(options)), occasion_of(options)
    predictions = read_predictions(options.predictions, options.labels)
    kinds = list(simulate(promise, options.sites, options.seed))
    found = halvings(predictions, promise, options.splits)
    text = "\n\n".join(page(predictions, promise, found, kinds, occasion)) + "\n"
    if options.out is not None:
        with whole_file(options.out) as file:
            file.write(text.encode())
        write_json(options.out.with_suffix(".json"), as_json(predictions, promise, found, kinds, occasion))
    print(text, end="")


def _add_simulate(add: AddVerb) -> None:
    text = (
        "Simulate sites whose true rates are known, and print how often the promise is broken where a threshold is "
        "shown, for all patients, in each group and in other populations. Reads and writes nothing."
    )
    verb = add(_simulate, "simulate-promise", text)
    _add_promise(verb)
    _add_sites(verb)


def _add_sites(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--sites", type=int, default=SIMULATED_SITES, help="how many simulated sites of each kind")
    verb.add_argument("--seed", type=int, default=0, help="seed of the simulated sites")


def _simulate(options: argparse.Namespace) -> None:
    from training.gate.evidence_report import simulation_page
    from training.gate.simulation import simulate

    promise = Promise(**_given(options))
    print("\n\n".join(simulation_page(list(simulate(promise, options.sites, options.seed)), promise)))
