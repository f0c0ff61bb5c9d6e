"""The orientation check's network: five small convolutions, and one head for all its answers."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS: Final = ((16, 2), (32, 2), (48, 2), (64, 2), (64, 1))
"""Channels and stride of each convolution."""

_SPLIT: Final = [1, 4, 1, 3]  # inverted, turned, mirrored, projection


class OrientationNetwork(nn.Module):
    """The network from ``(n, 1, side, side)`` to the log-odds ``(n, 9)`` of all answers.

    The last feature map is flattened, not averaged: the answers depend on which side something is.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        before, layers, cells = 1, list[nn.Module](), side
        for channels, stride in CHANNELS:
            layers += [_convolution(before, channels, stride), nn.BatchNorm2d(channels), nn.ReLU()]
            before, cells = channels, (cells + stride - 1) // stride
        layers += [nn.Conv2d(before, 16, 1), nn.Flatten(), nn.Dropout(0.1)]
        layers += [nn.Linear(16 * cells**2, 64), nn.ReLU(), nn.Linear(64, sum(_SPLIT))]
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        """Return all answers in log-odds, ``(n, 9)``."""
        answers: Tensor = self.layers(image)
        return answers


class Probabilities(nn.Module):
    """The network with its answers as probabilities, in the order of :data:`candor.picture.orientation.OUTPUTS`."""

    def __init__(self, network: OrientationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return ``(n,)`` inverted, ``(n, 4)`` turned, ``(n,)`` mirrored, ``(n, 3)`` frontal, lateral, no chest."""
        inverted, turned, mirrored, projection = torch.split(self.network(image), _SPLIT, dim=1)
        return (
            inverted.sigmoid().squeeze(1),
            turned.softmax(dim=1),
            mirrored.sigmoid().squeeze(1),
            projection.softmax(dim=1),
        )


def orientation_loss(answers: Tensor, truth: Tensor) -> Tensor:
    """Return the sum of the cross-entropies of the four answers over a batch.

    Polarity and turn count only for frontal chests, and mirroring only for those that are upright: for other pictures
    the orientation check's answer is not used.

    Parameters
    ----------
    answers
        ``(n, 9)`` log-odds.
    truth
        ``(n, 4)`` int64: inverted 0 or 1, turned 0 to 3, mirrored 0 or 1, projection 0 to 2.
    """
    inverted, turned, mirrored, projection = torch.split(answers, _SPLIT, dim=1)
    frontal = truth[:, 3] == 0
    upright = frontal & (truth[:, 1] == 0)
    return (
        functional.cross_entropy(projection, truth[:, 3], label_smoothing=0.01)
        + _mean(functional.cross_entropy(turned, truth[:, 1], reduction="none"), frontal)
        + _mean(_binary(inverted, truth[:, 0]), frontal)
        + _mean(_binary(mirrored, truth[:, 2]), upright)
    )


def _mean(losses: Tensor, counts: Tensor) -> Tensor:
    return (losses * counts).sum() / counts.sum().clamp(min=1)


def _binary(answers: Tensor, truth: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(answers.squeeze(1), truth.to(torch.float32), reduction="none")


def _convolution(before: int, channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(before, channels, 3, stride, padding=1, bias=False)
