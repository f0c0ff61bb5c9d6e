"""Heatmaps against captum, and their regions in words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from candor.evidence.heatmap import heatmap, region_name
from candor.model.networks.class_activation import ClassActivationNetwork
from candor.model.networks.registry import NETWORKS
from tests.candor.model.networks.gradcam import GradCamNetwork


class Logits(nn.Module):
    """What captum wants: logits alone, of a network whose head can be called."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.trunk(images))


def pooled(head: nn.Module) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def other_head(findings: int) -> nn.Module:
    torch.manual_seed(1)
    layers = nn.Sequential(nn.BatchNorm1d(32), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, findings))
    return pooled(layers).eval()


def normalised(maps: torch.Tensor) -> np.ndarray:
    positive = maps.detach().clamp(min=0)
    return (positive / positive.amax(dim=(-2, -1), keepdim=True).clamp(min=1e-12)).numpy()


def captum_maps(model: Logits, images: torch.Tensor, findings: int) -> np.ndarray:
    oracle = LayerGradCam(model, model.trunk)
    return normalised(torch.cat([oracle.attribute(images, target=k) for k in range(findings)], dim=1))


@pytest.mark.parametrize("architecture", ["benchmark-cnn", "densenet121"])
def test_closed_form_is_captums_grad_cam(architecture: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[architecture](14).eval()
    images = torch.randn(2, 1, 96, 96)
    with torch.inference_mode():
        logits, activation = network(images)
    model = Logits(network.trunk, pooled(network.head)).eval()
    np.testing.assert_allclose(logits, model(images).detach(), atol=1e-5)
    np.testing.assert_allclose(normalised(activation), captum_maps(model, images, 14), atol=1e-5)


@pytest.mark.parametrize("inference", [True, False])
def test_the_general_way_is_captums_grad_cam(inference: bool) -> None:
    torch.manual_seed(0)
    trunk, head = NETWORKS["benchmark-cnn"](3).trunk.eval(), other_head(3)
    images = torch.randn(4, 1, 64, 64)
    with torch.inference_mode(mode=inference), torch.no_grad():
        logits, activation = GradCamNetwork(trunk, head)(images)
    model = Logits(trunk, head).eval()
    np.testing.assert_allclose(logits, model(images).detach(), atol=1e-6)
    np.testing.assert_allclose(normalised(activation), captum_maps(model, images, 3), atol=1e-5)


def test_the_general_way_equals_the_closed_form_for_a_linear_head() -> None:
    torch.manual_seed(0)
    network = NETWORKS["benchmark-cnn"](3).eval()
    images = torch.randn(2, 1, 64, 64)
    with torch.inference_mode():
        closed_logits, closed = network(images)
        logits, general = GradCamNetwork(network.trunk, pooled(network.head))(images)
    np.testing.assert_allclose(logits, closed_logits, atol=1e-6)
    np.testing.assert_allclose(general, closed, atol=1e-5)


def test_the_mean_of_the_map_and_the_bias_are_the_logit() -> None:
    torch.manual_seed(0)
    network: ClassActivationNetwork = NETWORKS["benchmark-cnn"](3).eval()
    with torch.inference_mode():
        logits, activation = network(torch.randn(2, 1, 64, 64))
        np.testing.assert_allclose(logits, activation.mean(dim=(2, 3)) + network.head.bias, atol=1e-6)


def test_a_heatmap_keeps_the_positive_evidence() -> None:
    shown = heatmap(np.asarray([[-1.0, 2.0], [0.5, -3.0]], np.float32), columns_to_left=True)
    np.testing.assert_array_equal(shown.grid, [[0, 2], [0.5, 0]])
    assert shown.peak == 2


@pytest.mark.parametrize(
    ("row", "column", "to_left", "name"),
    [
        (0, 0, True, "right upper zone"),
        (0, 6, True, "left upper zone"),
        (6, 0, False, "left lower zone"),
        (6, 6, False, "right lower zone"),
        (3, 1, None, "image-left middle zone"),
        (3, 5, None, "image-right middle zone"),
        (3, 3, True, "middle zone, midline"),
    ],
)
def test_regions_are_named_by_the_patients_sides(row: int, column: int, to_left: bool | None, name: str) -> None:
    grid = np.zeros((7, 7), np.float32)
    grid[row, column] = 1
    assert region_name(grid, to_left) == name


def test_a_map_without_evidence_has_no_region() -> None:
    assert region_name(np.zeros((7, 7), np.float32), columns_to_left=True) == "none"
