"""Grad-CAM for any differentiable head: differentiate from the head to the last feature map, and no further.

The trunk, which is nearly all of the work, runs once and without a graph of its own for the maps; only the small
head is differentiated, once for each finding and for the whole batch together. Every network of
:mod:`candor.model.networks.registry` has its maps in closed form; this is for heads that have none, and the proof of
those.

References
----------
Selvaraju et al. 2017 (Grad-CAM).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GradCamNetwork(nn.Module):
    """A convolutional trunk with any differentiable head; gives what the linear case gives in closed form.

    Parameters
    ----------
    trunk
        ``(n, 1, side, side)`` to ``(n, channels, height, width)``, the last activation included.
    head
        ``(n, channels, height, width)`` to logits ``(n, findings)``. For the maps an image's logits may depend on
        that image alone: a head with batch statistics gives true maps in evaluation mode only.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify a batch.

        Where autograd records, as in training, gradients flow from the logits into head and trunk, and from the
        class activation into the trunk with the weights of its channels held constant.

        Returns
        -------
        Logits ``(n, findings)``, and the class activation ``(n, findings, height, width)``: the feature map
        weighted by the gradient's mean over the cells, times the number of cells, so that for a linear head after
        global average pooling it is the map of :class:`.ClassActivationNetwork`. Its
        positive part is Grad-CAM, up to that number.
        """
        recording = torch.is_grad_enabled()
        features = self.trunk(images)
        # Inference mode forbids gradients even on demand; leave it, with a copy that may carry them.
        with torch.inference_mode(mode=False), torch.enable_grad():
            attached = recording and features.requires_grad
            leaf = features if attached else features.detach().clone().requires_grad_()
            logits = self.head(leaf)
            weights = torch.stack([_summed_gradient(logit, leaf) for logit in logits.unbind(dim=1)], dim=1)
            activation = torch.einsum("nkc,nchw->nkhw", weights.to(leaf.dtype), leaf)
        return (logits, activation) if recording else (logits.detach(), activation.detach())


def _summed_gradient(logit: Tensor, features: Tensor) -> Tensor:
    """Gradient of ``(n,)`` by ``(n, channels, height, width)``, summed over the cells: ``(n, channels)``."""
    (gradient,) = torch.autograd.grad(logit.sum(), features, retain_graph=True)
    return gradient.sum(dim=(2, 3))
