"""Every network by the name in a bundle's ``metadata.json`` and in a recipe.

``densenet121``            a trunk of :data:`candor.model.networks.trunks.TRUNKS` with a linear head
``densenet121/conv64``     with another head of :data:`candor.model.networks.heads.HEADS`
``mimo3:densenet121``      three members in one trunk, see :mod:`candor.model.networks.mimo`
``two-view:densenet121``   two trunks, see :mod:`candor.model.networks.two_view`
``vgg16@160+vgg16@128``    members trained one by one and served together, see :mod:`candor.model.networks.ensemble`
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from torch import nn

from candor.model.networks.class_activation import ClassActivationNetwork
from candor.model.networks.ensemble import EnsembleTrunk, members_of
from candor.model.networks.heads import HEADS, linear
from candor.model.networks.mimo import MimoNetwork
from candor.model.networks.trunk import Trunk
from candor.model.networks.trunks import TRUNKS
from candor.model.networks.two_view import TwoViewNetwork
from candor.study.errors import BundleError

Builder = Callable[[int], ClassActivationNetwork]
"""Returns a network with random weights for a number of findings."""

MEMBERS: Final = (2, 3, 4)
"""Numbers of members; in the paper accuracy falls beyond four, because the trunk lacks capacity."""


def _single(
    trunk: Callable[[int], Trunk], head: Callable[[Trunk, int], ClassActivationNetwork], findings: int
) -> ClassActivationNetwork:
    return head(trunk(1), findings)


def _mimo(trunk: Callable[[int], Trunk], members: int, findings: int) -> ClassActivationNetwork:
    return MimoNetwork(trunk(members), findings, members)


def _two_view(trunk: Callable[[int], Trunk], findings: int) -> ClassActivationNetwork:
    return TwoViewNetwork(trunk(1), trunk(1), findings)


def _table() -> dict[str, Builder]:
    table: dict[str, Builder] = {}
    for name, trunk in TRUNKS.items():
        table[name] = partial(_single, trunk, linear)
        table |= {f"{name}/{key}": partial(_single, trunk, head) for key, head in HEADS.items() if head is not linear}
        table |= {f"mimo{members}:{name}": partial(_mimo, trunk, members) for members in MEMBERS}
        table[f"two-view:{name}"] = partial(_two_view, trunk)
    return table


NETWORKS: Final = _table()
"""Architectures by name."""


def build(architecture: str, findings: int) -> ClassActivationNetwork:
    """Return a network with random weights.

    Parameters
    ----------
    architecture
        A name of :data:`NETWORKS`, or of an ensemble.
    findings
        Number of findings.

    Raises
    ------
    BundleError
        The name is unknown.
    """
    members = members_of(architecture)
    if members and all(member.trunk in TRUNKS for member in members):
        trunk = EnsembleTrunk([TRUNKS[member.trunk](1) for member in members], [member.side for member in members])
        return ClassActivationNetwork(trunk, nn.Linear(trunk.channels, findings))
    try:
        builder = NETWORKS[architecture]
    except KeyError:
        raise BundleError(f"the network {architecture!r} is unknown; known are {known()}") from None
    return builder(findings)


def known() -> str:
    """Return one line with the names that there are."""
    heads = ", ".join(f"/{key}" for key, head in HEADS.items() if head is not linear)
    members = ", ".join(f"mimo{members}:" for members in MEMBERS)
    alone = f"each alone, or with {heads} after it, or with {members} or two-view: before it"
    return f"{', '.join(TRUNKS)}; {alone}; several trunks in one bundle as NAME@160+NAME@128"


def reads_two_views(architecture: str) -> bool:
    """Return whether a network takes a frontal and a lateral radiograph."""
    return architecture.startswith("two-view:")


def trunk_of(architecture: str) -> str:
    """Return the trunk of an architecture: ``"densenet121"`` for ``"mimo3:densenet121"``."""
    return architecture.rpartition(":")[2].partition("/")[0]
