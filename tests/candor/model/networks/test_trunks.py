"""The trunks are the published ones, and every one of them learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from candor.model.networks.registry import build
from candor.model.networks.trunks import _VGG16, _VGG19, TRUNKS, vgg
from tests.candor.model.networks.toys import patches, train

CELLS = {"benchmark-cnn": 4}
"""Of the last feature map's side at 64 pixels where it is not 2, a thirty-second."""


@pytest.mark.parametrize("name", sorted(TRUNKS))
def test_a_trunk_with_a_linear_head_has_its_shapes_and_learns(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, 2)
    images, labels = patches(4, 64)
    losses = train(network, lambda: (network(images)[0], labels), steps=3, rate=1e-3)
    assert losses[-1] < losses[0]
    with torch.inference_mode():
        logits, activation = network(images)
        features = network.trunk(images)
    side = CELLS.get(name, 2)
    assert logits.shape == (4, 2)
    assert activation.shape == (4, 2, side, side)
    assert features.shape == (4, network.trunk.channels, side, side)
    assert features.min() >= 0
    torch.testing.assert_close(activation.mean(dim=(2, 3)) + network.head.bias, logits)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("densenet121", 7_978_856),
        ("densenet169", 14_149_480),
        ("densenet201", 20_013_928),
        ("resnet101", 44_549_160),
    ],
)
def test_with_three_colours_and_a_thousand_classes_the_size_is_torchvisions(name: str, published: int) -> None:
    with torch.device("meta"):
        trunk = TRUNKS[name](3)
    assert parameters(trunk) + (trunk.channels + 1) * 1000 == published


@pytest.mark.parametrize(
    ("stages", "plain", "normalised"), [(_VGG16, 14_714_688, 14_723_136), (_VGG19, 20_024_384, 20_035_392)]
)
def test_vgg_has_the_published_size(stages: tuple[tuple[int, int], ...], plain: int, normalised: int) -> None:
    with torch.device("meta"):
        assert parameters(vgg(stages, 3, normalised=False)) == plain
        assert parameters(vgg(stages, 3)) == normalised


def test_vgg16_has_the_published_layers() -> None:
    with torch.device("meta"):
        convolutions = [m for m in vgg(_VGG16, 3).modules() if isinstance(m, nn.Conv2d)]
    assert [parameters(convolution) for convolution in convolutions] == [
        *(1_792, 36_928, 73_856, 147_584, 295_168, 590_080, 590_080),
        *(1_180_160, 2_359_808, 2_359_808, 2_359_808, 2_359_808, 2_359_808),
    ]


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("vgg16", "features.41.weight"),  # the last batch normalisation of torchvision's vgg16_bn
        ("vgg19", "features.50.weight"),
        ("resnet101", "layer3.22.bn3.running_var"),
        ("resnet101", "layer4.0.downsample.1.weight"),
        ("densenet121", "features.denseblock4.denselayer16.layers.conv2.weight"),
    ],
)
def test_tensors_have_torchvisions_names(name: str, tensor: str) -> None:
    with torch.device("meta"):
        assert tensor in TRUNKS[name](1).state_dict()
