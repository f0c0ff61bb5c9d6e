"""The verbs about a bundle: export and evaluate; those of calibration and of the gate have modules of their own.

A verb of a bundle and a data set begins with :func:`add_bundle_and_data` and reads both with :func:`data_of`.
"""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from candor.command_line import AddVerb
from candor.model.bundle import Model, load_bundle
from training.bundles.export import export
from training.bundles.trained import read_trained
from training.data.readers import POLICIES, READERS, Dataset, read_dataset
from training.data.splits import SPLITS
from training.measure.evaluate import evaluate
from training.model_card.card import write_card
from training.records import Occasion


def add_fitting_verbs(add: AddVerb) -> None:
    """Add the verbs to a command line."""
    _add_export(add)
    _add_evaluate(add)


def add_bundle_and_data(verb: argparse.ArgumentParser, required: bool = True) -> None:
    """Let a verb take a bundle, a data set in any layout, and the date."""
    verb.add_argument("--bundle", type=Path, default=Path("models/cxr"), help="the bundle's folder")
    verb.add_argument("--data", type=Path, required=required, help="folder of a data set")
    verb.add_argument("--kind", choices=["auto", *READERS], default="auto", help="the data set's layout")
    verb.add_argument("--policy", choices=list(POLICIES), default="u-ignore", help="what uncertain labels count as")
    verb.add_argument(
        "--split", choices=list(SPLITS), help="how patients are divided; by default the official lists, if any"
    )
    verb.add_argument("--date", type=date.fromisoformat, default=date.today(), help="stands in the file, YYYY-MM-DD")


def data_of(options: argparse.Namespace, model: Model) -> Dataset:
    """Read the data set that a command line names, with the findings of its bundle, in the bundle's order.

    Raises
    ------
    DataError
        No reader knows the folder, or it knows none of the findings; see :func:`training.data.readers.read_dataset`.
    """
    return read_dataset(options.data, options.kind, findings=model.findings, policy=options.policy, split=options.split)


def occasion_of(options: argparse.Namespace) -> Occasion:
    """Say when and by what command a verb runs."""
    return Occasion(options.date, options.command)


def _add_export(add: AddVerb) -> None:
    verb = add(_export, "export", "Make a bundle of what training left; it defers everything at first.")
    verb.add_argument("--work", type=Path, default=Path("work"), help="folder that training wrote")
    verb.add_argument("--bundle", type=Path, default=Path("models/cxr"), help="folder to write; a bundle is replaced")


def _export(options: argparse.Namespace) -> None:
    print(export(read_trained(options.work), options.bundle))


def _add_evaluate(add: AddVerb) -> None:
    text = "Measure a bundle on the test patients; writes the figures, a report and the card, and prints this."
    add_bundle_and_data(add(_evaluate, "evaluate", text))


def _evaluate(options: argparse.Namespace) -> None:
    bundle = load_bundle(options.bundle)
    evaluate(bundle, data_of(options, bundle), occasion_of(options), options.data)
    print(write_card(options.bundle).read_text(), end="")
