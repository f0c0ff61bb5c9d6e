"""Logits from the head of each patient's own fold, for a bundle whose head was refitted to these patients.

The head that the bundle serves was fitted to all of them, so its own logits would look too good. The bundle keeps, for
each fold, the head that was fitted to the other folds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from candor.files.reader import JsonFile, Record, Text
from candor.model.bundle import METADATA, Model
from candor.model.outputs import Outputs
from training.data.dataset import Dataset
from training.predictions.cross_fitting import folds_of

HEADS: Final = Path("models", "heads.safetensors")
"""File in a bundle: ``shipped.weight`` and ``.bias``, and ``fold.weight`` and ``.bias`` with the folds first."""

_REMEDY: Final = "refit the head again (python -m training calibrate --refit-head)"


class _Candor(Record):
    """Candor's part of the metadata, where a head was refitted."""

    class Head(Record):
        """To whom the head was refitted, and the hash of the other heads."""

        data: Text
        heads_sha256: Text

    head: Head | None = None


def refitted_to(model: Model) -> str | None:
    """Return the name of the data that a bundle's head was refitted to; None where it is the head of training.

    Raises
    ------
    BundleError
        The heads of the folds are missing or others.
    """
    file = JsonFile(model.root / METADATA, _REMEDY)
    head = file.read(_Candor, at="candor").head
    if head is None:
        return None
    file.require_hash("candor.head.heads_sha256", head.heads_sha256, model.root / HEADS)
    return head.data


def logits_out_of_fold(model: Model, dataset: Dataset, outputs: Outputs) -> NDArray[np.float32]:
    """Return the logits of every picture, by a head that was not fitted to its patient: ``(images, findings)``.

    Parameters
    ----------
    model
        The bundle.
    dataset
        The pictures.
    outputs
        What its network answers; these logits are returned where the head was not refitted to this data set.
    """
    if refitted_to(model) != dataset.source:
        return outputs.logits
    heads, folds = load_file(model.root / HEADS), folds_of(dataset.patients())
    weight, bias = heads["fold.weight"][folds], heads["fold.bias"][folds]
    return np.asarray(np.einsum("nc,nfc->nf", outputs.features, weight) + bias, np.float32)
