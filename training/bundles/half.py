"""Store a network's largest tensors in half precision, so that the weights fit into a repository.

They are float32 again when they are loaded. Small tensors are kept as they are: those near the pixels and those of
batch normalisation change the answers most, and cost little.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from candor.model.preprocess import InputSpec
from candor.model.torch_engine import build_network
from candor.study.errors import BundleError
from training.bundles.inference import pictures
from training.bundles.trained import Trained
from training.data.pictures import as_radiograph, network_input, read_picture
from training.learn.checkpoint import write_weights
from training.names import HALF_TOLERANCE

MOST: Final = 0.99
"""Share of the logits that may not change by more than ``HALF_TOLERANCE``."""

COMPARED: Final = 64
"""Number of pictures on which both are compared."""

_MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Smaller:
    """How small the weights must be.

    Parameters
    ----------
    most_mb
        Largest size of the weights, in MB of a million bytes.
    pictures
        Folder of pictures on which the logits before and after are compared: up to ``COMPARED``, spread over it.
    """

    most_mb: float
    pictures: Path


def halve(trained: Trained, weights: Path, smaller: Smaller) -> None:
    """Store the largest tensors of a file of weights in half precision, in place, until the file is small enough.

    Parameters
    ----------
    trained
        The result of training.
    weights
        A copy of its weights, which is replaced.
    smaller
        How small they must be.

    Raises
    ------
    BundleError
        The weights do not become small enough, or more than 1% of the logits change by more than
        ``HALF_TOLERANCE``.
    DataError
        The folder holds no picture, or one cannot be decoded.
    """
    state = load_file(weights)
    chosen = largest_tensors(state, smaller.most_mb * _MB)
    if not chosen:
        return
    inputs = _inputs(smaller.pictures, trained.input)
    before = _logits(trained, weights, inputs)
    scratch = weights.with_suffix(".half")
    write_weights(scratch, {name: t.half() if name in chosen else t for name, t in state.items()})
    shutil.copyfile(scratch, weights)  # keeps the mode: safetensors' own files are for their owner alone
    scratch.unlink()
    changes = np.abs(_logits(trained, weights, inputs) - before)
    most = float(np.quantile(changes, MOST))
    print(
        f"{len(chosen)} tensors in half precision; logits of {len(inputs)} pictures change by {changes.mean():.1e} on "
        f"average, {MOST:.0%} of them by up to {most:.1e}, the most by {changes.max():.1e}",
        file=sys.stderr,
    )
    if not most <= HALF_TOLERANCE:  # NaN is refused too
        raise BundleError(
            f"in {smaller.most_mb:g} MB of weights {MOST:.0%} of the logits change by up to {most:.1e}, more than "
            f"{HALF_TOLERANCE:g}; allow more MB, or take fewer members"
        )


def largest_tensors(state: Mapping[str, Tensor], most: float) -> set[str]:
    """Return the names of the largest tensors: as few as must be halved for the file to take ``most`` bytes.

    Parameters
    ----------
    state
        Tensors by name, float32.
    most
        In bytes.

    Raises
    ------
    BundleError
        All of them are not enough.
    """
    size, chosen = sum(4 * tensor.numel() for tensor in state.values()), set[str]()
    for name in sorted(state, key=lambda name: (-state[name].numel(), name)):
        if size <= most:
            return chosen
        size -= 2 * state[name].numel()
        chosen.add(name)
    if size > most:
        raise BundleError(f"the weights take {size / _MB:.1f} MB in half precision, over {most / _MB:g} MB")
    return chosen


def _inputs(folder: Path, spec: InputSpec) -> NDArray[np.float32]:
    files = [Path(picture["image"]) for picture in pictures(folder)]
    chosen = files[:: -(-len(files) // COMPARED)]
    return np.stack([network_input(as_radiograph(read_picture(file)), spec) for file in chosen])


def _logits(trained: Trained, weights: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    network = build_network(trained.architecture, len(trained.shares), weights).eval()
    with torch.inference_mode():
        return torch.cat([network(torch.from_numpy(image[np.newaxis]))[0] for image in inputs]).numpy()
