"""Spatial coherence: inside each region that a map marks, its values should be alike.

Value and gradient are computed in one pass without autograd, always on the CPU: only the small maps are copied, and
the connected components can be computed only there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from candor.study.errors import DataError, SettingsError
from training.learn.losses.checks import activation_maps, number, whole
from training.learn.losses.components import Floats, Scatter, otsu_thresholds, scatter
from training.learn.losses.saliency import SaliencyLoss


class SpatialCoherence(SaliencyLoss):
    """Squared differences between the pixels of each connected salient region.

    Each map is cut at a threshold, its 8-connected components C are found, and
    ``L = sum_C sum_{i, j in C} (x_i - x_j)^2`` over the ordered pairs of pixels, over all maps of the batch.
    Thresholds and components are held constant, so the gradient is ``4 (|C| x_i - S)`` with S the sum over C.

    Our reading, where the authors' code differs. Pairs are of the whole region; theirs are inside windows of 9 x 9
    pixels, and count the zeros around a region. Maps are not eroded first, which at 7 x 7 would leave nothing.
    The default divides by the number of pairs, for a mean squared difference that means the same at every
    resolution and region size; theirs divides by the loss of the second batch.

    Parameters
    ----------
    side
        Pixels to which maps are enlarged first (bilinear, corners not aligned); None leaves them as they are.
    peak_share
        Salient is what exceeds this share of the map's maximum, in (0, 1), if that is positive. None takes Otsu's
        threshold, as the authors do, of the map before it is enlarged.
    reduction
        ``"mean"`` divides by the number of pairs ``sum_C |C|^2``; ``"sum"`` is L itself.

    Raises
    ------
    SettingsError
        A parameter is impossible.

    References
    ----------
    Mahapatra, Poellinger and Reyes 2022, Medical Image Analysis 81, 102551, spatial-coherence loss; the authors'
    ``ubern-mia/sibnet``, ``SpatialCoherenceConv``. Otsu 1979.
    """

    def __init__(self, side: int | None = None, peak_share: float | None = None, reduction: str = "mean") -> None:
        super().__init__()
        self.side = None if side is None else whole("side", side, 2)
        self.peak_share = None if peak_share is None else number("peak_share", peak_share, 0, 1)
        if self.peak_share in (0, 1):
            raise SettingsError(f"peak_share is {peak_share}; give a share between 0 and 1")
        if reduction not in ("mean", "sum"):
            raise SettingsError(f"reduction is {reduction!r}; it can be 'mean' or 'sum'")
        self.reduction = reduction

    def forward(self, activation: Tensor) -> Tensor:
        """Measure the maps of a batch.

        Parameters
        ----------
        activation
            ``(n, findings, height, width)``, signed, in units of the logit.

        Returns
        -------
        A scalar, at least 0, in squared units of the activation; 0 where nothing is salient.

        Raises
        ------
        DataError
            There are other axes, or maps are larger than ``side``.
        """
        maps = activation_maps(activation).flatten(end_dim=1)
        loss: Tensor = _Scatter.apply(maps, self)  # type: ignore[no-untyped-call]
        return loss

    def measure(self, maps: Tensor) -> Scatter:
        """Compute the sum L over maps ``(m, height, width)``, with its pairs, salient pixels and gradient.

        Errors as in :meth:`forward`.
        """
        values = maps.detach().cpu().numpy()
        if self.side is not None and max(values.shape[1:]) > self.side:
            raise DataError(f"maps are {values.shape[1]} x {values.shape[2]}, over side {self.side}; set a larger side")
        rows, columns = (interpolation(size, self.side or size).to(maps.dtype).numpy() for size in values.shape[1:])
        return scatter(values, self._thresholds(values), rows, columns)

    def _thresholds(self, maps: Floats) -> Floats:
        if self.peak_share is None:
            return otsu_thresholds(maps)
        peak = maps.max(axis=(1, 2))
        return np.where(peak > 0, self.peak_share * peak, np.inf)


def interpolation(size: int, side: int) -> Tensor:
    """Return linear interpolation as a matrix ``(side, size)`` float64, corners not aligned.

    Parameters
    ----------
    size
        Samples before.
    side
        Samples after.
    """
    return nn.functional.interpolate(torch.eye(size, dtype=torch.float64)[None], size=side, mode="linear")[0].T


class _Scatter(torch.autograd.Function):
    """:meth:`SpatialCoherence.measure`, reduced; its gradient is saved for the backward pass, the pixels are not."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, loss: SpatialCoherence) -> Tensor:
        found = loss.measure(maps)
        divisor = max(found.pairs, 1.0) if loss.reduction == "mean" else 1.0
        ctx.save_for_backward(torch.from_numpy(found.gradient / divisor).to(maps))
        return maps.new_tensor(found.total / divisor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None
