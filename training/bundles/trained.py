"""Read the result of training from its work folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import ConfigDict, Field, RootModel

from candor.files.reader import JsonFile, Record, Text
from candor.model.preprocess import InputSpec
from candor.study.errors import BundleError
from candor.study.findings import Finding, finding_named

TRAIN_AGAIN: Final = "train again (python -m training train)"


class Shares(RootModel[dict[str, Annotated[float, Field(ge=1e-6, le=1 - 1e-6)]]]):
    """Share of positives of each finding, by its label."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class _Recipe(Record):
    """What a bundle needs of the recipe."""

    network: Text


class _TrainFile(Record):
    """What a bundle needs of ``train.json``."""

    recipe: _Recipe
    input: InputSpec
    shares: Shares


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

    def reading(self, detail: int | None) -> Trained:
        """Return the same network, which reads pictures of so many rows and columns; None leaves them as they are.

        Raises
        ------
        BundleError
            The network reads no picture of so much detail.
        """
        if detail is None:
            return self
        if not 16 <= detail <= self.input.side:
            raise BundleError(f"detail is {detail}; give 16 to {self.input.side}, the side of the network's input")
        return replace(self, input=replace(self.input, detail=detail))

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
    file = JsonFile(folder / "train.json", TRAIN_AGAIN)
    record = file.read(_TrainFile)
    return Trained(
        folder=folder,
        architecture=record.recipe.network,
        input=record.input,
        shares={finding_named(label): share for label, share in record.shares.root.items()},
        record=json.loads(file.path.read_bytes()),
    )
