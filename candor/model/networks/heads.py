"""The heads by name; each makes a whole network of a trunk.

``linear``       global average pooling and one linear layer
``conv64``       the same after a 3 x 3 convolution of 64 filters, for frozen trunks
``concat-pool``  average and maximum pooling together, and two layers with batch normalisation and dropout

References
----------
Lin, Chen and Yan 2014 (global average pooling). Howard and Gugger 2020 (fastai: ``create_head``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from candor.model.networks.class_activation import ClassActivationNetwork
from candor.model.networks.trunk import Trunk


def linear(trunk: Trunk, findings: int) -> ClassActivationNetwork:
    """Return a network with global average pooling and one linear layer.

    Parameters
    ----------
    trunk
        The trunk.
    findings
        Number of outputs.
    """
    return ClassActivationNetwork(trunk, nn.Linear(trunk.channels, findings))


def conv64(trunk: Trunk, findings: int) -> ClassActivationNetwork:
    """Return a network with 64 filters of 3 x 3 before a linear head; the class activation is that of their maps.

    Parameters
    ----------
    trunk
        The trunk.
    findings
        Number of outputs.
    """
    neck = nn.Sequential()
    neck.add_module("conv", nn.Conv2d(trunk.channels, 64, kernel_size=3, padding=1))
    neck.add_module("relu", nn.ReLU(inplace=True))
    return ClassActivationNetwork(trunk, nn.Linear(64, findings), neck)


def concat_pool(trunk: Trunk, findings: int) -> ClassActivationNetwork:
    """Return a network with fastai's head; see :class:`ConcatPoolHead`.

    Parameters
    ----------
    trunk
        The trunk.
    findings
        Number of outputs.
    """
    return ConcatPoolNetwork(trunk, ConcatPoolHead(trunk.channels, findings))


class ConcatPoolHead(nn.Linear):
    """fastai's head: this module is the last layer, and holds those before it.

    Parameters
    ----------
    channels
        Channels of the feature map.
    findings
        Number of outputs.
    hidden
        Units of the hidden layer.
    """

    def __init__(self, channels: int, findings: int, hidden: int = 512) -> None:
        super().__init__(hidden, findings)
        self.norm1 = nn.BatchNorm1d(2 * channels)
        self.dropout1 = nn.Dropout(0.25)
        self.hidden = nn.Linear(2 * channels, hidden)
        self.norm2 = nn.BatchNorm1d(hidden)
        self.dropout2 = nn.Dropout(0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits ``(n, findings)`` of a feature map ``(n, channels, height, width)``."""
        return self.explained(features)[0]

    def explained(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits, and their gradients.

        Returns
        -------
        Logits ``(n, findings)``, and their gradients with respect to the feature map, summed over its cells
        ``(n, findings, channels)``. The average passes 1/cells on to every cell, the maximum 1 to one cell. The
        gradients are those of evaluation mode: without dropout, and with the running statistics.
        """
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        hidden = self.hidden(self.dropout1(self.norm1(pooled)))
        logits = super().forward(self.dropout2(self.norm2(hidden.relu())))
        into = torch.unflatten(self.hidden.weight * _slope(self.norm1), 1, (2, -1)).sum(dim=1)
        passing = (hidden > 0).to(into.dtype)
        return logits, (self.weight * _slope(self.norm2) * passing[:, None]) @ into


def _slope(norm: nn.BatchNorm1d) -> Tensor:
    """Return the gradient of a batch normalisation in evaluation mode: ``(features,)``."""
    if norm.running_var is None:
        raise TypeError("the head's batch normalisation keeps no running statistics")
    return norm.weight * (norm.running_var + norm.eps).rsqrt()


class ConcatPoolNetwork(ClassActivationNetwork):
    """A trunk with :class:`ConcatPoolHead`; Grad-CAM needs no backward pass here either.

    Batch normalisation in evaluation mode is linear, and ReLU is the identity or 0. So the gradient of a logit is a
    product of the head's matrices with some rows left out.
    """

    head: ConcatPoolHead

    def classify(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Classify a batch by its feature map.

        Returns
        -------
        Logits ``(n, findings)``, and the class activation ``(n, findings, height, width)``: the feature map weighted
        by the gradients of :meth:`ConcatPoolHead.explained`. Its positive part is Grad-CAM times the number of cells.
        """
        logits, weights = self.head.explained(features)
        return logits, torch.einsum("nkc,nchw->nkhw", weights.to(features.dtype), features)


HEADS: Final[dict[str, Callable[[Trunk, int], ClassActivationNetwork]]] = {
    "linear": linear,
    "conv64": conv64,
    "concat-pool": concat_pool,
}
"""From a trunk and the number of findings to a network with a random head."""
