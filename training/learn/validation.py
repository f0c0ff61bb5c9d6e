"""Validation while training: the mean area under the ROC curve, over all processes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from training.learn.objective import validation_batch
from training.monai import CumulativeIterationMetric, IgniteMetricHandler, SupervisedEvaluator
from training.statistics.metrics import aucs

AUC = "auc"


class MeanAuc(CumulativeIterationMetric):
    """Mean area under the ROC curve of the findings that have positives and negatives; NaN if none has.

    Scores and labels are gathered from all processes. Labels that are NaN are left out. MONAI's ``ROCAUC``, in
    contrast, gives NaN for the mean if one finding has no positive.
    """

    def _compute_tensor(self, y_pred: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return y_pred, y

    def aggregate(self) -> float:
        """Return the mean AUC of what was gathered."""
        scores, labels = self.get_buffer()  # type: ignore[no-untyped-call]
        return mean_auc(labels.cpu().numpy(), scores.cpu().numpy().astype(np.float64))


def mean_auc(labels: NDArray[np.float32], scores: NDArray[np.float64]) -> float:
    """Return the mean AUC over the findings that have positives and negatives; NaN if none has.

    Parameters
    ----------
    labels
        ``(images, findings)``; 0.5 and more is positive, NaN is ignored.
    scores
        ``(images, findings)``.
    """
    each = []
    for column, score in zip(labels.T, scores.T, strict=True):
        known = ~np.isnan(column)
        positive = column[known] >= 0.5
        if 0 < positive.sum() < len(positive):
            each.append(float(aucs(positive[:, None], score[known][:, None])[0, 0]))
    return float(np.mean(each)) if each else float("nan")


def make_evaluator(
    forward: nn.Module, loader: DataLoader[dict[str, Tensor]], device: torch.device
) -> SupervisedEvaluator:
    """Return MONAI's evaluator for validation; after a run ``state.metrics["auc"]`` is the result.

    Parameters
    ----------
    forward
        The network as training calls it.
    loader
        This process's share of the validation pictures.
    device
        Where the network is.
    """
    metric = IgniteMetricHandler(
        metric_fn=MeanAuc(), output_transform=lambda output: (output["pred"][0], output["label"])
    )
    return SupervisedEvaluator(
        device=device,
        val_data_loader=loader,
        network=forward,
        prepare_batch=validation_batch,
        key_val_metric={AUC: metric},
        decollate=False,
    )
