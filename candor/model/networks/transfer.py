"""Transfer learning: freeze the trunk while the head learns, unfreeze it by blocks, and give it lower rates.

Two phases::

    unfreeze(network, last=0)    # only the head learns
    unfreeze(network, last=2)    # the trunk's last two blocks too
    unfreeze(network)            # all, at the rates of parameter_groups

References
----------
Yosinski et al. 2014. Howard and Ruder 2018 (discriminative rates, gradual unfreezing).
"""

from __future__ import annotations

from typing import Any

from torch import nn

from candor.model.networks.trunk import Trunk


def trunks_in(network: nn.Module) -> list[Trunk]:
    """Return every trunk of a network: one, or two for two views. For a trunk it is itself."""
    return [module for module in network.modules() if isinstance(module, Trunk)]


def unfreeze(network: nn.Module, last: int | None = None) -> None:
    """Unfreeze blocks of a network's trunks, and freeze the others.

    Frozen blocks get no gradient and keep their running statistics.

    Parameters
    ----------
    network
        The network; changed in place.
    last
        Number of blocks of each trunk that learn, counted from the head; None for all.
    """
    for trunk in trunks_in(network):
        trunk.hold(0 if last is None else max(len(trunk.blocks) - last, 0))


def parameter_groups(network: nn.Module, rate: float, *, groups: int = 3, factor: float = 10.0) -> list[dict[str, Any]]:
    """Return a network's parameter groups for an optimiser, with lower rates nearer to the pixels.

    Parameters
    ----------
    network
        The network.
    rate
        Learning rate of everything but the trunk.
    groups
        Number of groups, two or more: ``groups - 1`` of about equally many blocks of the trunk, and one of the rest.
    factor
        The rate of a group divided by that of the group before it; 1 for one rate.

    Returns
    -------
    ``params`` and ``lr`` of each group, from the pixels to the head. Frozen parameters are included, so that one
    optimiser can be used for all phases.
    """
    parts: list[list[nn.Parameter]] = [[] for _ in range(groups - 1)]
    for trunk in trunks_in(network):
        for position, block in enumerate(trunk.blocks):
            parts[position * len(parts) // len(trunk.blocks)] += block.parameters()
    taken = {id(parameter) for part in parts for parameter in part}
    parts.append([parameter for parameter in network.parameters() if id(parameter) not in taken])
    return [{"params": part, "lr": rate / factor ** (groups - 1 - depth)} for depth, part in enumerate(parts)]
