"""Two views are read together, and a missing lateral changes nothing but what it would have said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from candor.model.networks.registry import build
from candor.model.networks.two_view import TwoViewNetwork
from tests.candor.model.networks.toys import patches, train


@pytest.fixture
def network() -> TwoViewNetwork:
    torch.manual_seed(0)
    built = build("two-view:benchmark-cnn", 2)
    assert isinstance(built, TwoViewNetwork)
    return built


def studies(count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """The first finding shows in the frontal view only, the second in the lateral only."""
    frontal, first = patches(count, seed=seed)
    lateral, second = patches(count, seed=seed + 100)
    return frontal, lateral, torch.stack([first[:, 0], second[:, 0]], dim=1)


class Logits(nn.Module):
    """One tensor out, for captum."""

    def __init__(self, network: TwoViewNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frontal: Tensor, lateral: Tensor) -> Tensor:
        return self.network.both(frontal, lateral, torch.ones(len(frontal), dtype=torch.bool)).logits


def test_it_solves_what_needs_both_views(network: TwoViewNetwork) -> None:
    frontal, lateral, labels = studies(64)
    present = torch.ones(64, dtype=torch.bool)
    losses = train(network, lambda: (network.both(frontal, lateral, present).logits, labels), steps=60)
    assert losses[-1] < losses[0] / 3
    frontal, lateral, truth = studies(64, seed=1)
    with torch.inference_mode():
        right = (network.both(frontal, lateral, present).logits > 0) == (truth > 0)
        alone = (network(frontal)[0] > 0) == (truth > 0)
    assert right.float().mean() > 0.95
    assert alone[:, 1].float().mean() < 0.8  # the second finding is not in the frontal view


def test_a_logit_is_both_maps_means_and_the_bias(network: TwoViewNetwork) -> None:
    frontal, lateral, _ = studies(4)
    present = torch.tensor([True, False, True, False])
    logits, one, other = network.eval().both(frontal, lateral, present)
    torch.testing.assert_close(one.mean(dim=(2, 3)) + other.mean(dim=(2, 3)) + network.head.bias, logits)
    assert one.shape == other.shape == (4, 2, 2, 2)
    assert not other[~present].any()
    assert other[present].all(dim=0).any()


def test_a_missing_lateral_is_the_frontal_alone(network: TwoViewNetwork) -> None:
    frontal, lateral, _ = studies(4)
    network.eval()
    none = network.both(frontal, torch.full_like(lateral, torch.nan), torch.zeros(4, dtype=torch.bool))
    logits, activation = network(frontal)
    torch.testing.assert_close(none.logits, logits)
    torch.testing.assert_close(none.frontal, activation)
    assert not none.lateral.any()


def test_missing_laterals_do_not_move_statistics(network: TwoViewNetwork) -> None:
    frontal, lateral, _ = studies(6)
    present = torch.tensor([True, True, True, True, False, False])
    whole = lateral.clone()
    lateral[~present] = 1e6
    torch.manual_seed(0)
    twin = build("two-view:benchmark-cnn", 2)
    assert isinstance(twin, TwoViewNetwork)
    network.train().both(frontal, lateral, present)
    twin.train().lateral(whole[:4])
    torch.testing.assert_close(network.lateral.state_dict(), twin.lateral.state_dict())


def test_maps_of_both_views_are_captums_grad_cam(network: TwoViewNetwork) -> None:
    frontal, lateral, _ = studies(3)
    network.train().both(frontal, lateral, torch.ones(3, dtype=torch.bool))
    network.eval()
    maps = network.both(frontal, lateral, torch.ones(3, dtype=torch.bool))
    for layer, activation in ((network.trunk, maps.frontal), (network.lateral, maps.lateral)):
        for k in range(2):
            attributed = LayerGradCam(Logits(network), layer).attribute((frontal, lateral), target=k)
            expected = attributed.detach().numpy()[:, 0]  # signed: a positive part may be empty
            ours = activation[:, k].detach().numpy()
            assert np.abs(expected).max() > 0
            np.testing.assert_allclose(ours / np.abs(ours).max(), expected / np.abs(expected).max(), atol=1e-5)
