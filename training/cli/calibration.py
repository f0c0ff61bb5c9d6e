"""The verbs about calibration: calibrate and calibration-evidence."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable
from pathlib import Path

from candor.command_line import AddVerb
from candor.study.errors import SettingsError
from training.cli.options import add_bundle, add_data, add_date, add_predictions, add_site, occasion_of
from training.names import CALIBRATION_HALVINGS


def add_calibration_verbs(add: AddVerb) -> None:
    """Add the verbs to a command line."""
    _add_calibrate(add)
    _add_evidence(add)


def _add_calibrate(add: AddVerb) -> None:
    text = (
        "Fit the calibration to the unseen patients of a data set, or to a site's own cases. Write "
        "models/calibration.json, and close the gate."
    )
    verb = add(_calibrate, "calibrate", text)
    add_bundle(verb)
    add_data(verb, required=False)
    add_date(verb)
    add_predictions(verb, required=False)
    add_site(verb)
    verb.add_argument(
        "--prevalence",
        type=Path,
        metavar="TABLE",
        help="prevalence to assume, as CSV with finding and prevalence, or as JSON; by default that of all of "
        "ChestX-ray14 for its pictures, and the share of positives for other data",
    )
    verb.add_argument(
        "--refit-head",
        action="store_true",
        help="refit the network's last layer too, for each finding where that does better on patients left out; needs "
        "--data; replaces it in models/model.safetensors and keeps the shipped one in models/heads.safetensors",
    )
    verb.add_argument(
        "--reliability", type=Path, metavar="PNG", help="draw each finding's reliability diagram, out of fold, here"
    )


def _calibrate(options: argparse.Namespace) -> None:
    from candor.model.bundle import load_model
    from training.calibration.calibrate import calibrate, recalibrate
    from training.calibration.prevalence import assumed_prevalence, table_or_own
    from training.calibration.report import refit_report
    from training.calibration.site_head import calibrate_with_head, head_report
    from training.cli.inputs import data_of, predictions_of, require_one_source

    require_one_source(options, "calibrate")
    model, occasion = load_model(options.bundle), occasion_of(options)
    head: Iterable[str] = ()
    if options.refit_head and options.data is None:
        raise SettingsError("--refit-head needs --data: scores alone do not show what the last layer sees")
    if options.predictions is None:
        dataset = data_of(options, model)
        prevalence = assumed_prevalence(options.data, dataset, options.prevalence)
        if options.refit_head:
            made = calibrate_with_head(model, dataset, prevalence, occasion)
            head, refit = head_report(made), made.refit
        else:
            refit = calibrate(model, dataset, prevalence, occasion)
    else:
        predictions = predictions_of(options, model)
        refit = recalibrate(model, predictions, table_or_own(options.prevalence, model.findings), occasion)
    if options.reliability is not None:
        from training.measure.evaluation.plots import plot_reliability

        plot_reliability(model.findings, refit.labels, refit.before, refit.after, options.reliability)
    print("\n\n".join([*head, *refit_report(refit), _next(options)]))


def _next(options: argparse.Namespace) -> str:
    """Return the command that must follow a new calibration."""
    bundle = shlex.quote(str(options.bundle))
    pairs = [(f"--{name}", getattr(options, name)) for name in ("data", "predictions", "labels", "site")]
    source = " ".join(f"{name} {shlex.quote(str(path))}" for name, path in pairs if path is not None)
    return (
        "The gate is closed: every finding is deferred until the gate is fitted to the new probabilities. Next:\n\n"
        f"    python -m training fit-gate --bundle {bundle} {source}"
    )


def _add_evidence(add: AddVerb) -> None:
    text = "Measure what a new calibration gains: fit it to one half of the patients and measure on the other."
    verb = add(_evidence, "calibration-evidence", text)
    add_predictions(verb, required=True)
    verb.add_argument(
        "--halvings", type=int, default=CALIBRATION_HALVINGS, help="how many random halvings of the patients"
    )


def _evidence(options: argparse.Namespace) -> None:
    from training.calibration.evidence import evidence, in_words
    from training.predictions.table import read_predictions

    predictions = read_predictions(options.predictions, options.labels)
    print("\n\n".join(in_words(predictions, evidence(predictions, options.halvings))))
