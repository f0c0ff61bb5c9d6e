"""Check that no patient who trained a bundle's network is used to fit or measure it afterwards."""

from __future__ import annotations

from typing import Final

from candor.files.document import read_document
from candor.model.bundle import METADATA, Model
from candor.study.errors import DataError
from training.bundles.metadata import SPLITS
from training.data.readers import Dataset, nih
from training.data.splits import Subset

_EXPORT: Final = "export the bundle again (python -m training export)"


def require_unseen(model: Model, dataset: Dataset) -> None:
    """Check that no patient of a data set trained or validated a bundle's network.

    Patients of another data set are taken for other people, whatever their identifiers.

    Parameters
    ----------
    model
        The bundle.
    dataset
        The data to fit or measure on.

    Raises
    ------
    DataError
        Some did: the data set is not divided as it was for training.
    BundleError
        The bundle does not list the patients who trained it.
    """
    record = read_document(model.root / METADATA, _EXPORT).at("candor").at("training")
    if record.values.get("data", nih.NAME) != dataset.source:  # older bundles are all of ChestX-ray14
        return
    listed = read_document(model.root / SPLITS, _EXPORT).at("patients")
    taken = [listed.texts(s.value) for s in (Subset.TRAIN, Subset.VALIDATION) if s.value in listed.values]
    seen = set(dataset.patients().tolist()).intersection(*[set().union(*taken)])
    if seen:
        raise DataError(
            f"{len(seen)} patients to be fitted to or measured trained the network; divide the data as for training "
            f"(--split; {model.root / SPLITS} states the rule)"
        )
