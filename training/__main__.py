"""``python -m training``: the verbs that make a bundle, from train to evaluate.

The modules of the verbs import only what their help needs; a verb imports its work when it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from candor.command_line import EXIT_UNUSABLE, run_verb
from training.cli.audit import add_audit_verb
from training.cli.bundle import add_bundle_verbs
from training.cli.calibration import add_calibration_verbs
from training.cli.checks import add_check_verbs
from training.cli.gate import add_gate_verbs
from training.cli.learned_gate import add_fit_learned_gate
from training.cli.shortcut import add_shortcut_verbs
from training.cli.study_answer import add_study_answer_verb
from training.cli.train import add_training_verbs

__all__ = ["EXIT_UNUSABLE", "main"]

GROUPS: Final = (
    add_training_verbs,
    add_bundle_verbs,
    add_calibration_verbs,
    add_gate_verbs,
    add_fit_learned_gate,
    add_study_answer_verb,
    add_audit_verb,
    add_shortcut_verbs,
    add_check_verbs,
)
"""Functions that add the verbs of a module to the command line."""


def main(arguments: Sequence[str] | None = None, program: str | None = None) -> int:
    """Run one verb, and return its exit code.

    Parameters
    ----------
    arguments, program
        As for :func:`candor.command_line.run_verb`.
    """
    return run_verb("training", "Make the bundle that Candor runs.", GROUPS, arguments, program)


if __name__ == "__main__":
    sys.exit(main())
