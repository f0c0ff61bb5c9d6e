"""Run the bundle's network with torch, on a GPU where there is one. It is the reference for every other engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from candor.model.bundle import Model
from candor.model.networks.class_activation import ClassActivationNetwork
from candor.model.networks.registry import build
from candor.model.outputs import Outputs
from candor.study.errors import BundleError

Floats = NDArray[np.float32]


class TorchEngine:
    """See :class:`candor.model.outputs.Engine`.

    Raises
    ------
    BundleError
        The architecture is unknown, or the weights do not fit it.
    """

    def __init__(self, model: Model, device: str | None = None) -> None:
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._network = load_network(model).eval().to(self._device)

    @property
    def name(self) -> str:
        """See :attr:`candor.model.outputs.Engine.name`."""
        return f"torch-{self._device.type}"

    def run(self, images: Floats) -> Outputs:
        """See :meth:`candor.model.outputs.Engine.run`."""
        with torch.inference_mode():
            answer = self._network.answer(torch.from_numpy(images).to(self._device))
        return Outputs(*(output.cpu().numpy() for output in answer))


def load_network(model: Model) -> ClassActivationNetwork:
    """Build the bundle's network with its weights; see :func:`build_network`."""
    return build_network(model.architecture, len(model.findings), model.weights)


def build_network(architecture: str, findings: int, weights: Path) -> ClassActivationNetwork:
    """Build a network and load weights into it; every tensor must fit.

    Parameters
    ----------
    architecture
        A name of :data:`candor.model.networks.registry.NETWORKS`.
    findings
        The number of outputs.
    weights
        A safetensors file.

    Raises
    ------
    BundleError
        The architecture is unknown, or the weights do not fit it.
    """
    network = build(architecture, findings)
    try:
        state = load_file(weights)
        # BatchNorm's step counter is not used in evaluation and is not among the weights.
        state |= {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
        network.load_state_dict(state)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise BundleError(
            f"{weights} does not fit {architecture} with {findings} findings; it belongs to another bundle, "
            "or is damaged"
        ) from error
    return network
