"""The common base of the saliency-guided losses: they judge maps, not labels."""

from __future__ import annotations

from torch import nn


class SaliencyLoss(nn.Module):
    """A loss of the class activation ``(n, findings, height, width)`` only; other losses get logits and labels."""
