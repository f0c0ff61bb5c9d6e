"""A frozen trunk stands still, statistics and all; opened, it learns block by block and at its own rates."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from candor.model.networks.registry import build
from candor.model.networks.transfer import parameter_groups, trunks_in, unfreeze
from candor.model.networks.trunks import TRUNKS
from tests.candor.model.networks.toys import patches, solved, train


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(module.state_dict())


def changed(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    return {name for name, tensor in module.state_dict().items() if not torch.equal(before[name], tensor)}


def test_a_frozen_trunk_keeps_weights_and_statistics_while_the_head_learns() -> None:
    torch.manual_seed(0)
    network = build("benchmark-cnn/conv64", 2)
    images, labels = patches(64)
    unfreeze(network, last=0)
    before = state_of(network)
    losses = train(network, lambda: (network(images)[0], labels), steps=40)
    assert losses[-1] < losses[0] / 2
    assert {name.partition(".")[0] for name in changed(before, network)} == {"neck", "head"}


def test_two_phases_solve_the_toy() -> None:
    torch.manual_seed(0)
    network = build("benchmark-cnn", 2)
    images, labels = patches(64)
    unfreeze(network, last=0)
    train(network, lambda: (network(images)[0], labels), steps=10)
    unfreeze(network)
    before = state_of(network.trunk)
    train(network, lambda: (network(images)[0], labels), steps=60)
    assert changed(before, network.trunk) == set(before)
    with torch.inference_mode():
        assert solved(network(images)[0], labels) > 0.95


def test_the_last_blocks_open_first() -> None:
    network = build("benchmark-cnn", 2).train()
    unfreeze(network, last=0)
    unfreeze(network, last=2)
    before = state_of(network.trunk)
    images, labels = patches(16)
    train(network, lambda: (network(images)[0], labels), steps=2)
    assert {name.partition(".")[0] for name in changed(before, network.trunk)} == {"conv2", "norm2"}
    unfreeze(network, last=99)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_training_mode_reaches_all_but_what_is_held() -> None:
    network = build("benchmark-cnn", 2)
    unfreeze(network, last=0)
    network.train()
    assert network.training
    assert not any(block.training for block in network.trunk.blocks)
    unfreeze(network)
    assert all(block.training for block in network.trunk.blocks)
    network.eval()
    unfreeze(network)
    assert not any(block.training for block in network.trunk.blocks)
    assert copy.deepcopy(network).trunk._held == 0


def test_both_trunks_of_two_views_are_frozen() -> None:
    network = build("two-view:benchmark-cnn", 2)
    unfreeze(network, last=0)
    assert len(trunks_in(network)) == 2
    assert {name for name, p in network.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}


@pytest.mark.parametrize("name", sorted(TRUNKS))
def test_blocks_hold_every_parameter_once(name: str) -> None:
    with torch.device("meta"):
        trunk = TRUNKS[name](1)
    held = [id(parameter) for block in trunk.blocks for parameter in block.parameters()]
    assert sorted(held) == sorted(id(parameter) for parameter in trunk.parameters())


def test_groups_learn_the_more_slowly_the_nearer_to_the_pixels() -> None:
    with torch.device("meta"):
        network = build("densenet121", 3)
    groups = parameter_groups(network, 1e-2)
    assert [group["lr"] for group in groups] == pytest.approx([1e-4, 1e-3, 1e-2])
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    named = [[names[id(parameter)] for parameter in group["params"]] for group in groups]
    assert sorted(name for part in named for name in part) == sorted(names.values())
    # fastai divides a DenseNet at the same place.
    assert "trunk.features.denseblock2.denselayer12.layers.conv2.weight" in named[0]
    assert named[1][0] == "trunk.features.transition2.norm.weight"
    assert named[2] == ["head.weight", "head.bias"]


def test_an_optimiser_takes_the_groups() -> None:
    network = build("two-view:benchmark-cnn", 2)
    groups = parameter_groups(network, 0.1, groups=2, factor=1.0)
    optimiser = torch.optim.AdamW(groups)
    rates = [group["lr"] for group in groups]
    torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=5)
    assert rates == [0.1, 0.1]
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
