"""The classifier network, which returns logits and class activation in one pass.

For a head of ReLU, global average pooling and one linear layer, the logit is the mean of the class activation plus the
bias, and Grad-CAM is the positive part of the class activation times 1/(height x width). So one matrix product after
the last feature map gives both, for all findings at once.

References
----------
Zhou et al. 2016 (class activation maps). Selvaraju et al. 2017 (Grad-CAM).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class Answer(NamedTuple):
    """The outputs of a network in inference.

    ``logits`` is ``(n, findings)`` and ``activation`` ``(n, findings, height, width)``, see
    :meth:`ClassActivationNetwork.forward`; ``features`` is ``(n, channels)``, the mean over the cells of the last
    feature map before the head.
    """

    logits: Tensor
    activation: Tensor
    features: Tensor


class ClassActivationNetwork(nn.Module):
    """A convolutional trunk with a linear head that is applied to each cell of the last feature map.

    Every network here has this interface. ``forward`` returns the logits and the class activation, in training and in
    inference. Both are differentiable, and neither needs a backward pass. The last layer is ``head``, whose ``bias``
    has one value for each finding.

    Parameters
    ----------
    trunk
        Maps ``(n, 1, side, side)`` to ``(n, channels, height, width)``, including the last activation; an ensemble's
        takes a channel for each size of the picture.
    head
        Linear layer from channels to findings.
    neck
        Layers between trunk and head that belong to the head: they are not frozen with the trunk.
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
        return self.classify(self.feature_map(images))

    def answer(self, images: Tensor) -> Answer:
        """Classify a batch in inference: return what :meth:`forward` returns, and the features.

        The features are the input of a linear head. For the head ``concat-pool`` they are the averages in its input;
        for several members in one trunk those of the shared trunk; for two views those of the frontal one.
        """
        features = self.feature_map(images)
        return Answer(*self.classify(features), features.mean(dim=(2, 3)))

    def feature_map(self, images: Tensor) -> Tensor:
        """Return the last feature map before the head: ``(n, channels, height, width)``."""
        features: Tensor = self.neck(self.trunk(images))
        return features

    def classify(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and class activation of a feature map; see :meth:`forward`."""
        activation = class_activation(features, self.head.weight)
        return activation.mean(dim=(2, 3)) + self.head.bias, activation


def class_activation(features: Tensor, weight: Tensor) -> Tensor:
    """Return the outputs of a linear layer for each cell of a feature map.

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
    """The network with only the logits as output, as MONAI's tools need it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(n, findings)`` of a batch."""
        logits: Tensor = self.network(images)[0]
        return logits


class Answering(nn.Module):
    """The network as it is exported: its forward pass is :meth:`ClassActivationNetwork.answer`."""

    def __init__(self, network: ClassActivationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Answer:
        """Classify a batch in inference."""
        return self.network.answer(images)
