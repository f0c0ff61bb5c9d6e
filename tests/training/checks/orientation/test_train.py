"""The network, its loss, its training and its graph."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from candor.picture.orientation import GRAPH, SIDE, Limits, OrientationCheck
from candor.study.errors import BundleError, DataError
from candor.study.radiograph import Radiograph
from tests.training.checks.orientation.made import chests
from training.checks.orientation import train as train_module
from training.checks.orientation.examples import defective
from training.checks.orientation.network import OrientationNetwork, Probabilities, orientation_loss
from training.checks.orientation.train import (
    TOLERANCE,
    largest_difference,
    train_orientation_check,
    write_orientation_check,
)


def test_the_loss_is_the_sum_of_what_is_asked() -> None:
    """Against torch's own losses over the rows that count, one answer at a time."""
    torch.manual_seed(0)
    answers = torch.randn(6, 9)
    truth = torch.tensor([[0, 0, 1, 0], [1, 2, 0, 0], [0, 0, 0, 0], [1, 0, 1, 1], [0, 0, 0, 2], [1, 3, 1, 0]])
    frontal, upright = [0, 1, 2, 5], [0, 2]
    expected = (
        functional.cross_entropy(answers[:, 6:], truth[:, 3], label_smoothing=0.01)
        + functional.cross_entropy(answers[frontal, 1:5], truth[frontal, 1])
        + functional.binary_cross_entropy_with_logits(answers[frontal, 0], truth[frontal, 0].float())
        + functional.binary_cross_entropy_with_logits(answers[upright, 5], truth[upright, 2].float())
    )
    assert orientation_loss(answers, truth).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_batch_without_a_frontal_chest_has_a_loss() -> None:
    truth = torch.tensor([[0, 0, 0, 1], [1, 0, 1, 2]])
    assert math.isfinite(orientation_loss(torch.zeros(2, 9), truth).item())


@pytest.mark.parametrize("side", [SIDE, 64, 50])
def test_the_answers_are_probabilities_at_any_side(side: int) -> None:
    inverted, turned, mirrored, projection = Probabilities(OrientationNetwork(side).eval())(
        torch.rand(2, 1, side, side)
    )
    assert inverted.shape == mirrored.shape == (2,)
    assert torch.allclose(turned.sum(dim=1), torch.ones(2))
    assert torch.allclose(projection.sum(dim=1), torch.ones(2))
    assert turned.shape == (2, 4)
    assert projection.shape == (2, 3)


def test_training_follows_from_its_seed() -> None:
    pictures = chests(2)
    one, other = (train_orientation_check(pictures, 3, seed=3, batch=8) for _ in range(2))
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_training_learns(tmp_path: Path) -> None:
    pictures, graph = chests(8), tmp_path / GRAPH
    write_orientation_check(train_orientation_check(pictures, 40, seed=3, batch=16), graph)
    orientation = OrientationCheck(graph, Limits(1, 1, 1, 1, 1))
    upright, inverted = (
        [orientation.look(Radiograph(defective(picture, inverted=wrong))).inverted for picture in pictures]
        for wrong in (False, True)
    )
    assert max(upright) < min(inverted)


def test_training_on_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="ChestX-ray14"):
        train_orientation_check([], 1, 0)


def test_the_graph_answers_as_torch_does(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = OrientationNetwork(SIDE).eval()
    write_orientation_check(network, tmp_path / GRAPH)
    images = np.random.default_rng(1).random((5, 1, SIDE, SIDE), np.float32)
    assert largest_difference(network, tmp_path / GRAPH, images) <= TOLERANCE
    other = OrientationNetwork(SIDE).eval()
    assert largest_difference(other, tmp_path / GRAPH, images) > TOLERANCE


def test_a_graph_that_answers_otherwise_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_module, "largest_difference", lambda *_: math.nan)
    with pytest.raises(BundleError, match="not exported"):
        write_orientation_check(OrientationNetwork(SIDE), tmp_path / GRAPH)
    assert not list(tmp_path.iterdir())
