"""The learned gate in torch, for fitting; :class:`candor.decide.learned_gate.LearnedGate` applies it without torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from candor.decide.learned_gate import CHANNELS, KERNEL

FILTERS = 8
HIDDEN = 16


class ErrorNetwork(nn.Module):
    """One convolution over the map and one hidden layer, with a direct connection from the inputs to the output.

    The direct connection makes the network start as a logistic regression: with few patients there is little more to
    learn. Its parameters have the names of the bundle's tensors.

    Parameters
    ----------
    beside
        Number of inputs besides the map, the finding's one-hot code included.
    """

    def __init__(self, beside: int) -> None:
        super().__init__()
        inputs = 2 * FILTERS + beside
        self.convolution = nn.Conv2d(CHANNELS, FILTERS, KERNEL, padding=KERNEL // 2)
        self.hidden = nn.Linear(inputs, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)
        self.direct = nn.Linear(inputs, 1)

    def forward(self, maps: Tensor, beside: Tensor) -> Tensor:
        """Return a score for each answer, ``(n,)``; a higher one is more likely wrong.

        Parameters
        ----------
        maps
            ``(n, CHANNELS, height, width)``.
        beside
            ``(n, beside)``: the inputs besides the map.
        """
        answer = torch.relu(self.convolution(maps)).flatten(2)
        inputs = torch.cat([answer.mean(dim=2), answer.amax(dim=2), beside], dim=1)
        score: Tensor = self.out(torch.relu(self.hidden(inputs))) + self.direct(inputs)
        return score[:, 0]
