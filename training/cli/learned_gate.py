"""The verb about the learned gate: fit-error-model."""

from __future__ import annotations

import argparse
from pathlib import Path

from candor.command_line import AddVerb
from candor.model.bundle import load_model
from training.cli.bundle import add_bundle_and_data, data_of, occasion_of
from training.learned_gate.fit import EPOCHS, Options
from training.learned_gate.run import fit_error_model


def add_fit_error_model(add: AddVerb) -> None:
    """Add the verb to a command line."""
    defaults = Options()
    switch = argparse.BooleanOptionalAction
    verb = add(
        _fit_error_model,
        "fit-error-model",
        "Fit the learned gate to the gate and calibration patients, and use it only if it beats confidence on the test "
        "patients.",
    )
    add_bundle_and_data(verb)
    verb.add_argument("--prior", action=switch, default=defaults.prior, help="see the classifier's log-odds")
    verb.add_argument(
        "--balanced", action=switch, default=defaults.balanced, help="wrong answers weigh as much as right ones"
    )
    verb.add_argument("--lung-field", action=switch, default=False, help="see the heatmap's share outside the lungs")
    verb.add_argument(
        "--limit", type=float, default=defaults.limit, help="defer where P(wrong) is over it, in (0, 0.5)"
    )
    verb.add_argument("--seed", type=int, default=defaults.seed, help="of weights, order and bootstrap")
    verb.add_argument("--epochs", type=int, default=EPOCHS, help="passes over the answers")
    verb.add_argument(
        "--report", type=Path, metavar="PAGE", help="fit with and without prior and balance, and write it into a page"
    )


def _fit_error_model(options: argparse.Namespace) -> None:
    names = ("prior", "balanced", "limit", "seed", "epochs")
    wanted = Options(**{name: getattr(options, name) for name in names})
    model = load_model(options.bundle)
    dataset, occasion = data_of(options, model), occasion_of(options)
    judged = fit_error_model(model, dataset, wanted, occasion, lung_field=options.lung_field, page=options.report)
    print(judged.fitted.model.description)
    print("active" if judged.verdict.active else "not active", judged.verdict.text, sep=": ")
