"""The classifier network and its class activation: logits and evidence maps in one pass.

For a head of ReLU, global average pooling and one linear layer the logit is the mean of the class activation
map plus the bias, and Grad-CAM is, up to the positive constant 1/(height x width), the positive part of the
same map. So one matrix product after the last feature map yields both, for every finding at once.

References
----------
Huang et al. 2017 (DenseNet). Zhou et al. 2016 (class activation maps). Selvaraju et al. 2017 (Grad-CAM).
"""

from __future__ import annotations

from monai.networks.nets.densenet import DenseNet121
from torch import Tensor, nn


class ClassActivationNetwork(nn.Module):
    """A convolutional trunk with a linear head that is applied to each cell of the last feature map.

    Parameters
    ----------
    trunk
        ``(n, 1, side, side)`` to ``(n, channels, height, width)``, the last activation included.
    head
        Linear layer from ``channels`` to the findings.
    """

    def __init__(self, trunk: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify a batch.

        Returns
        -------
        Logits ``(n, findings)``, and the class activation ``(n, findings, height, width)`` whose mean over
        the cells plus the head's bias is the logit.
        """
        features = self.trunk(images)
        activation = nn.functional.conv2d(features, self.head.weight[:, :, None, None])
        return activation.mean(dim=(2, 3)) + self.head.bias, activation


class LogitsOnly(nn.Module):
    """The network as MONAI's tools want it: one tensor in, the logits out."""

    def __init__(self, network: ClassActivationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Classify a batch: logits ``(n, findings)``."""
        logits: Tensor = self.network(images)[0]
        return logits


def densenet121(findings: int) -> ClassActivationNetwork:
    """MONAI's DenseNet-121 for one grey channel, with random weights."""
    network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=findings)
    head = network.class_layers.out
    if not isinstance(head, nn.Linear):
        raise TypeError(f"MONAI's DenseNet121 ends in {type(head).__name__}, not in a linear layer")
    trunk = nn.Sequential()
    trunk.add_module("features", network.features)
    trunk.add_module("relu", nn.ReLU(inplace=True))
    return ClassActivationNetwork(trunk, head)


def benchmark_cnn(findings: int) -> ClassActivationNetwork:
    """Two convolutions with random weights: what a deep network has to beat, and quick enough for tests."""
    trunk = nn.Sequential()
    for layer, (inputs, outputs) in enumerate(((1, 16), (16, 32)), start=1):
        trunk.add_module(f"conv{layer}", nn.Conv2d(inputs, outputs, kernel_size=5, stride=2, padding=2, bias=False))
        trunk.add_module(f"norm{layer}", nn.BatchNorm2d(outputs))
        trunk.add_module(f"relu{layer}", nn.ReLU(inplace=True))
        trunk.add_module(f"pool{layer}", nn.MaxPool2d(2))
    return ClassActivationNetwork(trunk, nn.Linear(32, findings))


NETWORKS = {"densenet121": densenet121, "benchmark-cnn": benchmark_cnn}
"""Architectures by the name that a bundle's ``metadata.json`` gives."""
