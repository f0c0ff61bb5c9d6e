"""Run ONNX graphs on the CPU with ONNX Runtime."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from candor.files.privacy import name_of
from candor.model.outputs import Floats, Outputs
from candor.study.errors import BundleError

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


def open_session(graph: Path, threads: int, remedy: str) -> onnxruntime.InferenceSession:
    """Load an ONNX graph for the CPU.

    Parameters
    ----------
    graph
        The ONNX file.
    threads
        How many threads one operator may use.
    remedy
        What a person should do about a file that cannot be loaded, for the error.

    Raises
    ------
    BundleError
        The graph, or a file that it refers to, cannot be loaded.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except _LOAD_ERRORS as error:
        raise BundleError(f"{graph} cannot be loaded; {remedy} ({name_of(error)})") from error


class OnnxEngine:
    """The bundle's ONNX graph on the CPU.

    Parameters
    ----------
    graph
        The ONNX file.
    threads
        How many threads one operator may use; None for one on each core.

    Raises
    ------
    BundleError
        The graph or the weights that it refers to cannot be loaded.
    """

    name = "onnxruntime-cpu"

    def __init__(self, graph: Path, threads: int | None = None) -> None:
        threads = threads or len(os.sched_getaffinity(0))
        self._session = open_session(graph, threads, "export the bundle again")

    def run(self, images: Floats) -> Outputs:
        """See :meth:`Engine.run`."""
        answer = self._session.run(list(Outputs._fields), {"image": images})
        return Outputs(*(np.asarray(output, np.float32) for output in answer))
