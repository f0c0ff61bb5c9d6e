"""Write a refitted head into a bundle: in place of the shipped one in the weights, so that nothing changes at run time.

The graph reads the weights at offsets into their file, so both engines and the heatmaps use the new head. The shipped
head, and the heads that were fitted without each fold, are kept beside it, see :mod:`training.predictions.fold_heads`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from candor.files.durable import whole_file
from candor.files.hashes import file_sha256
from candor.model.bundle import FAMILIARITY, METADATA, PERCENTILES, STUDY_ANSWER, Model, load_model
from training.bundles.onnx_export import tensor_extents
from training.predictions.fold_heads import HEADS, refitted_to
from training.records import write_json

WEIGHT, BIAS = "head.weight", "head.bias"

Floats = NDArray[np.float64]


def shipped_head(model: Model) -> tuple[Floats, Floats]:
    """Return weight ``(findings, channels)`` and bias ``(findings,)`` of the head that training made.

    Raises
    ------
    BundleError
        The head was refitted, and the file that keeps the shipped one is missing or another.
    """
    if refitted_to(model) is None:
        tensors = load_file(model.weights)
        return tensors[WEIGHT].astype(np.float64), tensors[BIAS].astype(np.float64)
    tensors = load_file(model.root / HEADS)
    return tensors["shipped.weight"].astype(np.float64), tensors["shipped.bias"].astype(np.float64)


def write_head(
    model: Model, head: tuple[Floats, Floats], folds: tuple[Floats, Floats], facts: Mapping[str, object]
) -> Model:
    """Replace the head in a bundle's weights, and return the bundle as it then is.

    The calibration and the gate belong to the old weights and must be fitted again. The familiarity check stays: the
    features are the same. The percentiles are removed, and so is an answer for the study that uses logits.

    Parameters
    ----------
    model
        The bundle.
    head
        Weight ``(findings, channels)`` and bias ``(findings,)``.
    folds
        Those of each fold, the folds first.
    facts
        For ``candor.head`` in the metadata: ``data`` names the data that it was refitted to.
    """
    shipped = shipped_head(model)
    names = ("shipped.weight", "shipped.bias", "fold.weight", "fold.bias")
    tensors = {name: np.asarray(part, np.float32) for name, part in zip(names, (*shipped, *folds), strict=True)}
    with whole_file(model.root / HEADS) as file:
        file.write(save(tensors))
    _replace(model, dict(zip((WEIGHT, BIAS), head, strict=True)))
    weights = file_sha256(model.weights)
    metadata = json.loads((model.root / METADATA).read_bytes())
    hashes = {"heads_sha256": file_sha256(model.root / HEADS)}
    metadata["candor"] |= {"weights_sha256": weights, "head": {**facts, **hashes}}
    write_json(model.root / METADATA, metadata)
    for kept in (model.root / FAMILIARITY, model.root / STUDY_ANSWER):
        if kept.exists():
            record = json.loads(kept.read_bytes())
            if record.get("inputs") == "logits":  # an answer for the study that was fitted to the old head's logits
                kept.unlink()
            else:
                write_json(kept, record | {"weights_sha256": weights})
    (model.root / PERCENTILES).unlink(missing_ok=True)
    return load_model(model.root)


def _replace(model: Model, tensors: Mapping[str, Floats]) -> None:
    """Write tensors over those of the same name in the weights, in the type that these have."""
    content, extents = bytearray(model.weights.read_bytes()), tensor_extents(model.weights)
    old = load_file(model.weights)
    for name, values in tensors.items():
        extent = extents[name]
        content[extent.offset : extent.offset + extent.length] = values.astype(old[name].dtype).tobytes()
    with whole_file(model.weights) as file:
        file.write(content)
