"""Several networks in one: M inputs as channels, M heads, one trunk between them.

In training each member gets an image of its own and learns to ignore those of the others. In inference all get the same
image, so one pass has the outputs of an ensemble.

References
----------
Havasi et al. 2021 (Training independent subnetworks for robust prediction).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from candor.model.networks.class_activation import ClassActivationNetwork, class_activation
from candor.model.networks.trunk import Trunk


class MimoHead(nn.Linear):
    """One linear layer for each member: ``weight`` is ``(members * findings, channels)``, a member's rows together.

    The bias is shared by all members, with a ``deviation`` of each, ``(members, findings)``. So a network has one bias
    for each finding, as with any other head, which can be initialised from the prevalence.

    Parameters
    ----------
    channels
        Channels of the feature map.
    findings
        Number of findings.
    members
        Number of members.
    """

    def __init__(self, channels: int, findings: int, members: int) -> None:
        super().__init__(channels, members * findings, bias=False)
        self.bias = nn.Parameter(torch.zeros(findings))
        self.deviation = nn.Parameter(torch.zeros(members, findings))


class MimoNetwork(ClassActivationNetwork):
    """A network of several members with one trunk, which has one input channel for each.

    Parameters
    ----------
    trunk
        The trunk; its first layer takes ``members`` channels.
    findings
        Number of findings.
    members
        Two or more.
    """

    head: MimoHead

    def __init__(self, trunk: Trunk, findings: int, members: int) -> None:
        super().__init__(trunk, MimoHead(trunk.channels, findings, members))
        self.count = members

    def members(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify the image in each member's own channel: the forward pass of training.

        Parameters
        ----------
        images
            ``(n, members, side, side)``, see :func:`mixed`.

        Returns
        -------
        Logits ``(n, members, findings)``, and class activation ``(n, members, findings, height, width)``.
        """
        return self._of_members(self.trunk(images))

    def feature_map(self, images: Tensor) -> Tensor:
        """Return the feature map where every member gets the same image: ``(n, channels, height, width)``."""
        return super().feature_map(self._repeated(images))

    def classify(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Classify a batch by all members together.

        Returns
        -------
        The logit of the members' mean probability ``(n, findings)``, and the class activation
        ``(n, findings, height, width)``: those of the members, weighted by the derivative of the logit with respect to
        theirs.
        """
        logits, activation = self._of_members(features)
        for_it, against = nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)
        # Computed with logarithms: a mean of probabilities that are 1 in float32 has no logit.
        weights = for_it.softmax(dim=1) * against.exp() + against.softmax(dim=1) * for_it.exp()
        return for_it.logsumexp(dim=1) - against.logsumexp(dim=1), (weights[..., None, None] * activation).sum(dim=1)

    def _of_members(self, features: Tensor) -> tuple[Tensor, Tensor]:
        activation = torch.unflatten(class_activation(features, self.head.weight), 1, (self.count, -1))
        return activation.mean(dim=(3, 4)) + self.head.bias + self.head.deviation, activation

    def _repeated(self, images: Tensor) -> Tensor:
        return images.expand(-1, self.count, -1, -1)


def mixed(
    images: Tensor, labels: Tensor, members: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return a batch with an order of its own for each member.

    Parameters
    ----------
    images
        ``(n, 1, side, side)``.
    labels
        ``(n, findings)``.
    members
        Number of members.
    generator
        Draws the orders; None for torch's default.

    Returns
    -------
    ``(n, members, side, side)`` and ``(n, members, findings)``, for :meth:`MimoNetwork.members`.
    """
    orders = [torch.randperm(len(images), generator=generator).to(images.device) for _ in range(members)]
    return torch.cat([images[order] for order in orders], dim=1), torch.stack([labels[o] for o in orders], dim=1)
