"""Class distinctiveness: the maps of different findings should not look alike.

Mahapatra et al. differentiate K Grad-CAMs. For a head of ReLU, global average pooling and one linear layer these
are the class activation over a constant, which the cosine does not see; so the value and the gradient have closed
forms, and no second backward pass is needed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from candor.study.errors import DataError
from training.learn.losses.checks import activation_maps
from training.learn.losses.saliency import SaliencyLoss


class ClassDistinctiveness(SaliencyLoss):
    """Mean absolute cosine between the maps of two findings, over the pairs of findings and the images.

    For n images of K findings with maps x_k, read as vectors:
    ``2 / (n K (K - 1)) sum_i sum_{k < l} |x_ik . x_il| / (|x_ik| |x_il|)``, in [0, 1].

    The maps are signed, as in the authors' code (Grad-CAM without its last ReLU): evidence against a finding is a
    part of its map. The cosine with a map that is zero everywhere is 0, and gives no gradient: our choice.

    References
    ----------
    Mahapatra, Poellinger and Reyes 2022, Medical Image Analysis 81, 102551, class-distinctiveness loss; the authors'
    ``ubern-mia/sibnet``, ``ClassDistinctivenessLoss``.
    """

    def __init__(self) -> None:  # torch's own takes anything, so that a parameter too many would pass unseen
        super().__init__()

    def forward(self, activation: Tensor) -> Tensor:
        """Compare the maps of each image.

        Parameters
        ----------
        activation
            ``(n, findings, height, width)``, signed, in any unit.

        Returns
        -------
        A scalar in [0, 1].

        Raises
        ------
        DataError
            There are other axes, or fewer than two findings.
        """
        if activation_maps(activation).shape[1] < 2:
            raise DataError("class distinctiveness compares findings; the activation has only one")
        loss: Tensor = _MeanAbsoluteCosine.apply(activation.flatten(start_dim=2))  # type: ignore[no-untyped-call]
        return loss


class _MeanAbsoluteCosine(torch.autograd.Function):
    """``(n, K, pixels)`` to a scalar.

    With units u = x / |x|, signs S of the cosines (0 on the diagonal) and v = S u, the gradient is
    ``(v - (v . u) u) / (n K (K - 1) / 2 |x|)``.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        n, findings, _ = maps.shape
        pairs = n * findings * (findings - 1) / 2
        inverse = torch.linalg.vector_norm(maps, dim=2, keepdim=True).reciprocal()
        inverse = torch.where(inverse.isinf(), 0, inverse)
        unit = maps * inverse
        cosines = (unit @ unit.transpose(1, 2)).triu(diagonal=1)
        sign = cosines.sign()
        pull = (sign + sign.transpose(1, 2)) @ unit
        radial = (pull * unit).sum(dim=2, keepdim=True)
        ctx.save_for_backward((pull - radial * unit) * (inverse / pairs))
        return cosines.abs().sum() / pairs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        (gradient,) = ctx.saved_tensors
        return upstream * torch.as_tensor(gradient)
