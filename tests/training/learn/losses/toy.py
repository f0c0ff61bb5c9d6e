"""A task that two convolution kernels solve, and the smallest network with logits and class activation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

FINDINGS = 2


class TinyNetwork(nn.Module):
    """Convolution, ReLU, global average pooling and a linear layer, as ``ClassActivationNetwork`` has them."""

    def __init__(self, channels: int = 1, heads: int = 1) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(16, heads * FINDINGS, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        activation = self.head(self.trunk(images))
        return activation.mean(dim=(2, 3)), activation


def batch(images: int = 64, exclusive: bool = False) -> tuple[Tensor, Tensor]:
    """Finding 0 is a bright square and finding 1 a dark one, each at a random place, in noise."""
    rng = torch.Generator().manual_seed(1)
    pixels = 0.05 * torch.randn(images, 1, 12, 12, generator=rng)
    labels = torch.randint(2, (images, FINDINGS), generator=rng)
    if exclusive:
        labels[:, 1] = 1 - labels[:, 0]
    corners = torch.randint(9, (images, FINDINGS, 2), generator=rng)
    for image, finding in labels.nonzero().tolist():
        row, column = corners[image, finding].tolist()
        pixels[image, 0, row : row + 4, column : column + 4] += 1 - 2 * finding
    return pixels, labels.float()


def train(
    step_loss: Callable[[nn.Module], Tensor], network: nn.Module, optimiser: torch.optim.Optimizer, steps: int
) -> list[float]:
    """Take steps on one batch, and return the loss before each."""
    history = []
    for _ in range(steps):
        loss = step_loss(network)
        network.zero_grad()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(float(loss.detach()))
    return history


def train_on_labels(loss: nn.Module, steps: int = 200, exclusive: bool = False) -> tuple[list[float], float]:
    """Train with a loss of logits and labels; return its history, and the share of labels answered right."""
    torch.manual_seed(0)
    images, labels = batch(exclusive=exclusive)
    network = TinyNetwork()
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    history = train(lambda of: loss(of(images)[0], labels), network, optimiser, steps)
    return history, right(network, images, labels)


def right(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of labels that the logit's sign agrees with."""
    return float(((network(images)[0] > 0) == (labels > 0.5)).float().mean())


def at_a_point(loss: nn.Module) -> nn.Module:
    """Move the auxiliary variables from 0, so that every term has a part in the value."""
    with torch.no_grad():
        for variable, value in ((loss.a, 0.7), (loss.b, 0.2), (loss.alpha, 0.4)):
            variable.fill_(value)  # type: ignore[operator]
    return loss
