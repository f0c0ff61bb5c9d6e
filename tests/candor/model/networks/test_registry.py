"""Every name builds its network, and a name that nobody knows is answered with those that are known."""

from __future__ import annotations

import pytest
import torch

from candor.model.networks.mimo import MimoNetwork
from candor.model.networks.registry import NETWORKS, build, known, trunk_of
from candor.model.networks.trunks import TRUNKS
from candor.model.networks.two_view import TwoViewNetwork
from candor.study.errors import BundleError


@pytest.mark.parametrize("architecture", sorted(NETWORKS))
def test_every_name_builds_a_network_with_one_output_a_finding(architecture: str) -> None:
    with torch.device("meta"):
        network = build(architecture, 5)
        first = next(network.trunk.parameters())
    assert network.head.bias.shape == (5,)
    assert trunk_of(architecture) in TRUNKS
    members = int(architecture[4]) if architecture.startswith("mimo") else 1
    assert first.shape[1] == members
    assert isinstance(network, MimoNetwork) == (members > 1)
    assert isinstance(network, TwoViewNetwork) == architecture.startswith("two-view:")


@pytest.mark.parametrize(
    "architecture",
    ["", "densenet", "densenet121/", "densenet121/linear", "mimo9:vgg16", "mimo3:vgg16/conv64", "vgg16:"],
)
def test_an_unknown_name_is_answered_with_the_known(architecture: str) -> None:
    with pytest.raises(BundleError) as raised:
        build(architecture, 5)
    assert f"the network {architecture!r} is unknown; known are {known()}" in str(raised.value)
    for word in (*TRUNKS, "/conv64", "/concat-pool", "mimo2:", "mimo4:", "two-view:"):
        assert word in str(raised.value)


def test_tensors_of_older_bundles_still_hold() -> None:
    with torch.device("meta"):
        tensors = build("densenet121", 14).state_dict()
    assert tensors["trunk.features.denseblock1.denselayer1.layers.norm1.weight"].shape == (64,)
    assert tensors["head.weight"].shape == (14, 1024)
    assert {name.partition(".")[0] for name in tensors} == {"trunk", "head"}
