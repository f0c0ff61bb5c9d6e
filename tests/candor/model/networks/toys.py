"""A problem that every network must solve: two findings, each a bright patch in a place of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from candor.model.networks.class_activation import LogitsOnly

Pair = tuple[Tensor, Tensor]
Network = TypeVar("Network", bound=nn.Module)


def patches(count: int, side: int = 32, seed: int = 0) -> Pair:
    """Images ``(count, 1, side, side)`` and labels ``(count, 2)``: a patch above, a patch below, on noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (count, 2)).astype(np.float32)
    images = rng.normal(0, 0.3, (count, 1, side, side)).astype(np.float32)
    third = side // 3
    images[:, 0, 2:third, 2:third] += 2 * labels[:, :1, None]
    images[:, 0, -third:-2, -third:-2] -= 2 * labels[:, 1:, None]
    return torch.from_numpy(images), torch.from_numpy(labels)


def train(network: nn.Module, logits_of: Callable[[], Pair], steps: int, rate: float = 1e-2) -> list[float]:
    """Take some steps of Adam on what ``logits_of`` gives, logits and labels; the loss of each."""
    network.train()
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], rate)
    losses = []
    for _ in range(steps):
        loss = nn.functional.binary_cross_entropy_with_logits(*logits_of())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    network.eval()
    return losses


def solved(logits: Tensor, labels: Tensor) -> float:
    """Share of answers that are right."""
    return float(((logits > 0) == (labels > 0)).float().mean())


def awake(network: Network, side: int = 64) -> Network:
    """A network whose batch normalisation is no longer that of the start, in evaluation mode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    network.train()
    with torch.no_grad():
        network(patches(8, side)[0])
    return network.eval()


def grad_cam(network: nn.Module, layer: nn.Module, images: Tensor, finding: int) -> np.ndarray:
    """Captum's maps of one finding, ``(n, height, width)``."""
    maps = LayerGradCam(LogitsOnly(network), layer).attribute(images, target=finding, relu_attributions=True)
    return maps.detach().numpy()[:, 0]


def assert_is_grad_cam(network: nn.Module, layer: nn.Module, images: Tensor, findings: int = 2) -> None:
    """The positive part of the class activation is captum's Grad-CAM, up to one factor: the number of cells."""
    with torch.inference_mode():
        activation = network(images)[1].numpy()
    assert np.abs(activation).max() > 0
    for k in range(findings):
        expected, ours = grad_cam(network, layer, images, k), np.maximum(activation[:, k], 0)
        assert expected.max() > 0
        np.testing.assert_allclose(ours / ours.max(), expected / expected.max(), atol=1e-5)
        np.testing.assert_allclose(ours / ours[0].size, expected, atol=1e-6, rtol=1e-4)
