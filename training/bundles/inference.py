"""Classify a folder of pictures and write a table of probabilities, for the bundle's ``configs/inference.yaml``."""

from __future__ import annotations

import csv
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from candor import RESEARCH_USE
from candor.model.preprocess import InputSpec, to_network_input
from candor.study.errors import DataError
from candor.study.findings import Finding
from training.data.pictures import as_radiograph, read_picture
from training.monai import KeysCollection, MapTransform

SUFFIXES = (".jpg", ".jpeg", ".png")


def pictures(folder: Path) -> list[dict[str, str]]:
    """List the pictures of a folder by name: ``image`` is the path and ``name`` the file's name.

    Raises
    ------
    DataError
        The folder holds no picture.
    """
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(f"{folder} holds no picture ({', '.join(SUFFIXES)}); give another dataset_dir")
    return [{"image": str(path), "name": path.name} for path in found]


class Preprocess(MapTransform):
    """Replace each path by the network's input: the application's own preprocessing as a MONAI transform.

    Parameters
    ----------
    keys
        Keys of the paths in MONAI's dictionary.
    spec
        The network's input.
    """

    def __init__(self, keys: KeysCollection, spec: InputSpec) -> None:
        super().__init__(keys)
        self._spec = spec

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with arrays ``(sizes, side, side)`` float32 in place of the paths."""
        done = dict(data)
        for key in self.key_iterator(done):
            done[key] = to_network_input(as_radiograph(read_picture(Path(done[key]))), self._spec)
        return done


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Classify the batches of a loader and write one row for each picture.

    Parameters
    ----------
    network
        ``(n, sizes, side, side)`` to logits ``(n, findings)``.
    inferer
        MONAI's: called with the inputs and the network.
    dataloader
        Gives batches with ``image`` and ``name``.
    postprocessing
        Replaces the logits under ``pred``, an array ``(n, findings)``, by probabilities.
    device
        Device of the network.
    findings
        In the order of the outputs.
    output
        The CSV file; its folder is made if needed.
    """

    network: torch.nn.Module
    inferer: Callable[[Tensor, torch.nn.Module], Tensor]
    dataloader: Iterable[Mapping[str, Any]]
    postprocessing: Callable[[dict[str, Any]], dict[str, Any]]
    device: torch.device
    findings: Sequence[Finding]
    output: Path

    def run(self) -> None:
        """Classify all batches and write the table."""
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with self.output.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["image", *(finding.label for finding in self.findings), "note"])
            for batch in self.dataloader:
                for name, probabilities in zip(batch["name"], self._probabilities(batch), strict=True):
                    table.writerow([name, *(f"{p:.6f}" for p in probabilities), RESEARCH_USE])

    def _probabilities(self, batch: Mapping[str, Any]) -> Iterable[Iterable[float]]:
        with torch.inference_mode():
            logits = self.inferer(batch["image"].to(self.device), self.network)
        answered: Iterable[Iterable[float]] = self.postprocessing({"pred": logits.cpu().numpy()})["pred"]
        return answered
