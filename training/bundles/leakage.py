"""Check that no patient who trained a bundle's network is used to fit or measure it afterwards."""

from __future__ import annotations

from typing import Final

from candor.files.reader import JsonFile, Record
from candor.model.bundle import METADATA, Model
from candor.study.errors import DataError
from training.bundles.metadata import SPLITS
from training.data.readers import Dataset, nih

_EXPORT: Final = "export the bundle again (python -m training export)"


class _Training(Record):
    """Where the network's pictures came from; older bundles are all of ChestX-ray14."""

    data: object = nih.NAME


class _Patients(Record):
    """The patients of the two subsets that shaped the network."""

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()


def require_unseen(model: Model, dataset: Dataset) -> None:
    """Check that no patient of a data set trained or validated a bundle's network.

    Patients of another data set are taken for other people, whatever their identifiers.

    Parameters
    ----------
    model
        The bundle.
    dataset
        The data to fit or measure on.

    Parameters
    ----------
    model
        The network, whose bundle lists its patients.
    dataset
        What is to be fitted to or measured.

    Raises
    ------
    DataError
        Some did: the data set is not divided as it was for training.
    BundleError
        The bundle does not list the patients who trained it.
    """
    if JsonFile(model.root / METADATA, _EXPORT).read(_Training, at="candor.training").data != dataset.source:
        return
    listed = JsonFile(model.root / SPLITS, _EXPORT).read(_Patients, at="patients")
    seen = set(dataset.patients().tolist()) & {*listed.train, *listed.validation}
    if seen:
        raise DataError(
            f"{len(seen)} patients to be fitted to or measured trained the network; divide the data as for training "
            f"(--split; {model.root / SPLITS} states the rule)"
        )
