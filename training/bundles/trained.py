"""Read the result of training from its work folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from candor.files.document import read_document
from candor.model.bundle import input_spec
from candor.model.preprocess import InputSpec
from candor.study.findings import Finding, finding_named

TRAIN_AGAIN: Final = "train again (python -m training train)"


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of training in its work folder.

    Parameters
    ----------
    folder
        Holds ``model.safetensors``, ``train.json`` and ``splits.json``.
    architecture
        A key of :data:`candor.model.networks.registry.NETWORKS`.
    input
        Input that the network was trained on.
    shares
        Share of positives among the training pictures, in (0, 1), in the order of the outputs.
    record
        How it was trained: the content of ``train.json``.
    """

    folder: Path
    architecture: str
    input: InputSpec
    shares: Mapping[Finding, float]
    record: Mapping[str, object]

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        return self.folder / "model.safetensors"


def read_trained(folder: Path) -> Trained:
    """Read the result of training.

    Raises
    ------
    BundleError
        ``train.json`` is missing or lacks what a bundle needs.
    DataError
        It names an unknown finding.
    """
    record = read_document(folder / "train.json", TRAIN_AGAIN)
    shares = record.at("shares")
    return Trained(
        folder=folder,
        architecture=record.at("recipe").text("network"),
        input=input_spec(record.at("input")),
        shares={finding_named(label): shares.number(label, 1e-6, 1 - 1e-6) for label in shares.values},
        record=record.values,
    )
