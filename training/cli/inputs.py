"""Read the data set or the predictions that a command line names.

The verbs import this module when they run: it imports numpy.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from candor.model.bundle import Model
from candor.study.errors import DataError, SettingsError
from candor.words.results_json import read_results
from training.data.readers import Dataset, read_dataset
from training.predictions.fold_heads import refitted_to
from training.predictions.table import Predictions, read_predictions


def data_of(options: argparse.Namespace, model: Model) -> Dataset:
    """Read the data set that a command line names, with the findings of a bundle.

    Parameters
    ----------
    options
        ``data``, ``kind``, ``policy`` and ``split``; see :func:`training.cli.options.add_data`.
    model
        The labels get its findings, in its order.

    Raises
    ------
    DataError
        No reader knows the folder, or it knows none of the findings; see :func:`training.data.readers.read_dataset`.
    """
    return read_dataset(options.data, options.kind, findings=model.findings, policy=options.policy, split=options.split)


def predictions_of(options: argparse.Namespace, model: Model) -> Predictions:
    """Read the predictions that a command line names, with the findings of a bundle.

    Parameters
    ----------
    options
        ``predictions``, ``labels`` and ``site``; see :func:`training.cli.options.add_predictions`.
    model
        The labels get its findings, in its order.

    Raises
    ------
    DataError
        A table cannot be used; see :func:`training.predictions.table.read_predictions`. Or the scores are of a head
        that was refitted to this site.
    """
    predictions = read_predictions(options.predictions, options.labels, model.findings)
    predictions = replace(predictions, source=options.site or predictions.source)
    if refitted_to(model) == predictions.source:
        raise DataError(
            f"the head of {model.root} was refitted to {predictions.source}, so its scores of the same patients look "
            "too good; give --data"
        )
    return predictions


def require_one_source(options: argparse.Namespace, verb: str) -> None:
    """Check that a command line names a data set or predictions, and not both.

    Parameters
    ----------
    options
        ``data`` and ``predictions``, None where not given.
    verb
        Name of the verb, for the error.

    Raises
    ------
    SettingsError
        Neither is given, or both are.
    """
    if (options.data is None) == (options.predictions is None):
        raise SettingsError(f"{verb} needs either --data or --predictions, and not both")


def require_same_model(results: Path, model: Model) -> None:
    """Check that a ``results.json`` was written with the network of a bundle.

    Parameters
    ----------
    results
        The file. A CSV does not name the network that wrote it, so it is not checked.
    model
        The bundle.

    Raises
    ------
    DataError
        It was written with another network, or is not a ``results.json``.
    """
    if results.suffix != ".json":
        return
    by = read_results(results).model
    if (by.name, by.version) != (model.name, model.version):
        raise DataError(
            f"{results} was written with {by.name} {by.version}, but the bundle is {model.name} {model.version}; run "
            "the application with this bundle over the cases"
        )
