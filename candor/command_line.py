"""The command line of verbs that training and the node share."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from candor.study.errors import CandorError

EXIT_UNUSABLE: Final = 2

AddVerb = Callable[[Callable[[argparse.Namespace], None], str, str], argparse.ArgumentParser]
"""Adds a verb to a command line, from the function that runs it, its name and its help."""


def run_verb(
    package: str,
    description: str,
    groups: Iterable[Callable[[AddVerb], None]],
    arguments: Sequence[str] | None,
    program: str | None = None,
) -> int:
    """Run one verb; an error that Candor raises on purpose becomes one line on standard error.

    Parameters
    ----------
    package
        The package that ``python -m`` runs.
    description
        One line for the help.
    groups
        Functions that each add one or more verbs.
    arguments
        The command line; None for that of the process.
    program
        The command as the help shows it; None for ``python -m`` and the package.

    Returns
    -------
    0, or ``EXIT_UNUSABLE`` after a :class:`candor.study.errors.CandorError`.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = verb_parser(program or f"python -m {package}", description, groups).parse_args(given)
    options.command = f"python -m {package} {shlex.join(given)}"
    try:
        options.verb(options)
    except CandorError as error:
        print(f"{package}: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    return 0


def verb_parser(program: str, description: str, groups: Iterable[Callable[[AddVerb], None]]) -> argparse.ArgumentParser:
    """Return the parser of :func:`run_verb`, which understands a command without running it.

    Parameters
    ----------
    program
        The command as the help shows it.
    description, groups
        As for :func:`run_verb`.
    """
    parser = argparse.ArgumentParser(program, description=description)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for add_verbs in groups:
        add_verbs(partial(_add, verbs))
    return parser


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Show the defaults that there are."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, []) else super()._get_help_string(action)


def _add(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    run: Callable[[argparse.Namespace], None],
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=text, formatter_class=_Help)
    verb.set_defaults(verb=run)
    return verb
