"""Export the network as an ONNX graph whose tensors are offsets into the safetensors file.

So the bundle holds the weights once, both engines read the same bytes, and the graph itself stays small. A tensor that
the file holds in half precision is cast to float32 in the graph; ONNX Runtime does so once, when it loads the graph.

References
----------
ONNX, external data: keys ``location``, ``offset`` and ``length``. safetensors: a little-endian header length of
8 bytes, a JSON header whose ``data_offsets`` count from the header's end.
"""

from __future__ import annotations

import io
import json
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from candor.model.networks.class_activation import Answering, ClassActivationNetwork
from candor.model.onnx_engine import OnnxEngine
from candor.model.outputs import Engine, Outputs
from candor.model.preprocess import InputSpec
from candor.study.errors import BundleError

TOLERANCE = 1e-4
"""Largest difference between the engines that an export may have, in units of the logit."""

PREFIX = "network."
"""Prefix of the tensors' names in a graph, where the network is a part of a module; the safetensors file lacks it."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Position and length of a tensor in a file, in bytes, and whether it is stored in half precision."""

    offset: int
    length: int
    half: bool


def write_graph(network: ClassActivationNetwork, spec: InputSpec, weights: Path, graph: Path) -> Outputs:
    """Export a network beside its weights, and check that ONNX Runtime answers as torch does.

    Parameters
    ----------
    network
        Holds the same values as ``weights``.
    spec
        The network's input.
    weights
        The safetensors file, in the folder of ``graph``: the graph names it by its file name.
    graph
        File to write.

    Returns
    -------
    The answer of ONNX Runtime to noise; its shapes describe the graph.

    Raises
    ------
    BundleError
        A tensor of the graph is not in ``weights``, or the engines differ by more than ``TOLERANCE``.
    """
    shape = (len(spec.sides), spec.side, spec.side)
    model = _trace(network.eval(), shape)
    point_into(model, weights)
    graph.write_bytes(model.SerializeToString(deterministic=True))
    images = np.random.default_rng(0).standard_normal((3, *shape), np.float32)
    difference, outputs = compare_engines(network, OnnxEngine(graph), images)
    if not difference <= TOLERANCE:  # NaN is refused too
        raise BundleError(f"{graph.name} differs from torch by {difference:.1e}, more than {TOLERANCE:g}; not exported")
    return outputs


def _trace(network: ClassActivationNetwork, shape: tuple[int, ...]) -> onnx.ModelProto:
    # The other exporter folds batch normalisation into the convolutions: its tensors are not those of the file.
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            Answering(network).eval(),
            (torch.zeros(1, *shape),),
            buffer,  # type: ignore[arg-type]  # the stub knows paths only
            dynamo=False,
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            input_names=["image"],
            output_names=list(Outputs._fields),
            dynamic_axes={name: {0: "batch"} for name in ("image", *Outputs._fields)},
        )
    model = onnx.load_from_string(buffer.getvalue())
    for node in model.graph.node:
        node.doc_string = ""  # holds the paths of the exporting machine
    return model


def point_into(model: onnx.ModelProto, weights: Path) -> None:
    """Replace the tensors in a graph by their positions in a safetensors file.

    Parameters
    ----------
    model
        The graph; it is changed.
    weights
        The safetensors file.

    Raises
    ------
    BundleError
        A tensor is not in the file, or has other bytes there.
    """
    extents = tensor_extents(weights)
    content = np.memmap(weights, np.uint8, mode="r")
    casts = []
    for tensor in model.graph.initializer:
        name = tensor.name.removeprefix(PREFIX)
        extent = extents.get(name)
        stored = None if extent is None else content[extent.offset : extent.offset + extent.length]
        if extent is None or stored is None or _as_float32(stored, extent) != tensor.raw_data:
            raise BundleError(f"the graph's tensor {name} is not that of {weights.name}; not exported")
        if extent.half:
            full, tensor.name = tensor.name, f"{tensor.name}.half"
            tensor.data_type = onnx.TensorProto.FLOAT16
            casts.append(onnx.helper.make_node("Cast", [tensor.name], [full], to=onnx.TensorProto.FLOAT))
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", weights.name), ("offset", extent.offset), ("length", extent.length)):
            tensor.external_data.add(key=key, value=str(value))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _as_float32(stored: NDArray[np.uint8], extent: Extent) -> bytes:
    return (stored.view(np.float16).astype(np.float32) if extent.half else stored).tobytes()


def tensor_extents(weights: Path) -> dict[str, Extent]:
    """Read the position of each tensor from the header of a safetensors file."""
    with weights.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, dict[str, Any]] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {name: _extent(entry, 8 + length) for name, entry in header.items()}


def _extent(entry: Mapping[str, Any], begin: int) -> Extent:
    start, end = entry["data_offsets"]
    return Extent(begin + start, end - start, entry["dtype"] == "F16")


def compare_engines(
    network: ClassActivationNetwork, engine: Engine, images: NDArray[np.float32]
) -> tuple[float, Outputs]:
    """Compare the outputs of torch and of an engine.

    Parameters
    ----------
    network
        Answers by torch.
    engine
        Answers to the same images.
    images
        ``(n, sizes, side, side)`` float32.

    Returns
    -------
    The largest absolute difference in any output, and the outputs of the engine.
    """
    with torch.inference_mode():
        expected = [output.numpy() for output in network.answer(torch.from_numpy(images))]
    given = engine.run(images)
    return max(float(np.abs(a - b).max()) for a, b in zip(expected, given, strict=True)), given
