"""Weighted sums and their configuration."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.bundle.config_parser import ConfigParser
from torch import nn

from candor.study.errors import SettingsError
from tests.training.learn.losses.toy import TinyNetwork, batch, right, train
from training.learn.losses import (
    LOSSES,
    BinaryCrossEntropy,
    ClassDistinctiveness,
    FocalLoss,
    SpatialCoherence,
    WeightedSum,
    build_loss,
)

SALIENCY: list[dict[str, Any]] = [
    {"name": "distinctiveness", "weight": 0.5},
    {"name": "coherence", "weight": 0.1, "side": 24},
]


def test_the_total_is_the_weighted_sum_of_the_parts() -> None:
    torch.manual_seed(0)
    images, labels = batch(8)
    logits, activation = TinyNetwork()(images)
    loss = build_loss([{"name": "bce"}, {"name": "focal", "weight": 2, "gamma": 1.5}, *SALIENCY])
    total, parts = loss(logits, activation, labels)
    expected = {
        "bce": BinaryCrossEntropy()(logits, labels),
        "focal": FocalLoss(1.5)(logits, labels),
        "distinctiveness": ClassDistinctiveness()(activation),
        "coherence": SpatialCoherence(24)(activation),
    }
    assert list(parts) == list(expected)
    for name, part in parts.items():
        assert not part.requires_grad
        torch.testing.assert_close(part, expected[name].detach())
    weighted = expected["bce"] + 2 * expected["focal"] + 0.5 * expected["distinctiveness"] + 0.1 * expected["coherence"]
    torch.testing.assert_close(total, weighted)
    parameters = torch.autograd.grad(total, (logits, activation)), torch.autograd.grad(weighted, (logits, activation))
    torch.testing.assert_close(*parameters)


def test_half_precision_and_autocast_are_computed_in_float32() -> None:
    torch.manual_seed(0)
    images, labels = batch(8)
    loss = build_loss([{"name": "bce"}, *SALIENCY])
    with torch.autocast("cpu", torch.bfloat16):
        logits, activation = TinyNetwork()(images)
        total, parts = loss(logits, activation, labels)
    assert logits.dtype == torch.bfloat16
    assert {total.dtype, *(part.dtype for part in parts.values())} == {torch.float32}
    torch.testing.assert_close(total, loss(logits.float(), activation.float(), labels)[0])
    total.backward()


def test_any_module_of_logits_and_labels_can_be_a_term() -> None:
    loss = WeightedSum({"mine": nn.BCEWithLogitsLoss()}, {"mine": 0.5})
    total, parts = loss(torch.zeros(2, 3), torch.zeros(2, 3, 7, 7), torch.ones(2, 3))
    torch.testing.assert_close(total, 0.5 * parts["mine"])


def test_two_stages_are_two_configurations() -> None:
    torch.manual_seed(0)
    images, labels = batch()
    network = TinyNetwork()
    second = build_loss(
        [{"name": "bce"}, {"name": "distinctiveness", "weight": 0.1}, {"name": "coherence", "weight": 0.05}]
    )
    histories, parts = [], []
    for loss in (build_loss([{"name": "bce"}]), second):
        optimiser = torch.optim.Adam(network.parameters(), 0.02)
        histories.append(train(lambda of, loss=loss: loss(*of(images), labels)[0], network, optimiser, 300))  # type: ignore[misc]
        parts.append(second(*network(images), labels)[1])
    assert right(network, images, labels) > 0.95
    assert all(history[-1] < history[0] for history in histories)
    for name in ("distinctiveness", "coherence"):
        assert float(parts[1][name]) < float(parts[0][name])


def test_a_monai_configuration_builds_it() -> None:
    parser = ConfigParser(
        {"loss": {"_target_": "training.learn.losses.build_loss", "terms": [{"name": "bce"}, *SALIENCY]}}
    )
    loss = parser.get_parsed_content("loss")
    assert isinstance(loss, WeightedSum)
    assert loss.weights == {"bce": 1, "distinctiveness": 0.5, "coherence": 0.1}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_is_built_by_its_name(name: str) -> None:
    loss = build_loss([{"name": name, **({"findings": 3} if name == "auc_margin" else {})}])
    logits, activation = torch.randn(6, 3, requires_grad=True), torch.randn(6, 3, 7, 7, requires_grad=True)
    total, _ = loss(logits, activation, torch.eye(3).repeat(2, 1))
    total.backward()
    assert (logits.grad is None) != (activation.grad is None)


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ([], "at least one"),
        ([{"name": "dice"}], "'dice'; it can be auc_margin"),
        ([{"weight": 1}], "None"),
        ([{"name": ["bce"]}], "bce"),
        ([{"name": "bce"}, {"name": "bce"}], "once"),
        ([{"name": "bce", "weight": -1}], "weight of bce"),
        ([{"name": "bce", "weight": "1"}], "weight of bce"),
        ([{"name": "focal", "beta": 1}], "beta.*gamma, alpha"),
        ([{"name": "auc_margin"}], "findings"),
        ([{"name": "distinctiveness", "side": 7}], "its parameters are none"),
        ([{"name": "coherence", "side": 0}], "side is 0"),
    ],
)
def test_an_impossible_configuration_says_what_is_wrong(terms: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        build_loss(terms)


def test_terms_and_weights_have_the_same_names() -> None:
    with pytest.raises(SettingsError, match="both"):
        WeightedSum({"bce": BinaryCrossEntropy()}, {"focal": 1})
