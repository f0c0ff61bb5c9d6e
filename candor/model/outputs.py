"""The network's outputs, and the interface of every engine."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Outputs(NamedTuple):
    """The network's outputs for a batch, all float32.

    Parameters
    ----------
    logits
        ``(n, findings)``.
    activation
        Class activation ``(n, findings, height, width)``.
    features
        ``(n, channels)``: the mean over the cells of the last feature map before the head, which is the input of a
        linear head; for other heads see :meth:`candor.model.networks.class_activation.ClassActivationNetwork.answer`.
    """

    logits: Floats
    activation: Floats
    features: Floats


class Engine(Protocol):
    """One network, loaded once, that classifies batches."""

    @property
    def name(self) -> str:
        """The engine and its device: ``"onnxruntime-cpu"``, ``"torch-cpu"`` or ``"torch-cuda"``."""

    def run(self, images: Floats) -> Outputs:
        """Return the outputs for a batch.

        Parameters
        ----------
        images
            ``(n, sizes, side, side)`` float32, from :func:`candor.model.preprocess.to_network_input`.
        """
