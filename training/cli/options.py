"""Options that several verbs share; :mod:`training.cli.inputs` reads what they name."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from training.data.policy import POLICIES
from training.data.splits import SPLITS
from training.names import DATASET_KINDS
from training.records import Occasion


def add_bundle(verb: argparse.ArgumentParser) -> None:
    """Add ``--bundle``."""
    verb.add_argument("--bundle", type=Path, default=Path("models/cxr"), help="folder of the bundle")


def add_data(verb: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add ``--data`` and the options that say how the data set is read.

    Parameters
    ----------
    verb
        Parser of the verb.
    required
        Whether ``--data`` must be given.
    """
    verb.add_argument("--data", type=Path, required=required, help="folder of the data set")
    add_kind(verb)
    verb.add_argument("--policy", choices=list(POLICIES), default="u-ignore", help="what uncertain labels count as")
    verb.add_argument(
        "--split", choices=list(SPLITS), help="how patients are divided; by default the official lists, if any"
    )


def add_kind(verb: argparse.ArgumentParser) -> None:
    """Add ``--kind``."""
    verb.add_argument("--kind", choices=["auto", *DATASET_KINDS], default="auto", help="layout of the data set")


def add_predictions(verb: argparse.ArgumentParser, *, required: bool) -> None:
    """Add ``--predictions`` and ``--labels``; see :mod:`training.predictions.table`.

    Parameters
    ----------
    verb
        Parser of the verb.
    required
        Whether ``--predictions`` must be given.
    """
    verb.add_argument(
        "--predictions",
        type=Path,
        required=required,
        metavar="TABLE",
        help="scores of the bundle's network with labels: CSV, or results.json of the application with --labels",
    )
    verb.add_argument(
        "--labels", type=Path, metavar="CSV", help="table of labels and patients, if they are not in --predictions"
    )


def add_site(verb: argparse.ArgumentParser) -> None:
    """Add ``--site``."""
    verb.add_argument("--site", help="name of the site that the images are from; by default the table's name")


def add_date(verb: argparse.ArgumentParser) -> None:
    """Add ``--date``."""
    verb.add_argument(
        "--date", type=date.fromisoformat, default=date.today(), help="date to write into the files, YYYY-MM-DD"
    )


def occasion_of(options: argparse.Namespace) -> Occasion:
    """Return the date and the command of a verb that has ``--date``."""
    return Occasion(options.date, options.command)
