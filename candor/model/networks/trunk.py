"""The convolutional part of a network, from pixels to the last feature map, in blocks that can be frozen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Self

from torch import nn


class Trunk(nn.Sequential):
    """Layers that turn ``(n, inputs, side, side)`` into ``(n, channels, height, width)``, with the last activation.

    Parameters
    ----------
    layers
        The layers by name, in order.
    channels
        Channels of the last feature map.
    """

    def __init__(self, layers: Mapping[str, nn.Module], channels: int) -> None:
        super().__init__(OrderedDict(layers))
        self.channels = channels
        self._held = 0

    @property
    def blocks(self) -> list[nn.Module]:
        """The parts with parameters, from the pixels on; a block is frozen, or learns at one rate, as a whole."""
        inner = self.get_submodule("features") if "features" in self._modules else self
        return [child for child in inner.children() if any(True for _ in child.parameters())]

    def hold(self, leading: int) -> None:
        """Freeze the first ``leading`` blocks, and unfreeze the others.

        A frozen block gets no gradient and stays in evaluation mode even after ``train()``: otherwise the statistics of
        its batch normalisation would change with every batch.
        """
        self._held = leading
        for position, block in enumerate(self.blocks):
            block.requires_grad_(position >= leading)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; frozen blocks stay in evaluation mode, see :meth:`hold`."""
        super().train(mode)
        for block in self.blocks[: self._held]:
            block.eval()
        return self
