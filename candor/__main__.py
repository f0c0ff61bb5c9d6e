"""The ``candor`` command: ``candor run``, ``candor node VERB``, ``candor model VERB``, ``candor where``.

Each part is imported when its command is called, so the small installation only needs the packages of ``candor run``,
and help answers at once. This module and :mod:`candor.assessment` are the only ones of the core that import packages
above it; no module imports this one.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from candor import RESEARCH_USE, __version__
from candor.command_line import EXIT_UNUSABLE
from candor.files.shipped import shipped_folder
from candor.run_options import RUNNER_VARIABLE, add_runner, run_parser
from candor.study.errors import CandorError

DISTRIBUTION: Final = "candor-cxr"
_OWN: Final = ("app", "candor", "gateway", "operators", "training")


@dataclass(frozen=True, slots=True)
class Command:
    """One of the commands.

    Parameters
    ----------
    text
        The help text.
    extra
        The extra of the installation that has the packages of the command.
    run
        Takes the arguments after the command and returns the exit code.
    """

    text: str
    extra: str
    run: Callable[[Sequence[str]], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    The command's own exit code; 2 where something is missing or cannot be used.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    name = _parser().parse_args(given[:1]).command  # the command parses the words after the first
    command = COMMANDS[name]
    try:
        return command.run(given[1:])
    except CandorError as error:
        print(f"candor: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OWN:
            raise
        print(
            f"candor: '{missing}' is not installed, and candor {name} needs it; "
            f"pip install '{DISTRIBUTION}[{command.extra}]'",
            file=sys.stderr,
        )
    return EXIT_UNUSABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("candor", description=f"Chest X-ray inference for a PACS. {RESEARCH_USE}.")
    parser.add_argument("--version", action="version", version=__version__)
    names = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        names.add_parser(name, help=command.text, add_help=False)
    return parser


def _run(words: Sequence[str]) -> int:
    parser = run_parser("candor run")
    add_runner(parser)
    options = parser.parse_args(words)
    os.environ[RUNNER_VARIABLE] = options.runner
    from app import run

    return run(options)


def _node(words: Sequence[str]) -> int:
    from gateway.__main__ import main as run_node

    return run_node(words, "candor node")


def _model(words: Sequence[str]) -> int:
    from training.__main__ import main as run_training

    return run_training(words, "candor model")


def _where(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "candor where",
        description="Print the folder that holds app.yaml, gateway.yaml and models, the demonstration bundle, as they "
        "ship: copy them to change them.",
    )
    parser.parse_args(words)
    print(shipped_folder())
    return 0


COMMANDS: Final = {
    "run": Command("assess the radiographs of a folder", "sdk", _run),
    "node": Command("run the DICOM node, or work with it", "node", _node),
    "model": Command("make, calibrate or evaluate a model bundle", "train", _model),
    "where": Command("print where the shipped settings and the demonstration bundle lie", "core", _where),
}

if __name__ == "__main__":
    sys.exit(main())
