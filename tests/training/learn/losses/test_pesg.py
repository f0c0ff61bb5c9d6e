"""PESG: its steps computed by hand, and a task that it learns."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from candor.study.errors import SettingsError
from tests.training.learn.losses.toy import FINDINGS, TinyNetwork, at_a_point, batch, train
from training.learn.losses import PESG, AucMargin, build_loss


def area(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The area under the ROC curve, mean over the findings: the share of pairs in the right order."""
    scores, areas = network(images)[0].detach(), []
    for finding in range(FINDINGS):
        present = labels[:, finding] > 0
        areas.append((scores[present, finding, None] > scores[~present, finding]).float().mean())
    return float(torch.stack(areas).mean())


def test_steps_by_hand() -> None:
    """One variable under gradients of 2 and 0.1, in plain numbers; then a new reference, and a third step."""
    lr, momentum, clip, weight_decay, epoch_decay = 0.5, 0.75, 1.0, 0.01, 0.1
    variable, loss = nn.Parameter(torch.tensor([3.0], dtype=torch.float64)), at_a_point(AucMargin(1).double())
    optimiser = PESG([variable], loss, lr, momentum, clip, weight_decay, epoch_decay)
    v, reference, buffer, alpha, visited = 3.0, 3.0, None, 0.4, []
    for step, gradient in enumerate((2.0, 0.1, -0.3)):
        if step == 2:
            optimiser.update_regularizer(lr_divisor=5)
            reference, lr = sum(visited) / 2, lr / 5
        variable.grad = torch.full_like(variable, gradient)
        optimiser.step()
        direction = min(gradient, clip) + epoch_decay * (v - reference) + weight_decay * v
        buffer = direction if buffer is None else (1 - momentum) * buffer + momentum * direction
        v -= lr * buffer
        visited.append(v)
        alpha = max(0.0, alpha + 2 * lr * (1.0 + 0.2 - 0.7 - alpha))
        assert float(variable.detach()) == pytest.approx(v, rel=1e-12)
        assert float(loss.alpha) == pytest.approx(alpha, rel=1e-6)  # a, b and alpha began as float32 numbers


def test_alpha_stays_above_zero() -> None:
    loss = AucMargin(1, margin=0.1)
    torch.nn.init.constant_(loss.a, 0.9)
    PESG([nn.Parameter(torch.zeros(1))], loss).step()
    assert float(loss.alpha.detach()) == 0


def test_frozen_variables_stay() -> None:
    torch.manual_seed(0)
    images, labels = batch()
    network, loss = TinyNetwork(), AucMargin(FINDINGS)
    frozen = [parameter.requires_grad_(False).clone() for parameter in network.trunk.parameters()]
    optimiser = PESG(network.parameters(), loss)
    train(lambda of: loss(of(images)[0], labels), network, optimiser, 2)
    optimiser.update_regularizer()
    assert all(map(torch.equal, frozen, network.trunk.parameters()))


def test_it_learns_with_pesg() -> None:
    torch.manual_seed(0)
    images, labels = batch()
    network, loss = TinyNetwork(), AucMargin(FINDINGS)
    optimiser = PESG(network.parameters(), loss, lr=0.5)
    history = train(lambda of: loss(of(images)[0], labels), network, optimiser, 400)
    assert area(network, images, labels) == 1
    assert history[-1] < 0.5 * max(history)


def test_pesg_resumes_where_it_was() -> None:
    torch.manual_seed(0)
    images, labels = batch()
    network, loss = TinyNetwork(), AucMargin(FINDINGS)
    optimiser = PESG(network.parameters(), loss)
    train(lambda of: loss(of(images)[0], labels), network, optimiser, 3)
    other_network, other_loss = copy.deepcopy((network, loss))
    other = PESG(other_network.parameters(), other_loss)
    other.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for of, judge, with_optimiser in ((network, loss, optimiser), (other_network, other_loss, other)):
        with_optimiser.update_regularizer()
        train(lambda net, judge=judge: judge(net(images)[0], labels), of, with_optimiser, 3)  # type: ignore[misc]
    for one, two in zip(network.parameters(), other_network.parameters(), strict=True):
        assert torch.equal(one, two)


def test_pesg_finds_the_loss_in_a_sum_and_takes_a_closure() -> None:
    torch.manual_seed(0)
    images, labels = batch()
    network = TinyNetwork()
    loss = build_loss([{"name": "auc_margin", "findings": FINDINGS}, {"name": "distinctiveness", "weight": 0.1}])
    optimiser = PESG(network.parameters(), loss, lr=0.5)
    optimiser.update_regularizer()  # before the first step there is nothing to take the mean of

    def closure() -> float:
        optimiser.zero_grad()
        total, _ = loss(*network(images), labels)
        total.backward()
        return float(total.detach())

    values = [optimiser.step(closure) for _ in range(300)]
    assert all(value is not None for value in values)
    assert area(network, images, labels) > 0.95


@pytest.mark.parametrize("terms", [[{"name": "bce"}], []])
def test_pesg_wants_one_auc_margin_loss(terms: list[dict[str, object]]) -> None:
    loss = build_loss(terms) if terms else nn.ModuleList([AucMargin(1), AucMargin(1)])
    with pytest.raises(SettingsError, match="AUC-margin"):
        PESG(TinyNetwork().parameters(), loss)


def test_impossible_parameters_are_refused() -> None:
    with pytest.raises(SettingsError, match="lr is -1"):
        PESG(TinyNetwork().parameters(), AucMargin(2), lr=-1)
    with pytest.raises(SettingsError, match="lr_divisor"):
        PESG(TinyNetwork().parameters(), AucMargin(2)).update_regularizer(0)
