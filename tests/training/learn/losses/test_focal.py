"""Focal loss against MONAI's, and its closed form."""

from __future__ import annotations

import math

import pytest
import torch
from monai.losses.focal_loss import FocalLoss as MonaiFocalLoss

from candor.study.errors import SettingsError
from tests.training.learn.losses.toy import train_on_labels
from training.learn.losses import BinaryCrossEntropy, FocalLoss


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 0.25, 0.9])
def test_focal_loss_is_monais_for_hard_labels(gamma: float, alpha: float | None) -> None:
    torch.manual_seed(0)
    logits = torch.randn(8, 5, requires_grad=True)
    labels = (torch.rand(8, 5) < 0.4).float()
    ours = FocalLoss(gamma, alpha)(logits, labels)
    monais = MonaiFocalLoss(gamma=gamma, alpha=alpha, include_background=True)(logits, labels)
    torch.testing.assert_close(ours, monais, rtol=1e-6, atol=1e-7)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (ours, monais)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-8)


def test_soft_and_ignored_labels_follow_the_definition() -> None:
    x, y = 0.7, 0.3
    p = 1 / (1 + math.exp(-x))
    expected = -(0.25 * y * (1 - p) ** 3 * math.log(p) + 0.75 * (1 - y) * p**3 * math.log(1 - p))
    logits = torch.tensor([[x, 5.0]], dtype=torch.float64)
    labels = torch.tensor([[y, math.nan]], dtype=torch.float64)
    assert float(FocalLoss(3, 0.25)(logits, labels)) == pytest.approx(expected, rel=1e-12)


def test_gamma_zero_is_binary_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 3), torch.rand(4, 3)
    torch.testing.assert_close(FocalLoss(0)(logits, labels), BinaryCrossEntropy()(logits, labels))


def test_it_learns() -> None:
    history, right = train_on_labels(FocalLoss(alpha=0.5))
    assert right == 1
    assert history[-1] < 0.2 * history[0]


@pytest.mark.parametrize(
    "arguments", [{"gamma": -1}, {"gamma": "2"}, {"gamma": True}, {"alpha": 1.5}, {"gamma": math.nan}]
)
def test_impossible_parameters_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=r"gamma|alpha"):
        FocalLoss(**arguments)  # type: ignore[arg-type]
