"""AUC-margin loss and PESG against LibAUC's."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.training.learn.losses.toy import FINDINGS, TinyNetwork, at_a_point, batch
from training.learn.losses import PESG, AucMargin

libauc_losses = pytest.importorskip("libauc.losses.auc", reason="libauc is not installed: pip install --no-deps libauc")
libauc_optimizers = pytest.importorskip("libauc.optimizers")


@pytest.fixture
def data() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(40, 3, requires_grad=True), (torch.rand(40, 3) < 0.3).float()


def gradients(value: Tensor, logits: Tensor, loss: nn.Module) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value, (logits, loss.a, loss.b, loss.alpha))  # type: ignore[arg-type]


def assert_equal(ours: nn.Module, theirs: nn.Module, logits: Tensor, labels: Tensor, **options: object) -> None:
    one, other = ours(logits, labels), theirs(logits.sigmoid(), labels, **options)
    torch.testing.assert_close(one, other.squeeze(), rtol=1e-6, atol=1e-7)
    for mine, reference in zip(gradients(one, logits, ours), gradients(other, logits, theirs), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-5, atol=1e-7)


def test_the_multi_label_loss_is_libaucs(data: tuple[Tensor, Tensor]) -> None:
    theirs = libauc_losses.MultiLabelAUCMLoss(num_labels=3, device="cpu")
    assert_equal(at_a_point(AucMargin(3)), at_a_point(theirs), *data)


def test_prevalences_are_libaucs_imratio(data: tuple[Tensor, Tensor]) -> None:
    shares = [0.1, 0.2, 0.4]
    theirs = libauc_losses.MultiLabelAUCMLoss(num_labels=3, imratio=list(shares), device="cpu")
    assert_equal(at_a_point(AucMargin(3, prevalences=shares)), at_a_point(theirs), *data, auto=False)


@pytest.mark.parametrize("margin", [0.3, 1.0])
def test_the_margin_is_libaucs_for_one_label(data: tuple[Tensor, Tensor], margin: float) -> None:
    logits, labels = data[0][:, :1], data[1][:, :1]
    theirs = libauc_losses.AUCMLoss(margin=margin, device="cpu")
    assert_equal(at_a_point(AucMargin(1, margin)), at_a_point(theirs), logits, labels)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("epoch_decay", [0.0, 0.05])
def test_pesg_takes_libaucs_steps(momentum: float, epoch_decay: float) -> None:
    torch.manual_seed(0)
    images, labels = batch()
    options = {"lr": 0.1, "momentum": momentum, "epoch_decay": epoch_decay, "weight_decay": 1e-3, "clip_value": 0.05}
    networks = [TinyNetwork()]
    networks.append(copy.deepcopy(networks[0]))
    losses = AucMargin(FINDINGS), libauc_losses.MultiLabelAUCMLoss(num_labels=FINDINGS, device="cpu")
    theirs = libauc_optimizers.PESG(networks[1].parameters(), losses[1], verbose=False, device="cpu", **options)
    if epoch_decay:  # LibAUC draws its first reference at random; the paper begins at the variables
        theirs.model_ref = [p.detach().clone() for p in theirs.param_groups[0]["params"]]
        theirs.param_groups[0]["model_ref"] = theirs.model_ref
    ours = PESG(networks[0].parameters(), losses[0], **options)
    for step in range(24):
        for network, loss, optimiser, activate in zip(networks, losses, (ours, theirs), (False, True), strict=True):
            optimiser.zero_grad()
            logits = network(images)[0]
            loss(logits.sigmoid() if activate else logits, labels).backward()
            optimiser.step()
        if step in (7, 15) and epoch_decay:
            ours.update_regularizer(2)
            theirs.update_regularizer(decay_factor=2)
        for mine, reference in zip(ours.param_groups[0]["params"], theirs.param_groups[0]["params"], strict=True):
            torch.testing.assert_close(mine, reference, rtol=0, atol=1e-6)
        torch.testing.assert_close(losses[0].alpha, losses[1].alpha, rtol=0, atol=1e-6)
    assert float(losses[0].alpha.detach().min()) > 0
