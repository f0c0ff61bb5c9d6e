"""The verb about the learned gate: fit-error-model."""

from __future__ import annotations

import argparse
from pathlib import Path

from candor.command_line import AddVerb
from training.cli.options import add_bundle, add_data, add_date, occasion_of
from training.learned_gate.options import Options


def add_fit_learned_gate(add: AddVerb) -> None:
    """Add the verb to a command line."""
    defaults = Options()
    switch = argparse.BooleanOptionalAction
    text = "Fit the learned gate to the unseen patients. It is used only if it beats confidence out of fold."
    verb = add(_fit_learned_gate, "fit-error-model", text)
    add_bundle(verb)
    add_data(verb)
    add_date(verb)
    verb.add_argument("--prior", action=switch, default=defaults.prior, help="use the classifier's log-odds as input")
    verb.add_argument(
        "--balanced", action=switch, default=defaults.balanced, help="weigh wrong answers as much as right ones"
    )
    verb.add_argument(
        "--lung-field", action=switch, default=False, help="use the heatmap's share outside the lungs as input"
    )
    verb.add_argument(
        "--limit", type=float, default=defaults.limit, help="defer where P(wrong) is over it, in (0, 0.5)"
    )
    verb.add_argument(
        "--seed", type=int, default=defaults.seed, help="seed of the weights, the order and the bootstrap"
    )
    verb.add_argument("--epochs", type=int, default=defaults.epochs, help="passes over the answers")
    verb.add_argument(
        "--report", type=Path, metavar="PAGE", help="fit with and without prior and balance, and write it into a page"
    )


def _fit_learned_gate(options: argparse.Namespace) -> None:
    from candor.model.bundle import load_model
    from training.cli.inputs import data_of
    from training.learned_gate.run import fit_learned_gate

    names = ("prior", "balanced", "limit", "seed", "epochs")
    wanted = Options(**{name: getattr(options, name) for name in names})
    model = load_model(options.bundle)
    dataset, occasion = data_of(options, model), occasion_of(options)
    judged = fit_learned_gate(model, dataset, wanted, occasion, lung_field=options.lung_field, page=options.report)
    print(judged.fitted.model.description)
    print("active" if judged.verdict.active else "not active", judged.verdict.text, sep=": ")
