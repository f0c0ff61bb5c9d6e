"""The verb about the answer for a study: fit-study-answer."""

from __future__ import annotations

import argparse

from candor.command_line import AddVerb
from candor.study.errors import SettingsError
from training.cli.options import add_bundle, add_data, add_date, occasion_of


def add_study_answer_verb(add: AddVerb) -> None:
    """Add the verb to a command line."""
    text = (
        "Fit the answer for a study: any abnormality, the thresholds that rule it out, and the worklist's priority. "
        "Read the pictures of patients kept from training, and experts_labels.csv and labels_all.csv.gz where --data "
        "has them; write models/study_answer.json and docs/study-answer.md of the bundle, and print the figures out "
        "of fold."
    )
    verb = add(_fit_study_answer, "fit-study-answer", text)
    add_bundle(verb)
    add_data(verb)
    add_date(verb)
    verb.add_argument(
        "--max-missed",
        type=float,
        nargs="+",
        default=[0.05, 0.10],
        metavar="SHARE",
        help="promises: largest shares of the abnormal that may be called unremarkable, in (0, 1)",
    )
    verb.add_argument(
        "--confidence", type=float, default=0.90, metavar="SHARE", help="confidence of each promise, in (0, 1)"
    )
    verb.add_argument(
        "--prevalence",
        type=float,
        metavar="SHARE",
        help="share of abnormal studies that the priority assumes, in (0, 1); by default that of labels_all.csv.gz, or "
        "of the patients of the fit",
    )


def _fit_study_answer(options: argparse.Namespace) -> None:
    from candor.model.bundle import load_model
    from training.cli.inputs import data_of
    from training.study_answer.fit import Options, fit_study_answer
    from training.study_answer.report import summary

    shares = [*options.max_missed, options.confidence, *([] if options.prevalence is None else [options.prevalence])]
    if not all(0 < share < 1 for share in shares):
        raise SettingsError("--max-missed, --confidence and --prevalence must lie between 0 and 1")
    model = load_model(options.bundle)
    wanted = Options(tuple(sorted(set(options.max_missed))), options.confidence, options.prevalence)
    record = fit_study_answer(model, data_of(options, model), options.data, wanted, occasion_of(options))
    print(summary(record))
