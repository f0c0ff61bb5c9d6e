"""The options of ``python app.py`` and of ``candor run``.

They are not in ``app.py``, because its imports take seconds and ``candor run --help`` should answer at once.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

from candor import RESEARCH_USE, __version__
from candor.files.shipped import shipped

RUNNERS: Final = ("auto", "sdk", "plain")
"""The runners of the operators: the MONAI Deploy App SDK, plain Python, or ``auto``: the SDK where it is installed."""

RUNNER_VARIABLE: Final = "CANDOR_RUNNER"


def run_parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of the options that both commands have; an option takes precedence over its variable."""
    parser = argparse.ArgumentParser(prog=program, description=f"Assess chest radiographs. {RESEARCH_USE}.")
    for flag, name, variable, default, text in (
        ("-i", "--input", "HOLOSCAN_INPUT_PATH", Path("input"), "folder with DICOM files"),
        ("-o", "--output", "HOLOSCAN_OUTPUT_PATH", Path("output"), "folder for the results, made where it is missing"),
        ("-m", "--model", "HOLOSCAN_MODEL_PATH", shipped("models"), "model bundle, or the folder that holds it"),
        ("-c", "--config", "HOLOSCAN_CONFIG_PATH", shipped("app.yaml"), "app.yaml with settings"),
    ):
        where = os.environ.get(variable) or default
        named = f"the {default.name} that ships" if default.is_absolute() else default
        parser.add_argument(flag, name, type=Path, default=where, help=f"{text} (default: ${variable}, else {named})")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def add_runner(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--runner``; its value must be in the environment before ``app`` is imported."""
    parser.add_argument(
        "--runner",
        choices=RUNNERS,
        default=os.environ.get(RUNNER_VARIABLE) or "auto",
        help="what runs the operators: the MONAI Deploy App SDK, plain Python, or auto: the SDK where it is installed "
        f"(default: ${RUNNER_VARIABLE}, else auto)",
    )
