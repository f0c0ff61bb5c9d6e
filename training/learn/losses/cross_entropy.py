"""Cross entropy for findings that occur together, and for classes that exclude each other.

Both take soft labels, and leave labels that are NaN out of the mean.
"""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from candor.study.errors import DataError, SettingsError
from training.learn.losses.checks import observed_labels, one_each, weights


class BinaryCrossEntropy(nn.Module):
    """Weighted binary cross entropy, a mean over the labels that are known.

    With logits x, labels y and s the logistic function, the loss of one label is
    ``-(w1 y ln s(x) + w0 (1 - y) ln s(-x))``; the mean divides by the count of labels, not by their weights, as
    torch's does.

    Parameters
    ----------
    class_weights
        ``(findings, 2)``: w0 and w1 of each finding, as
        :func:`~training.learn.losses.weights.balanced_finding_weights` gives them.
    positive_weights
        ``(findings,)``: w1, with w0 = 1; torch's ``pos_weight``. At most one of the two is given.

    Raises
    ------
    SettingsError
        Both are given, or weights are impossible.
    """

    absent: Tensor | None
    present: Tensor | None

    def __init__(self, class_weights: ArrayLike | None = None, positive_weights: ArrayLike | None = None) -> None:
        super().__init__()
        if class_weights is not None and positive_weights is not None:
            raise SettingsError("class_weights and positive_weights are both set; set one of them")
        pairs = weights("class_weights", class_weights, ndim=2)
        if pairs is not None and pairs.shape[1] != 2:
            raise SettingsError(f"class_weights has {pairs.shape[1]} columns; give absent and present")
        present = weights("positive_weights", positive_weights, ndim=1) if pairs is None else pairs[:, 1]
        self.register_buffer("absent", None if pairs is None else pairs[:, 0])
        self.register_buffer("present", present)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compare logits with labels.

        Parameters
        ----------
        logits, labels
            ``(n, findings)``; labels in [0, 1], or NaN to be ignored.

        Returns
        -------
        A scalar; 0 where no label is known.

        Raises
        ------
        DataError
            Shapes differ, the weights are for another number of findings, or a label is impossible.
        """
        values, observed = observed_labels(logits, labels)
        one_each("the weights' length", self.present, logits)
        present = values * nn.functional.logsigmoid(logits)
        absent = (1 - values) * nn.functional.logsigmoid(-logits)
        if self.present is not None:
            present = present * self.present.to(logits)
        if self.absent is not None:
            absent = absent * self.absent.to(logits)
        return -((present + absent) * observed).sum() / observed.sum().clamp(min=1)


class CrossEntropy(nn.Module):
    """Weighted cross entropy of k classes; an image has exactly one of them.

    With logits x, probabilities y and weights w it is
    ``-sum_ic w_c y_ic ln softmax(x_i)_c / sum_ic w_c y_ic``: for hard labels torch's weighted mean.

    Parameters
    ----------
    class_weights
        ``(k,)``, as :func:`~training.learn.losses.weights.balanced_class_weights` gives them.

    Raises
    ------
    SettingsError
        Weights are impossible.
    """

    weights: Tensor | None

    def __init__(self, class_weights: ArrayLike | None = None) -> None:
        super().__init__()
        self.register_buffer("weights", weights("class_weights", class_weights, ndim=1))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compare logits with the probabilities of the classes.

        Parameters
        ----------
        logits, labels
            ``(n, k)``; a row of labels sums to 1 (one-hot, or soft), or holds a NaN and is ignored.

        Returns
        -------
        A scalar; 0 where no row is known.

        Raises
        ------
        DataError
            Shapes differ, the weights are for another number of classes, or a row is no distribution.
        """
        values, observed = observed_labels(logits, labels)
        one_each("class_weights", self.weights, logits)
        known = observed.amin(dim=1)
        if bool(((values.sum(dim=1) - 1).abs() * known > 1e-3).any()):
            raise DataError("a row of labels does not sum to 1; cross entropy is for classes that exclude each other")
        mass = values * known[:, None]
        if self.weights is not None:
            mass = mass * self.weights.to(logits)
        total = -(mass * nn.functional.log_softmax(logits, dim=1)).sum()
        return total / mass.sum().clamp(min=torch.finfo(mass.dtype).tiny)
