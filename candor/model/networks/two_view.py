"""A frontal and a lateral radiograph of one study, read together; the lateral may be missing.

References
----------
Rubin et al. 2018 (Large scale automated reading of frontal and lateral chest X-rays using dual convolutional neural
networks).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from candor.model.networks.class_activation import ClassActivationNetwork
from candor.model.networks.trunk import Trunk


class TwoViews(NamedTuple):
    """The outputs for two views together.

    ``logits`` is ``(n, findings)``. ``frontal`` and ``lateral`` are class activations ``(n, findings, height, width)``:
    a logit is the sum of their means and the head's bias. Without a lateral view, its map is zero.
    """

    logits: Tensor
    frontal: Tensor
    lateral: Tensor


class TwoViewNetwork(ClassActivationNetwork):
    """Two trunks with one linear head for their concatenated features.

    Parameters
    ----------
    trunk, lateral
        The trunks of the frontal and of the lateral view.
    findings
        Number of findings.
    """

    def __init__(self, trunk: Trunk, lateral: Trunk, findings: int) -> None:
        super().__init__(trunk, nn.Linear(trunk.channels + lateral.channels, findings))
        self.lateral = lateral
        self._frontal_channels = trunk.channels

    def classify(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and class activation of frontal radiographs alone, without a lateral view."""
        activation = _class_activation(features, self._weights()[0])
        return activation.mean(dim=(2, 3)) + self.head.bias, activation

    def both(self, frontal: Tensor, lateral: Tensor, present: Tensor) -> TwoViews:
        """Classify studies by both views.

        Parameters
        ----------
        frontal, lateral
            ``(n, 1, side, side)``; where there is no lateral, its values do not matter.
        present
            ``(n,)`` bool: whether the study has a lateral. Without one its features are zero, and the trunk does not
            run on it, so that blank pictures do not change the statistics of batch normalisation.
        """
        from_frontal, activation = self(frontal)
        _, weight = self._weights()
        shown = _class_activation(self.lateral(lateral[present]), weight) if present.any() else activation[:0]
        beside = activation.new_zeros(len(frontal), *shown.shape[1:])
        beside[present] = shown.to(beside.dtype)
        return TwoViews(from_frontal + beside.mean(dim=(2, 3)), activation, beside)

    def _weights(self) -> tuple[Tensor, Tensor]:
        """Return the head's weights of the two views, ``(findings, channels)`` each."""
        frontal, lateral = torch.tensor_split(self.head.weight, [self._frontal_channels], dim=1)
        return frontal, lateral


def _class_activation(features: Tensor, weight: Tensor) -> Tensor:
    # The same as a convolution, whose export to ONNX only takes whole tensors as weights.
    return torch.einsum("kc,nchw->nkhw", weight, features)
