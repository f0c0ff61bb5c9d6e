"""Focal loss: cross entropy in which labels that the network already gets right count less."""

from __future__ import annotations

from torch import Tensor, nn

from training.learn.losses.checks import number, observed_labels


class FocalLoss(nn.Module):
    """Focal loss for findings that occur together, a mean over the labels that are known.

    With p = s(x), the loss of one label is
    ``-(alpha y (1 - p)^gamma ln p + (1 - alpha) (1 - y) p^gamma ln(1 - p))``. Without alpha both factors are 1, and
    gamma = 0 is then binary cross entropy. For a soft label this is the expectation over hard ones: our reading, as
    Lin et al. have hard labels alone.

    Parameters
    ----------
    gamma
        At least 0: how much less a label counts that the network already gets right.
    alpha
        In [0, 1], the weight of positives against negatives; None for no weights.

    Raises
    ------
    SettingsError
        A parameter is impossible.

    References
    ----------
    Lin et al. 2017, equation 5.
    """

    def __init__(self, gamma: float = 2.0, alpha: float | None = None) -> None:
        super().__init__()
        self.gamma = number("gamma", gamma, 0)
        share = None if alpha is None else number("alpha", alpha, 0, 1)
        self.present, self.absent = (1.0, 1.0) if share is None else (share, 1 - share)

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
            Shapes differ, or a label is impossible.
        """
        values, observed = observed_labels(logits, labels)
        ln_p, ln_q = nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)
        present = self.present * values * (self.gamma * ln_q).exp() * ln_p
        absent = self.absent * (1 - values) * (self.gamma * ln_p).exp() * ln_q
        return -((present + absent) * observed).sum() / observed.sum().clamp(min=1)
