"""``python -m training``: the verbs that make a bundle, from find-lr and train to evaluate."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from cxr.errors import CandorError
from training.audit_verb import add_audit_verb
from training.calibration_verbs import add_calibration_verbs
from training.error_model.verbs import add_fit_error_model
from training.familiarity_verb import add_fit_familiarity
from training.fitting_verbs import add_fitting_verbs
from training.gate_verbs import add_gate_verbs
from training.lungs_verb import add_train_lungs
from training.screen_verbs import add_train_screen
from training.shortcut_verbs import add_shortcut_verbs
from training.training_verbs import add_training_verbs

EXIT_UNUSABLE: Final = 2

GROUPS: Final = (
    add_training_verbs,
    add_fitting_verbs,
    add_calibration_verbs,
    add_gate_verbs,
    add_fit_error_model,
    add_fit_familiarity,
    add_audit_verb,
    add_shortcut_verbs,
    add_train_lungs,
    add_train_screen,
)
"""Each adds the verbs of its module to the command line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; what Candor raises on purpose becomes one line on standard error and exit code 2."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(given)
    options.command = f"python -m training {shlex.join(given)}"
    try:
        options.verb(options)
    except CandorError as error:
        print(f"training: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m training", description="Make the bundle that Candor runs.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for add_verbs in GROUPS:
        add_verbs(partial(_verb, verbs))
    return parser


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    run: Callable[[argparse.Namespace], None],
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    verb.set_defaults(verb=run)
    return verb


if __name__ == "__main__":
    sys.exit(main())
