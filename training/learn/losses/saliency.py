"""What the saliency-guided losses have in common: they judge maps, not labels."""

from __future__ import annotations

from torch import nn


class SaliencyLoss(nn.Module):
    """A loss of the class activation ``(n, findings, height, width)`` alone; the others get logits and labels."""
