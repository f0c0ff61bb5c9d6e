"""AUC-margin loss: maximise the area under the ROC curve of each finding directly."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from candor.study.errors import SettingsError
from training.learn.losses.checks import number, observed_labels, one_each, weights, whole


class AucMargin(nn.Module):
    """AUC-margin loss of each finding, and its mean over the findings with a known label.

    With scores h = s(x), the share p of positives, and means E over the finding's known labels, it is the saddle
    problem, minimal in the network, a and b, maximal in alpha >= 0, of

    ``(1 - p) E[(h - a)^2 y] + p E[(h - b)^2 (1 - y)]``
    ``+ 2 alpha (p (1 - p) m + E[p h (1 - y) - (1 - p) h y]) - p (1 - p) alpha^2``.

    A finding that is always or never present in the batch gives no gradient unless ``prevalences`` are set. Soft
    labels count in part as both classes: our reading.

    An optimiser that descends in all parameters would lower alpha where it has to rise: train with
    :class:`~training.learn.losses.pesg.PESG`.

    Parameters
    ----------
    findings
        Their number.
    margin
        m, above which a positive's score should be over a negative's, in (0, 1].
    prevalences
        ``(findings,)``: p, in (0, 1), from the training set; None takes each batch's own.

    Raises
    ------
    SettingsError
        A parameter is impossible.

    References
    ----------
    Yuan et al. 2021, equation 5. LibAUC 2.0.1's ``MultiLabelAUCMLoss`` (version v1), whose margin is fixed at 1.
    """

    prevalences: Tensor | None

    def __init__(self, findings: int, margin: float = 1.0, prevalences: ArrayLike | None = None) -> None:
        super().__init__()
        count = whole("findings", findings, 1)
        self.margin = number("margin", margin, 0, 1)
        shares = weights("prevalences", prevalences, ndim=1)
        if shares is not None and (len(shares) != count or not bool(((shares > 0) & (shares < 1)).all())):
            raise SettingsError(f"prevalences has to hold {count} shares between 0 and 1, one for each finding")
        self.register_buffer("prevalences", shares)
        self.a, self.b, self.alpha = (nn.Parameter(torch.zeros(count)) for _ in range(3))

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
            Shapes differ, the loss is for another number of findings, or a label is impossible.
        """
        values, observed = observed_labels(logits, labels)
        one_each("findings", self.alpha, logits)
        scores = logits.sigmoid()
        known = observed.sum(dim=0)
        positive = values * observed / known.clamp(min=1)
        negative = (1 - values) * observed / known.clamp(min=1)
        p = positive.sum(dim=0) if self.prevalences is None else self.prevalences.to(logits)
        variance = (1 - p) * ((scores - self.a) ** 2 * positive).sum(0) + p * ((scores - self.b) ** 2 * negative).sum(0)
        gap = p * (1 - p) * self.margin + (scores * (p * negative - (1 - p) * positive)).sum(dim=0)
        each = variance + 2 * self.alpha * gap - p * (1 - p) * self.alpha**2
        return (each * (known > 0)).sum() / (known > 0).sum().clamp(min=1)
