"""The loss of a MIMO network: several inputs, as many heads, one trunk."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from candor.study.errors import DataError
from training.learn.losses.combined import WeightedSum


class MemberSum(nn.Module):
    """Sum of the members' losses, each from its own head and labels, for ``MimoNetwork.members``.

    ``sum_m L(x_m, y_m)`` for M members: for cross entropy the negative log-likelihood of M independent answers, up to
    the mean over the batch. Each member sees another image of the batch, so the labels differ among members.

    Parameters
    ----------
    loss
        The loss of one member.

    References
    ----------
    Havasi et al. 2021, equation 2.
    """

    def __init__(self, loss: WeightedSum) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, activation: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Measure one batch.

        Parameters
        ----------
        logits, labels
            ``(n, members, findings)``.
        activation
            ``(n, members, findings, height, width)``.

        Returns
        -------
        The total, a scalar, and each part, summed over the members: before its weight, without gradient.

        Raises
        ------
        DataError
            The shapes do not match, or a member's tensors do not suit a term.
        """
        shape = tuple(logits.shape)
        if len(shape) != 3 or 0 in shape or shape != tuple(labels.shape) or shape != tuple(activation.shape[:3]):
            raise DataError(
                f"logits {shape}, labels {tuple(labels.shape)} and activation {tuple(activation.shape)} do not match; "
                "all begin with (images, members, findings)"
            )
        totals, parts = zip(*map(self.loss, logits.unbind(1), activation.unbind(1), labels.unbind(1)), strict=True)
        return torch.stack(totals).sum(), {name: torch.stack([part[name] for part in parts]).sum() for name in parts[0]}
