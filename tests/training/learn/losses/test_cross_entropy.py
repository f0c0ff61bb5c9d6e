"""Cross entropies against torch's and against loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from candor.study.errors import DataError, SettingsError
from tests.training.learn.losses.toy import train_on_labels
from training.learn.losses import BinaryCrossEntropy, CrossEntropy

functional = torch.nn.functional


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 4


@pytest.fixture
def labels() -> Tensor:
    return torch.rand(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_bce_is_torchs(logits: Tensor, labels: Tensor) -> None:
    expected = functional.binary_cross_entropy_with_logits(logits, labels)
    torch.testing.assert_close(BinaryCrossEntropy()(logits, labels), expected, rtol=1e-12, atol=0)


def test_positive_weights_are_torchs_pos_weight(logits: Tensor, labels: Tensor) -> None:
    weights = [0.5, 2.0, 8.0]
    pos_weight = torch.tensor(weights, dtype=torch.float64)
    expected = functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=pos_weight)
    torch.testing.assert_close(BinaryCrossEntropy(None, weights)(logits, labels), expected, rtol=1e-12, atol=0)


def test_class_weights_and_ignored_labels_follow_the_definition(logits: Tensor, labels: Tensor) -> None:
    weights = [[0.5, 4.0], [1.0, 2.0], [0.25, 16.0]]
    labels[0, 1] = labels[3, 2] = labels[5, 0] = math.nan
    total, count = 0.0, 0
    for i in range(6):
        for k in range(3):
            y, p = float(labels[i, k]), 1 / (1 + math.exp(-float(logits[i, k])))
            if not math.isnan(y):
                total -= weights[k][1] * y * math.log(p) + weights[k][0] * (1 - y) * math.log(1 - p)
                count += 1
    assert float(BinaryCrossEntropy(weights)(logits, labels)) == pytest.approx(total / count, rel=1e-12)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), CrossEntropy()])
def test_an_ignored_label_gives_no_gradient(loss: torch.nn.Module, logits: Tensor) -> None:
    labels = torch.eye(3, dtype=torch.float64).repeat(2, 1)
    labels[2] = math.nan
    logits.requires_grad_()
    loss(logits, labels).backward()
    assert logits.grad is not None
    assert (logits.grad[2] == 0).all()
    assert (logits.grad[[0, 1, 3, 4, 5]] != 0).all()


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), CrossEntropy()])
def test_nothing_known_is_zero(loss: torch.nn.Module, logits: Tensor) -> None:
    logits.requires_grad_()
    value = loss(logits, torch.full_like(logits, math.nan))
    value.backward()
    assert float(value.detach()) == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_bce_stays_finite_at_extreme_logits() -> None:
    logits = torch.tensor([[-1e4, 1e4]], requires_grad=True)
    value = BinaryCrossEntropy()(logits, torch.tensor([[1.0, 0.0]]))
    value.backward()
    assert float(value.detach()) == pytest.approx(1e4)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_cross_entropy_is_torchs_with_weights(logits: Tensor) -> None:
    weights, classes = [0.5, 2.0, 4.0], torch.tensor([0, 1, 2, 2, 1, 0])
    expected = functional.cross_entropy(logits, classes, weight=torch.tensor(weights, dtype=torch.float64))
    hard = functional.one_hot(classes, 3)
    torch.testing.assert_close(CrossEntropy(weights)(logits, hard), expected, rtol=1e-12, atol=0)


def test_cross_entropy_takes_soft_labels(logits: Tensor, labels: Tensor) -> None:
    soft = labels / labels.sum(dim=1, keepdim=True)
    torch.testing.assert_close(CrossEntropy()(logits, soft), functional.cross_entropy(logits, soft))


def test_losses_learn() -> None:
    history, right = train_on_labels(BinaryCrossEntropy(positive_weights=[2.0, 2.0]))
    assert right == 1
    assert history[-1] < 0.2 * history[0]
    history, right = train_on_labels(CrossEntropy([1.0, 2.0]), exclusive=True)
    assert history[-1] < 0.2 * history[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"class_weights": [[1, 1]], "positive_weights": [1]}, "both set"),
        ({"class_weights": [[1, 1, 1]]}, "3 columns"),
        ({"class_weights": [1, 1]}, "2 axes"),
        ({"positive_weights": []}, "1 axes"),
        ({"positive_weights": [-1]}, "negative"),
        ({"positive_weights": [math.inf]}, "infinite"),
        ({"positive_weights": ["much"]}, "as numbers"),
    ],
)
def test_impossible_weights_are_refused(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        BinaryCrossEntropy(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (torch.zeros(6, 2), "do not match"),
        (torch.full((6, 3), -1.0), "uncertain"),
        (torch.full((6, 3), 1.5), "outside"),
    ],
)
def test_impossible_labels_are_refused(logits: Tensor, labels: Tensor, says: str) -> None:
    with pytest.raises(DataError, match=says):
        BinaryCrossEntropy()(logits, labels)


def test_weights_for_other_findings_are_refused(logits: Tensor, labels: Tensor) -> None:
    with pytest.raises(DataError, match="2 findings"):
        BinaryCrossEntropy(positive_weights=[1, 1])(logits, labels)


def test_classes_have_to_exclude_each_other(logits: Tensor) -> None:
    with pytest.raises(DataError, match="sum to 1"):
        CrossEntropy()(logits, torch.ones_like(logits))
