"""AUC-margin loss against its definition, in loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from candor.study.errors import DataError, SettingsError
from tests.training.learn.losses.toy import at_a_point
from training.learn.losses import AucMargin


@pytest.fixture
def data() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(40, 3, requires_grad=True), (torch.rand(40, 3) < 0.3).float()


def by_the_definition(logits: Tensor, labels: Tensor, margin: float, prevalences: list[float] | None) -> float:
    """The loss, one label at a time, at a = 0.7, b = 0.2 and alpha = 0.4."""
    a, b, alpha, means = 0.7, 0.2, 0.4, []
    for k in range(logits.shape[1]):
        known = [(1 / (1 + math.exp(-x)), y) for x, y in zip(logits[:, k].tolist(), labels[:, k].tolist(), strict=True)]
        known = [(h, y) for h, y in known if not math.isnan(y)]
        p = prevalences[k] if prevalences else sum(y for _, y in known) / len(known)
        terms = [
            (1 - p) * (h - a) ** 2 * y
            + p * (h - b) ** 2 * (1 - y)
            + 2 * alpha * (p * (1 - p) * margin + p * h * (1 - y) - (1 - p) * h * y)
            - p * (1 - p) * alpha**2
            for h, y in known
        ]
        means.append(math.fsum(terms) / len(terms))
    return math.fsum(means) / len(means)


@pytest.mark.parametrize("prevalences", [None, [0.1, 0.2, 0.4]])
def test_it_follows_the_definition(data: tuple[Tensor, Tensor], prevalences: list[float] | None) -> None:
    logits, labels = data[0].detach().double(), data[1].double()
    labels[3, 0] = labels[5, 1] = math.nan
    labels[7, 2] = 0.25
    loss = at_a_point(AucMargin(3, 0.8, prevalences).double())
    expected = by_the_definition(logits, labels, 0.8, prevalences)
    assert float(loss(logits, labels).detach()) == pytest.approx(expected, rel=1e-7)


def test_ignored_labels_leave_the_rest_as_it_is(data: tuple[Tensor, Tensor]) -> None:
    logits, labels = data
    loss = at_a_point(AucMargin(3))
    ignoring = torch.cat([labels, torch.full((5, 3), math.nan)])
    torch.testing.assert_close(loss(torch.cat([logits, torch.randn(5, 3)]), ignoring), loss(logits, labels))


def test_a_finding_without_labels_is_left_out_of_the_mean(data: tuple[Tensor, Tensor]) -> None:
    logits, labels = data
    loss = at_a_point(AucMargin(3, prevalences=[0.3] * 3))
    pair = at_a_point(AucMargin(2, prevalences=[0.3] * 2))
    unknown = labels.clone()
    unknown[:, 2] = math.nan
    torch.testing.assert_close(loss(logits, unknown), pair(logits[:, :2], labels[:, :2]))
    assert float(loss(logits, torch.full_like(labels, math.nan)).detach()) == 0


def test_impossible_parameters_are_refused(data: tuple[Tensor, Tensor]) -> None:
    for arguments in ({"findings": 0}, {"findings": 3, "margin": 2}, {"findings": 3, "prevalences": [0.1, 0.2]}):
        with pytest.raises(SettingsError):
            AucMargin(**arguments)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="between 0 and 1"):
        AucMargin(2, prevalences=[0.0, 0.5])
    with pytest.raises(DataError, match="2 findings"):
        AucMargin(2)(*data)
