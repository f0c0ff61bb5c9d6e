"""Train the orientation check, and write it as a graph."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from tqdm import trange

from candor.files.durable import whole_file
from candor.model.onnx_engine import open_session
from candor.picture.orientation import OUTPUTS, SIDE
from candor.study.errors import BundleError, DataError
from training.checks.orientation.examples import examples
from training.checks.orientation.network import OrientationNetwork, Probabilities, orientation_loss

BATCH: Final = 64
PEAK_LEARNING_RATE: Final = 3e-3
WEIGHT_DECAY: Final = 1e-2

TOLERANCE: Final = 1e-5
"""Largest difference of a probability between torch and the graph that an export may have."""


def train_orientation_check(
    pictures: Sequence[NDArray[np.float32]], steps: int, seed: int, *, batch: int = BATCH
) -> OrientationNetwork:
    """Train on random examples of some pictures; the same seed gives the same weights on the same machine.

    Parameters
    ----------
    pictures
        Frontal chests, from :func:`training.checks.orientation.sources.stored`.
    steps
        Number of batches.
    seed
        Seed of weights and examples.
    batch
        Examples in each batch.

    Raises
    ------
    DataError
        There is no picture.
    """
    if not pictures:
        raise DataError("there is no picture that the orientation check may learn from; give a folder of ChestX-ray14")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = OrientationNetwork(SIDE)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_LEARNING_RATE, total_steps=steps)
    for _ in (progress := trange(steps, desc="orientation check", unit="step", mininterval=10)):
        made = examples(pictures, batch, rng)
        loss = orientation_loss(
            network(torch.from_numpy(np.stack([one.pixels for one in made]))),
            torch.tensor([one[1:] for one in made]),
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return network.eval()


def write_orientation_check(network: OrientationNetwork, graph: Path) -> None:
    """Write the network with its weights as an ONNX graph, and check that both give the same answers.

    Parameters
    ----------
    network
        The trained orientation check.
    graph
        The file to write; it is removed if the answers differ.

    Raises
    ------
    BundleError
        The answers differ by more than ``TOLERANCE``.
    """
    with whole_file(graph) as file:
        file.write(_graph(Probabilities(network).eval()).SerializeToString(deterministic=True))
    images = np.random.default_rng(0).random((8, 1, SIDE, SIDE), np.float32)
    difference = largest_difference(network, graph, images)
    if not difference <= TOLERANCE:  # NaN is refused too
        graph.unlink()
        raise BundleError(f"{graph.name} differs from torch by {difference:.1e}, more than {TOLERANCE:g}; not exported")


def largest_difference(network: OrientationNetwork, graph: Path, images: NDArray[np.float32]) -> float:
    """Return the largest difference of a probability between torch and a graph.

    Parameters
    ----------
    network
        The trained orientation check.
    graph
        Its ONNX file.
    images
        ``(n, 1, SIDE, SIDE)`` float32.
    """
    with torch.inference_mode():
        expected = Probabilities(network.eval())(torch.from_numpy(images))
    session = open_session(graph, 1, "export it again")
    given = session.run(list(OUTPUTS), {"image": images})
    return max(float(np.abs(a.numpy() - b).max()) for a, b in zip(expected, given, strict=True))


def _graph(network: Probabilities) -> onnx.ModelProto:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (torch.zeros(1, 1, SIDE, SIDE),),
            buffer,  # type: ignore[arg-type]  # the stub knows paths only
            dynamo=False,
            input_names=["image"],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "batch"} for name in ("image", *OUTPUTS)},
        )
    model = onnx.load_from_string(buffer.getvalue())
    for node in model.graph.node:
        node.doc_string = ""  # holds the paths of the exporting machine
    return model
