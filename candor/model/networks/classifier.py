"""The classifier network and its class activation: logits and evidence maps in one pass.

For a head of ReLU, global average pooling and one linear layer the logit is the mean of the class activation
map plus the bias, and Grad-CAM is, up to the positive constant 1/(height x width), the positive part of the
same map. So one matrix product after the last feature map yields both, for every finding at once.

References
----------
Zhou et al. 2016 (class activation maps). Selvaraju et al. 2017 (Grad-CAM).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class Answer(NamedTuple):
    """What a network says in serving.

    ``logits`` is ``(n, findings)`` and ``activation`` ``(n, findings, height, width)``, see
    :meth:`ClassActivationNetwork.forward`; ``features`` is ``(n, channels)``, the mean over the cells of the last
    feature map that reaches the head.
    """

    logits: Tensor
    activation: Tensor
    features: Tensor


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
        return self.classify(self.feature_map(images))

    def answer(self, images: Tensor) -> Answer:
        """Classify a batch in serving: what :meth:`forward` gives, and the features that it was read from.

        The features are what a linear head reads. Of other networks: with the head ``concat-pool`` the average half
        of what the head reads; of several members in one trunk what all members read, when all see the same image;
        of two views those of the frontal one.
        """
        features = self.feature_map(images)
        return Answer(*self.classify(features), features.mean(dim=(2, 3)))

    def feature_map(self, images: Tensor) -> Tensor:
        """Compute the last feature map that reaches the head: ``(n, channels, height, width)``."""
        features: Tensor = self.neck(self.trunk(images))
        return features

    def classify(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits and class activation of a feature map; see :meth:`forward`."""
        activation = class_activation(features, self.head.weight)
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


class Answering(nn.Module):
    """The network as it is exported: its forward pass is :meth:`ClassActivationNetwork.answer`."""

    def __init__(self, network: ClassActivationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Answer:
        """Classify a batch in serving."""
        return self.network.answer(images)
