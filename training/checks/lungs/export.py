"""Train the network that finds the lung field, write it as ONNX with its card, and measure what was written."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from candor import RESEARCH_USE
from candor.files.durable import whole_file
from candor.files.hashes import file_sha256
from candor.picture.lungs import SHARES, LungField, field
from candor.study.errors import BundleError
from training.checks.lungs.data import FREE, LungPicture, Part, read_lungs, read_masks
from training.checks.lungs.recipe import LungRecipe
from training.checks.lungs.score import by_source, dice, mean_mask
from training.checks.lungs.train import INPUT, network_inputs, train_network
from training.records import Occasion, write_json

Floats = NDArray[np.float32]

TOLERANCE: Final = 1e-4
"""Largest difference of probabilities between ONNX Runtime and torch that an export may have."""

ABOUT: Final = "Lung field of frontal chest radiographs, the lung behind the heart's shadow included."


def make_lungs(
    covid: Path, hannover: Path, masks: Path, out: Path, recipe: LungRecipe, occasion: Occasion
) -> dict[str, object]:
    """Train, export, measure, and write the card.

    Parameters
    ----------
    covid, hannover, masks
        As for :func:`training.checks.lungs.data.read_lungs`.
    out
        The ONNX file to write; its card gets the suffix ``.json``.
    recipe
        How the network is trained.
    occasion
        Date and command, for the card.

    Returns
    -------
    The card.

    Raises
    ------
    DataError
        The data cannot be read, or hold too little to learn from.
    BundleError
        ONNX Runtime does not answer as torch does.
    """
    parts = read_lungs(covid, hannover, masks)
    drawn = {part: read_masks(masks, pictures, INPUT.side) for part, pictures in parts.items() if pictures}
    inputs = {part: network_inputs(parts[part]) for part in drawn}
    network = train_network(inputs[Part.TRAIN], drawn[Part.TRAIN], recipe)
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as file:
        file.write(graph(network))
    card = _identity(out) | {"training": _facts(parts[Part.TRAIN]), "recipe": asdict(recipe)} | occasion.facts
    write_json(out.with_suffix(".json"), card)
    lungs = LungField(out)
    card["agreement"] = agreement(network, lungs, _standard(inputs[Part.TRAIN][:8]))
    card["measured"] = _measured(lungs, parts, inputs, drawn, recipe.seed)
    write_json(out.with_suffix(".json"), card)
    return card


def _identity(out: Path) -> dict[str, object]:
    return {
        "about": ABOUT,
        "use": RESEARCH_USE,
        "sha256": file_sha256(out),
        "input": asdict(INPUT),
        "plausible_share": list(SHARES),
    }


def _facts(pictures: Sequence[LungPicture]) -> dict[str, object]:
    return {
        "pictures": len(pictures),
        "patients": len({picture.patient for picture in pictures}),
        "sources": dict(sorted(Counter(picture.source for picture in pictures).items())),
        "licences": dict(sorted(Counter(picture.licence for picture in pictures).items())),
        "licences_allowed": sorted(FREE),
        "names": [picture.path.name for picture in pictures],
    }


def _standard(images: Floats) -> Floats:
    return np.asarray((images - np.float32(INPUT.mean)) / np.float32(INPUT.std), np.float32)


def _measured(
    lungs: LungField,
    parts: Mapping[Part, Sequence[LungPicture]],
    inputs: Mapping[Part, Floats],
    drawn: Mapping[Part, Floats],
    seed: int,
) -> dict[str, object]:
    """Measure Dice of the network and of the training masks' mean, on pictures that are not in TRAIN."""
    baseline = mean_mask(drawn[Part.TRAIN])
    measured: dict[str, object] = {}
    for part in (Part.HELD_OUT, Part.OTHER):
        if part in drawn:
            truth = drawn[part] > 0.5
            found = np.stack([field(p) for p in lungs.probabilities(_standard(inputs[part]))[:, 0]])
            scores = {"network": dice(found, truth), "mean mask": dice(np.broadcast_to(baseline, truth.shape), truth)}
            measured[part.value] = by_source(scores, parts[part], seed)
    return measured


def graph(network: nn.Module) -> bytes:
    """Export a network, followed by a sigmoid, as an ONNX graph from ``image`` to ``lung``."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter is deprecated; instance normalisation checks shapes, and normalises in evaluation too.
        for kind in (DeprecationWarning, torch.jit.TracerWarning, UserWarning):  # type: ignore[attr-defined]
            warnings.simplefilter("ignore", kind)
        torch.onnx.export(
            nn.Sequential(network, nn.Sigmoid()).eval(),
            (torch.zeros(1, 1, INPUT.side, INPUT.side),),
            buffer,  # type: ignore[arg-type]  # the stub knows paths only
            dynamo=False,
            input_names=["image"],
            output_names=["lung"],
            dynamic_axes={name: {0: "batch"} for name in ("image", "lung")},
        )
    model = onnx.load_from_string(buffer.getvalue())
    for node in model.graph.node:
        node.doc_string = ""  # holds the paths of the exporting machine
    return bytes(model.SerializeToString(deterministic=True))


def agreement(network: nn.Module, lungs: LungField, images: Floats) -> float:
    """Return the largest difference of probabilities between torch and ONNX Runtime.

    Parameters
    ----------
    network
        Returns logits.
    lungs
        The exported network.
    images
        ``(n, 1, side, side)`` float32, standardised.

    Raises
    ------
    BundleError
        It is over ``TOLERANCE``.
    """
    with torch.inference_mode():
        expected = torch.sigmoid(network.eval()(torch.from_numpy(images))).numpy()
    difference = float(np.abs(expected - lungs.probabilities(images)).max())
    if not difference <= TOLERANCE:  # NaN is refused too
        raise BundleError(f"the lung field's graph differs from torch by {difference:.1e}, more than {TOLERANCE:g}")
    return difference
