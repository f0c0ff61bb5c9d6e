"""The convolutional part of a network: from pixels to the last feature map, in blocks that can be held still."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Self

from torch import nn


class Trunk(nn.Sequential):
    """Layers that turn ``(n, inputs, side, side)`` into ``(n, channels, height, width)``, last activation included.

    Parameters
    ----------
    layers
        In order, by name.
    channels
        Of the last feature map.
    """

    def __init__(self, layers: Mapping[str, nn.Module], channels: int) -> None:
        super().__init__(OrderedDict(layers))
        self.channels = channels
        self._held = 0

    @property
    def blocks(self) -> list[nn.Module]:
        """The parts that have parameters, from the pixels on: what is frozen, or learns at one rate, together."""
        inner = self.get_submodule("features") if "features" in self._modules else self
        return [child for child in inner.children() if any(True for _ in child.parameters())]

    def hold(self, leading: int) -> None:
        """Freeze the first ``leading`` blocks, and open the others.

        A frozen block takes no gradient and stays in evaluation mode whatever ``train()`` says: otherwise its batch
        normalisation would drift with every batch although its weights stand still.
        """
        self._held = leading
        for position, block in enumerate(self.blocks):
            block.requires_grad_(position >= leading)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; see :meth:`hold` for what stays in the latter."""
        super().train(mode)
        for block in self.blocks[: self._held]:
            block.eval()
        return self
