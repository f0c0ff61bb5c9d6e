"""The classifier network and its class activation: logits and evidence maps in one pass.

For a head of ReLU, global average pooling and one linear layer the logit is the mean of the class activation
map plus the bias, and Grad-CAM is, up to the positive constant 1/(height x width), the positive part of the
same map. So one matrix product after the last feature map yields both, for every finding at once.

References
----------
Zhou et al. 2016 (class activation maps). Selvaraju et al. 2017 (Grad-CAM).
"""

from __future__ import annotations

from torch import Tensor, nn


class ClassActivationNetwork(nn.Module):
    """A convolutional trunk with a linear head that is applied to each cell of the last feature map.

    What every network here shares: ``forward`` gives the logits and the class activation, in training and in
    serving alike; both are differentiable and neither needs a backward pass; and the last layer is ``head``, whose
    ``bias`` has one value for each finding.

    Parameters
    ----------
    trunk
        ``(n, 1, side, side)`` to ``(n, channels, height, width)``, the last activation included.
    head
        Linear layer from the channels that reach it to the findings.
    neck
        Layers between trunk and head that belong to the head: they are never frozen with the trunk.
    """

    head: nn.Linear

    def __init__(self, trunk: nn.Module, head: nn.Linear, neck: nn.Module | None = None) -> None:
        super().__init__()
        self.trunk = trunk
        self.neck = nn.Identity() if neck is None else neck
        self.head = head

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify a batch.

        Returns
        -------
        Logits ``(n, findings)``, and the class activation ``(n, findings, height, width)`` whose mean over
        the cells plus the head's bias is the logit.
        """
        activation = class_activation(self.neck(self.trunk(images)), self.head.weight)
        return activation.mean(dim=(2, 3)) + self.head.bias, activation


def class_activation(features: Tensor, weight: Tensor) -> Tensor:
    """Apply a linear layer to each cell of a feature map.

    Parameters
    ----------
    features
        ``(n, channels, height, width)``.
    weight
        ``(outputs, channels)``.

    Returns
    -------
    ``(n, outputs, height, width)``.
    """
    return nn.functional.conv2d(features, weight[:, :, None, None])


class LogitsOnly(nn.Module):
    """The network as MONAI's tools want it: one tensor in, the logits out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Classify a batch: logits ``(n, findings)``."""
        logits: Tensor = self.network(images)[0]
        return logits
