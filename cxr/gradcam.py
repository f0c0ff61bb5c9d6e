"""Grad-CAM for heads that are not linear: differentiate from the head to the last feature map, and no further.

The trunk, which is nearly all of the work, runs once and without a graph; only the small head is differentiated,
once for each finding and for the whole batch together.

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
        ``(n, channels, height, width)`` to logits ``(n, findings)``. An image's logits may depend on that image
        alone: a head with batch statistics must be in evaluation mode.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify a batch.

        Returns
        -------
        Logits ``(n, findings)``, and the class activation ``(n, findings, height, width)``: the feature map
        weighted by the gradient's mean over the cells, times the number of cells, so that for a linear head after
        global average pooling it is the map of :class:`cxr.network.ClassActivationNetwork`. Its positive part is
        Grad-CAM, up to that number.
        """
        features = self.trunk(images)
        # Inference mode forbids gradients even on demand; leave it, with a copy that may carry them.
        with torch.inference_mode(mode=False), torch.enable_grad():
            leaf = features.detach().clone().requires_grad_()
            logits = self.head(leaf)
            gradients = [
                torch.autograd.grad(logits[:, k].sum(), leaf, retain_graph=k + 1 < logits.shape[1])[0]
                for k in range(logits.shape[1])
            ]
        weights = torch.stack(gradients, dim=1).sum(dim=(3, 4))
        return logits.detach(), torch.einsum("nkc,nchw->nkhw", weights, leaf.detach())
