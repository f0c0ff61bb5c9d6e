"""Three networks in one trunk: each learns its own channel, and together they answer as an ensemble."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from candor.model.networks.mimo import MimoNetwork, mixed
from candor.model.networks.registry import build
from tests.candor.model.networks.toys import assert_is_grad_cam, awake, patches, solved, train


@pytest.fixture
def network() -> MimoNetwork:
    torch.manual_seed(0)
    built = build("mimo3:benchmark-cnn", 2)
    assert isinstance(built, MimoNetwork)
    torch.nn.init.normal_(built.head.deviation)
    return built


def test_members_see_their_own_images() -> None:
    images, labels = patches(10)
    stacked, targets = mixed(images, labels, 3, torch.Generator().manual_seed(1))
    assert stacked.shape == (10, 3, 32, 32)
    assert targets.shape == (10, 3, 2)
    orders = [[int((images[:, 0] == image).all(dim=(1, 2)).nonzero()) for image in stacked[:, m]] for m in range(3)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    for m, order in enumerate(orders):
        torch.testing.assert_close(targets[:, m], labels[order])


def test_it_solves_the_toy_and_members_ignore_each_other(network: MimoNetwork) -> None:
    images, labels = patches(96)
    chance = torch.Generator().manual_seed(0)

    def step() -> tuple[Tensor, Tensor]:
        stacked, targets = mixed(images, labels, 3, chance)
        return network.members(stacked)[0], targets

    losses = train(network, step, steps=250)
    assert sum(losses[-5:]) < sum(losses[:5]) / 2
    unseen, truth = patches(96, seed=1)
    with torch.inference_mode():
        assert solved(network(unseen)[0], truth) > 0.95
        stacked, targets = mixed(unseen, truth, 3, chance)
        assert solved(network.members(stacked)[0], targets) > 0.85


def test_the_answer_is_the_mean_probability(network: MimoNetwork) -> None:
    images, _ = patches(5, 64)
    awake(network)
    with torch.inference_mode():
        logits, activation = network(images)
        members, _ = network.members(images.repeat(1, 3, 1, 1))
    torch.testing.assert_close(logits.sigmoid(), members.sigmoid().mean(dim=1))
    assert activation.shape == (5, 2, 4, 4)
    assert members.sigmoid().std(dim=1).max() > 0


def test_maps_are_captums_grad_cam_of_the_mean(network: MimoNetwork) -> None:
    awake(network)
    assert_is_grad_cam(network, network.trunk, patches(3, 64, seed=2)[0])


def test_members_that_agree_answer_as_one(network: MimoNetwork) -> None:
    with torch.no_grad():
        network.head.deviation.zero_()
        network.head.weight.copy_(network.head.weight[:2].repeat(3, 1))
    images, _ = patches(3, 64)
    awake(network)
    with torch.inference_mode():
        logits, activation = network(images)
        members, _ = network.members(images.repeat(1, 3, 1, 1))
    torch.testing.assert_close(members, logits[:, None].expand_as(members))
    torch.testing.assert_close(activation.mean(dim=(2, 3)) + network.head.bias, logits)


def test_probabilities_that_round_to_one_still_have_a_logit(network: MimoNetwork) -> None:
    with torch.no_grad():
        network.head.bias.fill_(60)
    logits, activation = awake(network)(patches(2, 64)[0])
    assert torch.isfinite(logits).all()
    assert torch.isfinite(activation).all()
    assert logits.min() > 40
