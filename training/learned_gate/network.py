"""The error model in torch, to be fitted: what :class:`candor.decide.learned_gate.ErrorModel` applies without torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from candor.decide.learned_gate import CHANNELS, KERNEL

FILTERS = 8
HIDDEN = 16


class ErrorNetwork(nn.Module):
    """One convolution over the map, then one hidden layer, with a direct way from the inputs to the output.

    The direct way starts the network as a logistic regression: with few patients there is little more to learn. The
    names of its parameters are those of the bundle's tensors.

    Parameters
    ----------
    beside
        How many inputs stand beside the map, the finding's one-hot code included.
    """

    def __init__(self, beside: int, filters: int = FILTERS, hidden: int = HIDDEN) -> None:
        super().__init__()
        inputs = 2 * filters + beside
        self.convolution = nn.Conv2d(CHANNELS, filters, KERNEL, padding=KERNEL // 2)
        self.hidden = nn.Linear(inputs, hidden)
        self.out = nn.Linear(hidden, 1)
        self.direct = nn.Linear(inputs, 1)

    def forward(self, maps: Tensor, beside: Tensor) -> Tensor:
        """From ``(n, CHANNELS, height, width)`` and ``(n, beside)`` to ``(n,)``, higher where more likely wrong."""
        answer = torch.relu(self.convolution(maps)).flatten(2)
        inputs = torch.cat([answer.mean(dim=2), answer.amax(dim=2), beside], dim=1)
        score: Tensor = self.out(torch.relu(self.hidden(inputs))) + self.direct(inputs)
        return score[:, 0]
