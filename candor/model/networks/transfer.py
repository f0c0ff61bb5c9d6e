"""Transfer learning: hold the trunk still while the head learns, open it block by block, let it learn more slowly.

Two phases::

    unfreeze(network, last=0)    # the head learns alone
    unfreeze(network, last=2)    # then the trunk's last two blocks with it
    unfreeze(network)            # then all, at the rates of parameter_groups

References
----------
Yosinski et al. 2014. Howard and Ruder 2018 (discriminative rates, gradual unfreezing).
"""

from __future__ import annotations

from typing import Any

from torch import nn

from candor.model.networks.trunk import Trunk


def trunks_in(network: nn.Module) -> list[Trunk]:
    """Every trunk of a network: one, or two for two views. A trunk's is itself."""
    return [module for module in network.modules() if isinstance(module, Trunk)]


def unfreeze(network: nn.Module, last: int | None = None) -> None:
    """Let a network's trunks learn; what is held still gets no gradient and keeps its running statistics.

    Parameters
    ----------
    last
        So many blocks of each trunk, from the head backwards, and no others; 0 for none, None for all.
    """
    for trunk in trunks_in(network):
        trunk.hold(0 if last is None else max(len(trunk.blocks) - last, 0))


def parameter_groups(network: nn.Module, rate: float, *, groups: int = 3, factor: float = 10.0) -> list[dict[str, Any]]:
    """Divide a network for an optimiser: the nearer to the pixels, the more slowly it learns.

    Parameters
    ----------
    rate
        Learning rate of everything that is not trunk.
    groups
        Two or more: the trunk's blocks in ``groups - 1`` runs of about equal number, then the rest.
    factor
        From the rate of a group to that of the one before it; 1 for one rate.

    Returns
    -------
    ``params`` and ``lr`` of each group, from the pixels to the head. Frozen parameters are among them, so that one
    optimiser serves all phases.
    """
    parts: list[list[nn.Parameter]] = [[] for _ in range(groups - 1)]
    for trunk in trunks_in(network):
        for position, block in enumerate(trunk.blocks):
            parts[position * len(parts) // len(trunk.blocks)] += block.parameters()
    taken = {id(parameter) for part in parts for parameter in part}
    parts.append([parameter for parameter in network.parameters() if id(parameter) not in taken])
    return [{"params": part, "lr": rate / factor ** (groups - 1 - depth)} for depth, part in enumerate(parts)]
