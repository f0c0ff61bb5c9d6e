"""Run the network: an image batch in; logits, class activation and features out.

ONNX Runtime serves on a CPU; torch serves on a GPU and is the reference that the exported graph is held to.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from candor.model.bundle import Bundle
from candor.settings import ENGINES
from candor.study.errors import BundleError, SettingsError

Floats = NDArray[np.float32]

# ONNX Runtime's errors share no base class but Exception.
_LOAD_ERRORS = (
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.InvalidProtobuf,
    ort.NoSuchFile,
    ort.NotImplemented,
    ort.RuntimeException,
)


class Outputs(NamedTuple):
    """What the network says of a batch, all float32.

    Parameters
    ----------
    logits
        ``(n, findings)``.
    activation
        Class activation ``(n, findings, height, width)``.
    features
        ``(n, channels)``: the mean over the cells of the last feature map that reaches the head, which is what a
        linear head reads; of other heads see :meth:`candor.model.networks.classifier.ClassActivationNetwork.answer`.
    """

    logits: Floats
    activation: Floats
    features: Floats


class Engine(Protocol):
    """One network, loaded once, that classifies batches."""

    @property
    def name(self) -> str:
        """What ran: ``"onnxruntime-cpu"``, ``"torch-cpu"`` or ``"torch-cuda"``."""

    def run(self, images: Floats) -> Outputs:
        """Classify a batch.

        Parameters
        ----------
        images
            ``(n, 1, side, side)`` float32, from :func:`candor.model.preprocess.to_network_input`.
        """


def open_session(graph: Path, threads: int, remedy: str) -> onnxruntime.InferenceSession:
    """Load an ONNX graph for the CPU.

    Raises
    ------
    BundleError
        The graph, or a file that it points into, cannot be loaded; ``remedy`` says what to do about it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except _LOAD_ERRORS as error:
        raise BundleError(f"{graph} cannot be loaded; {remedy} ({type(error).__name__})") from error


class OnnxEngine:
    """The bundle's ONNX graph on the CPU.

    Raises
    ------
    BundleError
        The graph or the weights that it points into cannot be loaded.
    """

    name = "onnxruntime-cpu"

    def __init__(self, graph: Path, threads: int | None = None) -> None:
        threads = threads or len(os.sched_getaffinity(0))
        self._session = open_session(graph, threads, "export the bundle again")

    def run(self, images: Floats) -> Outputs:
        """See :meth:`Engine.run`."""
        answer = self._session.run(list(Outputs._fields), {"image": images})
        return Outputs(*(np.asarray(output, np.float32) for output in answer))


def open_engine(bundle: Bundle, choice: str = "auto") -> Engine:
    """Load the engine that a setting asks for.

    Parameters
    ----------
    choice
        ``"onnx"``, ``"torch"``, or ``"auto"``: torch where it sees a GPU, else ONNX Runtime. Without a GPU's
        device file torch is not even imported, which saves a second at the start.

    Raises
    ------
    SettingsError
        ``choice`` is none of them.
    BundleError
        The bundle's files cannot be loaded.
    """
    if choice not in ENGINES:
        raise SettingsError(f"engine is {choice!r}; it can be {', '.join(ENGINES)}")
    if choice == "onnx" or (choice == "auto" and not gpu_visible()):
        return OnnxEngine(bundle.graph)
    from candor.model.torch_engine import TorchEngine

    return TorchEngine(bundle)


def gpu_visible() -> bool:
    """Whether an NVIDIA device is there and torch, where it is installed, can use it."""
    if not Path("/dev/nvidiactl").exists() or find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()
