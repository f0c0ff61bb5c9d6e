"""The sum over the members of a MIMO network."""

from __future__ import annotations

import pytest
import torch

from candor.study.errors import DataError
from tests.training.learn.losses.toy import FINDINGS, TinyNetwork, batch, train
from training.learn.losses import MemberSum, build_loss

MEMBERS = 3


def test_it_is_the_sum_of_the_members_losses() -> None:
    torch.manual_seed(0)
    logits, activation = torch.randn(4, MEMBERS, 5, requires_grad=True), torch.randn(4, MEMBERS, 5, 7, 7)
    labels = torch.randint(2, (4, MEMBERS, 5)).float()
    loss = build_loss([{"name": "bce"}, {"name": "distinctiveness", "weight": 0.5}])
    total, parts = MemberSum(loss)(logits, activation, labels)
    each = [loss(logits[:, m], activation[:, m], labels[:, m]) for m in range(MEMBERS)]
    torch.testing.assert_close(total, each[0][0] + each[1][0] + each[2][0])
    for name, part in parts.items():
        torch.testing.assert_close(part, each[0][1][name] + each[1][1][name] + each[2][1][name])
        assert not part.requires_grad


def test_cross_entropy_is_the_log_likelihood_of_independent_answers() -> None:
    logits, labels = torch.randn(1, MEMBERS, 1), torch.ones(1, MEMBERS, 1)
    total, _ = MemberSum(build_loss([{"name": "bce"}]))(logits, torch.zeros(1, MEMBERS, 1, 1, 1), labels)
    torch.testing.assert_close(total, -logits.sigmoid().prod().log())


def test_it_learns_to_answer_for_every_input() -> None:
    torch.manual_seed(0)
    images, labels = batch(96)
    order = [torch.randperm(96) for _ in range(MEMBERS)]
    inputs = torch.cat([images[of] for of in order], dim=1)
    targets = torch.stack([labels[of] for of in order], dim=1)
    network, loss = TinyNetwork(MEMBERS, MEMBERS), MemberSum(build_loss([{"name": "bce"}]))

    def step(of: torch.nn.Module) -> torch.Tensor:
        logits, activation = of(inputs)
        total, _ = loss(logits.unflatten(1, (MEMBERS, FINDINGS)), activation.unflatten(1, (MEMBERS, FINDINGS)), targets)
        return torch.as_tensor(total)

    history = train(step, network, torch.optim.Adam(network.parameters(), 0.02), 600)
    answers = network(inputs)[0].unflatten(1, (MEMBERS, FINDINGS)) > 0
    assert float((answers == (targets > 0)).float().mean()) > 0.95
    assert history[-1] < 0.3 * history[0]


@pytest.mark.parametrize(
    ("logits", "labels", "activation"),
    [((4, 5), (4, 5), (4, 5, 7, 7)), ((4, 0, 5), (4, 0, 5), (4, 0, 5, 7, 7)), ((4, 2, 5), (4, 3, 5), (4, 2, 5, 7, 7))],
)
def test_shapes_have_to_match(logits: tuple[int, ...], labels: tuple[int, ...], activation: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="members"):
        MemberSum(build_loss([{"name": "bce"}]))(torch.zeros(logits), torch.zeros(activation), torch.zeros(labels))
