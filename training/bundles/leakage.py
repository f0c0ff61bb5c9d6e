"""The patients whom a bundle's network never saw: all that is fitted or measured afterwards is of them."""

from __future__ import annotations

from typing import Final

from candor.files.reader import JsonFile, Record
from candor.model.bundle import METADATA, Model
from candor.study.errors import DataError
from training.bundles.metadata import SPLITS
from training.data.readers import Dataset, nih
from training.data.splits import Subset

_EXPORT: Final = "export the bundle again (python -m training export)"


class _Training(Record):
    """Where the network's pictures came from; older bundles are all of ChestX-ray14."""

    data: object = nih.NAME


class _Patients(Record):
    """The patients of the two subsets that shaped the network."""

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()


def unseen_part(model: Model, dataset: Dataset) -> Dataset:
    """Return the patients of a data set whom the network never saw.

    Of the data set that trained it, these are the UNSEEN patients. Patients of another data set are taken for other
    people, whatever their identifiers, and all of them are used.

    Parameters
    ----------
    model
        The network, whose bundle lists its patients.
    dataset
        The data to fit to or to measure on.

    Raises
    ------
    DataError
        There is none, or some trained the network: the data set is not divided as it was for training.
    BundleError
        The bundle does not list the patients who trained it.
    """
    if from_elsewhere(model, dataset):
        return dataset
    part = dataset.only(Subset.UNSEEN)
    if not part.images:
        raise DataError(
            "no picture is of an unseen patient; give a data set with official test patients, or a split by hash, as "
            "70-15-15"
        )
    _require_unseen(model, part)
    return part


def from_elsewhere(model: Model, dataset: Dataset) -> bool:
    """Return whether a data set is another one than that which trained the network.

    Parameters
    ----------
    model
        The network.
    dataset
        The data to fit to or to measure on.

    Raises
    ------
    BundleError
        The bundle's metadata cannot be read.
    """
    return JsonFile(model.root / METADATA, _EXPORT).read(_Training, at="candor.training").data != dataset.source


def _require_unseen(model: Model, dataset: Dataset) -> None:
    listed = JsonFile(model.root / SPLITS, _EXPORT).read(_Patients, at="patients")
    seen = set(dataset.patients().tolist()) & {*listed.train, *listed.validation}
    if seen:
        raise DataError(
            f"{len(seen)} patients to be fitted to or measured trained the network; divide the data as for training "
            f"(--split; {model.root / SPLITS} states the rule)"
        )
