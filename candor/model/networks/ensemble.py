"""Several networks that are served as one: each reads the picture at a size of its own, and the mean logit counts.

A bundle's architecture names the members and their sizes: ``efficientnet-lite0@160+efficientnet-lite0@128``. Members
are trained one by one, each with a linear head. Joined, they are one trunk, whose feature map holds those of all
members, and one linear head, whose weights are the members' divided by their number. So class activation, Grad-CAM and
features are those of any network here.

References
----------
Lakshminarayanan, Pritzel and Blundell 2017 (deep ensembles).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from candor.model.networks.trunk import Trunk
from candor.model.preprocess import InputSpec

State = Mapping[str, Tensor]

_HEAD: Final = ("head.weight", "head.bias")


@dataclass(frozen=True, slots=True)
class Member:
    """One member as the name of an ensemble gives it.

    Parameters
    ----------
    trunk
        A key of :data:`candor.model.networks.trunks.TRUNKS`.
    side
        Side of the picture that it reads, in pixels.
    """

    trunk: str
    side: int


def members_of(architecture: str) -> list[Member]:
    """Return the members of an ensemble's name; empty where the name is not one of an ensemble."""
    parts = [part.partition("@") for part in architecture.split("+")]
    if not all(trunk and side.isascii() and side.isdigit() for trunk, _, side in parts):
        return []
    return [Member(trunk, int(side)) for trunk, _, side in parts]


def ensemble_name(members: Sequence[Member]) -> str:
    """Return the name of an ensemble."""
    return "+".join(f"{member.trunk}@{member.side}" for member in members)


def ensemble_input(specs: Sequence[InputSpec]) -> InputSpec:
    """Return the input of an ensemble: all sides that its members read, standardised as for the first member."""
    largest, *smaller = sorted({spec.side for spec in specs}, reverse=True)
    return InputSpec(largest, specs[0].mean, specs[0].std, tuple(smaller))


class EnsembleTrunk(nn.Module):
    """The trunks of all members as one.

    Parameters
    ----------
    trunks
        The members' trunks, in evaluation mode.
    sides
        Side of the picture that each member reads, in pixels.

    Attributes
    ----------
    scale, shift
        ``(members,)``: from the ensemble's standardised pixels to those that each member was trained on.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, trunks: Sequence[Trunk], sides: Sequence[int]) -> None:
        super().__init__()
        self.members = nn.ModuleList(trunks)
        self.channels = sum(trunk.channels for trunk in trunks)
        self._sides = tuple(sides)
        self.register_buffer("scale", torch.ones(len(trunks)))
        self.register_buffer("shift", torch.zeros(len(trunks)))
        with torch.no_grad():
            maps = [trunk.eval()(torch.zeros(1, 1, side, side)) for trunk, side in zip(trunks, sides, strict=True)]
        self._grids = [int(features.shape[-1]) for features in maps]
        for grid in set(self._grids) - {max(self._grids)}:
            refine = torch.from_numpy(area_average(grid, max(self._grids)))
            self.register_buffer(f"refine{grid}", refine, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature maps of all members side by side, on the finest member's grid.

        A coarser map is spread by area, which keeps its mean.

        Parameters
        ----------
        images
            ``(n, sizes, side, side)``, see :func:`candor.model.preprocess.to_network_input`.

        Returns
        -------
        ``(n, channels, height, width)``.
        """
        return torch.cat(list(self._maps(images)), dim=1)

    def _maps(self, images: Tensor) -> Iterator[Tensor]:
        sizes = sorted(set(self._sides), reverse=True)
        for position, (trunk, side, grid) in enumerate(zip(self.members, self._sides, self._grids, strict=True)):
            size = sizes.index(side)
            picture = images[:, size : size + 1, :side, :side] * self.scale[position] + self.shift[position]
            features = trunk(picture)
            if grid < max(self._grids):
                refine = self.get_buffer(f"refine{grid}")
                features = refine @ features @ refine.T
            yield features


def area_average(cells: int, finer: int) -> NDArray[np.float32]:
    """Return the matrix ``(finer, cells)`` that spreads the values of ``cells`` over more cells by area.

    Each new cell is the mean of what it covers, so the mean over all cells stays the same.

    Parameters
    ----------
    cells, finer
        Number of cells along a side, before and after.
    """
    old, new = np.arange(cells + 1) / cells, np.arange(finer + 1) / finer
    covered = np.minimum(new[1:, np.newaxis], old[1:]) - np.maximum(new[:-1, np.newaxis], old[:-1])
    return np.asarray(covered.clip(0) * finer, np.float32)


def joined_state(states: Sequence[State], specs: Sequence[InputSpec]) -> dict[str, Tensor]:
    """Return the tensors of an ensemble.

    Parameters
    ----------
    states
        Tensors of each member, a trunk with a linear head.
    specs
        Input that each member was trained on.

    Raises
    ------
    ValueError
        A member holds more than a trunk and a linear head.
    """
    together = ensemble_input(specs)
    joined: dict[str, Tensor] = {}
    for position, state in enumerate(states):
        for name, tensor in state.items():
            if name in _HEAD:
                continue
            if not name.startswith("trunk."):
                raise ValueError(f"{name} is of no trunk and no linear head")
            joined[f"trunk.members.{position}.{name.removeprefix('trunk.')}"] = tensor
    joined["head.weight"] = torch.cat([state["head.weight"] for state in states], dim=1) / len(states)
    joined["head.bias"] = torch.stack([state["head.bias"] for state in states]).mean(dim=0)
    joined["trunk.scale"] = torch.tensor([together.std / spec.std for spec in specs])
    joined["trunk.shift"] = torch.tensor([(together.mean - spec.mean) / spec.std for spec in specs])
    return joined
