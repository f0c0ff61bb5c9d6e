"""The general Grad-CAM trains as well as it explains."""

from __future__ import annotations

import torch
from torch import nn

from candor.model.networks.trunks import benchmark_cnn
from tests.candor.model.networks.gradcam import GradCamNetwork
from tests.candor.model.networks.toys import assert_is_grad_cam, awake, patches, solved, train


def network() -> GradCamNetwork:
    torch.manual_seed(0)
    layers = (nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 2))
    return GradCamNetwork(benchmark_cnn(), nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), *layers))


def test_it_solves_the_toy() -> None:
    general = network()
    images, labels = patches(64)
    losses = train(general, lambda: (general(images)[0], labels), steps=60)
    assert losses[-1] < losses[0] / 3
    unseen, truth = patches(64, seed=1)
    assert solved(general(unseen)[0], truth) > 0.95


def test_maps_are_captums() -> None:
    general = awake(network())
    assert_is_grad_cam(general, general.trunk, patches(3, 64, seed=2)[0])


def test_training_gives_the_gradients_of_the_plain_network() -> None:
    general = awake(network())
    images, labels = patches(6, 64)
    criterion = nn.functional.binary_cross_entropy_with_logits
    gradients = []
    for logits in (general(images)[0], general.head(general.trunk(images))):
        general.zero_grad()
        criterion(logits, labels).backward()
        gradients.append([parameter.grad.clone() for parameter in general.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_a_frozen_trunk_leaves_the_head_to_learn() -> None:
    general = network()
    general.trunk.requires_grad_(False)
    logits, activation = general(patches(4, 64)[0])
    logits.sum().backward()
    assert all(parameter.grad is None for parameter in general.trunk.parameters())
    assert all(parameter.grad is not None for parameter in general.head.parameters())
    assert activation.shape == (4, 2, 4, 4)


def test_serving_leaves_nothing_attached() -> None:
    general = awake(network())
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            assert not any(output.requires_grad for output in general(patches(2, 64)[0]))
