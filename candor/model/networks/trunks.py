"""The trunks by name: DenseNet and ResNet are MONAI's, VGG and the benchmark CNN are built here.

Tensors have the names of torchvision, except for DenseNet's ``layers``, which MONAI adds.

References
----------
Huang et al. 2017 (DenseNet). He et al. 2016 (ResNet). Simonyan and Zisserman 2015 (VGG, configurations D and E).
Ioffe and Szegedy 2015 (batch normalisation).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from torch import nn

from candor.model.networks.efficientnet import efficientnet_lite
from candor.model.networks.monai import DenseNet, DenseNet121, DenseNet169, DenseNet201
from candor.model.networks.monai import resnet101 as monai_resnet101
from candor.model.networks.trunk import Trunk

_VGG16: Final = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_VGG19: Final = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Filters and convolutions of each stage; a stage ends in pooling by two."""


def densenet(kind: type[DenseNet], width: int, channels: int = 1) -> Trunk:
    """Return the trunk of one of MONAI's DenseNets, with the ReLU that MONAI has in the classifier.

    Parameters
    ----------
    kind
        MONAI's class.
    width
        Channels of the last feature map.
    channels
        Number of input channels.
    """
    network = kind(spatial_dims=2, in_channels=channels, out_channels=1)
    return Trunk({"features": network.features, "relu": nn.ReLU(inplace=True)}, width)


def resnet101(channels: int = 1) -> Trunk:
    """Return MONAI's ResNet-101 as in the paper: stride 2 in the first layer, no bias before batch normalisation."""
    network = monai_resnet101(
        spatial_dims=2, n_input_channels=channels, conv1_t_stride=2, bias_downsample=False, feed_forward=False
    )
    return Trunk({name: layer for name, layer in network.named_children() if name not in ("avgpool", "fc")}, 2048)


def vgg(stages: tuple[tuple[int, int], ...], channels: int = 1, *, normalised: bool = True) -> Trunk:
    """Return the trunk of a VGG network.

    Parameters
    ----------
    stages
        Filters and number of convolutions of each stage.
    channels
        Number of input channels.
    normalised
        Whether batch normalisation follows every convolution. The paper had none, but without it 16 layers with random
        weights hardly train.
    """
    layers: list[nn.Module] = []
    for filters, convolutions in stages:
        for _ in range(convolutions):
            layers.append(_he_normal(nn.Conv2d(channels, filters, kernel_size=3, padding=1)))
            layers += [nn.BatchNorm2d(filters)] if normalised else []
            layers.append(nn.ReLU(inplace=True))
            channels = filters
        layers.append(nn.MaxPool2d(2))
    return Trunk({"features": nn.Sequential(*layers)}, channels)


def _he_normal(convolution: nn.Conv2d) -> nn.Conv2d:
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution


def benchmark_cnn(channels: int = 1) -> Trunk:
    """Return a trunk of two convolutions: the baseline for deep networks, and quick enough for tests."""
    layers: dict[str, nn.Module] = {}
    for layer, (inputs, outputs) in enumerate(((channels, 16), (16, 32)), start=1):
        layers[f"conv{layer}"] = nn.Conv2d(inputs, outputs, kernel_size=5, stride=2, padding=2, bias=False)
        layers[f"norm{layer}"] = nn.BatchNorm2d(outputs)
        layers[f"relu{layer}"] = nn.ReLU(inplace=True)
        layers[f"pool{layer}"] = nn.MaxPool2d(2)
    return Trunk(layers, 32)


TRUNKS: Final[dict[str, Callable[[int], Trunk]]] = {
    "benchmark-cnn": benchmark_cnn,
    "densenet121": partial(densenet, DenseNet121, 1024),
    "densenet169": partial(densenet, DenseNet169, 1664),
    "densenet201": partial(densenet, DenseNet201, 1920),
    "efficientnet-lite0": partial(efficientnet_lite, 1.0, 1.0),
    "efficientnet-lite1": partial(efficientnet_lite, 1.0, 1.1),
    "efficientnet-lite2": partial(efficientnet_lite, 1.1, 1.2),
    "resnet101": resnet101,
    "vgg16": partial(vgg, _VGG16),
    "vgg19": partial(vgg, _VGG19),
}
"""Functions that return a trunk with random weights for a number of input channels."""
