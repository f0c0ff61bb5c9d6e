"""Class distinctiveness against its definition, and against Grad-CAM with double backward."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from candor.study.errors import DataError
from tests.training.learn.losses.toy import FINDINGS, TinyNetwork, batch, right, train
from training.learn.losses import ClassDistinctiveness, build_loss


def by_the_definition(activation: Tensor) -> float:
    """Loops over images, pairs of findings and pixels, in float64."""
    maps = activation.detach().flatten(start_dim=2).tolist()
    cosines = []
    for of_image in maps:
        for one, two in itertools.combinations(of_image, 2):
            dot = math.fsum(a * b for a, b in zip(one, two, strict=True))
            lengths = (math.sqrt(math.fsum(a * a for a in of)) for of in (one, two))
            cosines.append(abs(dot) / math.prod(lengths))
    return math.fsum(cosines) / len(cosines)


def by_autograd(activation: Tensor) -> Tensor:
    """The same in operations that autograd can differentiate."""
    pairs = itertools.combinations(activation.flatten(start_dim=2).unbind(dim=1), 2)
    return torch.stack([nn.functional.cosine_similarity(*pair, eps=0).abs() for pair in pairs]).mean()


def random_maps(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)


@pytest.mark.parametrize("shape", [(1, 2, 1, 5), (3, 5, 7, 7), (2, 14, 10, 8)])
def test_value_and_gradient_follow_the_definition(shape: tuple[int, ...]) -> None:
    maps = random_maps(*shape)
    value = ClassDistinctiveness()(maps)
    assert float(value.detach()) == pytest.approx(by_the_definition(maps), rel=1e-12)
    expected = torch.autograd.grad(by_autograd(maps), maps)[0]
    torch.testing.assert_close(torch.autograd.grad(3 * value, maps)[0], 3 * expected, rtol=1e-12, atol=1e-14)


def test_gradcheck() -> None:
    assert torch.autograd.gradcheck(ClassDistinctiveness(), (random_maps(2, 3, 4, 4),))


def test_it_is_grad_cam_with_double_backward() -> None:
    """The paper's computation: K Grad-CAMs by K backward passes, and one more through all of them."""
    torch.manual_seed(0)
    network = TinyNetwork().double()
    images = batch(4)[0].double()
    features = network.trunk(images)
    logits = network.head(features).mean(dim=(2, 3))
    cams = []
    for finding in range(FINDINGS):
        (slope,) = torch.autograd.grad(logits[:, finding].sum(), features, create_graph=True)
        cams.append((slope.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1))
    expected = by_autograd(torch.stack(cams, dim=1))
    ours = ClassDistinctiveness()(network(images)[1] - network.head.bias[:, None, None])
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=0)
    parameters = [*network.trunk.parameters(), network.head.weight]
    for mine, reference in zip(
        torch.autograd.grad(ours, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(mine, reference, rtol=1e-11, atol=1e-14)


def test_alike_is_one_apart_is_zero_and_the_scale_is_not_seen() -> None:
    one, two = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    one[..., :2, :], two[..., 2:, :] = 3, 1
    loss = ClassDistinctiveness()
    assert float(loss(torch.cat([one, 5 * one], dim=1))) == pytest.approx(1)
    assert float(loss(torch.cat([one, -one], dim=1))) == pytest.approx(1)
    assert float(loss(torch.cat([one, two], dim=1))) == 0


def test_an_empty_map_gives_neither_value_nor_gradient() -> None:
    maps = torch.randn(1, 2, 3, 3)
    maps[:, 1] = 0
    maps.requires_grad_()
    value = ClassDistinctiveness()(maps)
    value.backward()
    assert float(value.detach()) == 0
    assert maps.grad is not None
    assert (maps.grad == 0).all()


def test_it_learns_beside_cross_entropy() -> None:
    torch.manual_seed(0)
    images, labels = batch()
    network, loss = TinyNetwork(), build_loss([{"name": "bce"}, {"name": "distinctiveness", "weight": 0.1}])
    before = loss(*network(images), labels)[1]
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    history = train(lambda of: loss(*of(images), labels)[0], network, optimiser, 500)
    after = loss(*network(images), labels)[1]
    assert right(network, images, labels) > 0.95
    assert history[-1] < 0.5 * history[0]
    assert float(after["distinctiveness"]) < 0.5 * float(before["distinctiveness"])


@pytest.mark.parametrize("shape", [(2, 1, 7, 7), (2, 3, 7), (0, 3, 7, 7)])
def test_other_activations_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="activation"):
        ClassDistinctiveness()(torch.zeros(shape))
