"""Spatial coherence against its definition: flood fill, and loops over all pairs of pixels, in float64."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from candor.study.errors import DataError, SettingsError
from tests.training.learn.losses.toy import TinyNetwork, batch, right, train
from training.learn.losses import SpatialCoherence, build_loss
from training.learn.losses.components import otsu_thresholds

Pixel = tuple[int, int]
Grid = list[list[float]]


def flood(salient: set[Pixel]) -> list[list[Pixel]]:
    """Connected components of pixels that touch at a side or at a corner."""
    left, found = set(salient), []
    while left:
        reached = [left.pop()]
        for row, column in reached:
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            reached += near
        found.append(reached)
    return found


def by_the_definition(grid: Grid, threshold: float) -> tuple[float, int, Grid]:
    """The sum over ordered pairs, their number, and the derivative of each of its terms."""
    pixels = {(r, c) for r, row in enumerate(grid) for c, value in enumerate(row) if value > threshold}
    total, pairs, slope = [], 0, [[0.0] * len(grid[0]) for _ in grid]
    for component in flood(pixels):
        for i in component:
            for j in component:
                difference = grid[i[0]][i[1]] - grid[j[0]][j[1]]
                total.append(difference**2)
                pairs += 1
                slope[i[0]][i[1]] += 2 * difference
                slope[j[0]][j[1]] -= 2 * difference
    return math.fsum(total), pairs, slope


def otsu_by_the_definition(values: list[float]) -> float:
    best, threshold = -1.0, values[0]
    distinct = sorted(set(values))
    for low, high in itertools.pairwise(distinct):
        below, above = [v for v in values if v <= low], [v for v in values if v >= high]
        means = math.fsum(below) / len(below), math.fsum(above) / len(above)
        between = len(below) * len(above) * (means[0] - means[1]) ** 2
        if between > best:
            best, threshold = between, (low + high) / 2
    return threshold


def thresholds_by_the_definition(maps: Tensor, peak_share: float | None) -> list[float]:
    if peak_share is None:
        return [otsu_by_the_definition(grid.flatten().tolist()) for grid in maps]
    return [peak_share * float(grid.max()) for grid in maps]


def smooth(*shape: int) -> Tensor:
    """Maps with regions: noise on a coarse grid, made finer by torch."""
    n, findings, height, width = shape
    rng = torch.Generator().manual_seed(0)
    coarse = torch.randn(n, findings, (height + 2) // 3, (width + 2) // 3, dtype=torch.float64, generator=rng)
    fine = nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return (fine + 0.01 * torch.randn(fine.shape, dtype=torch.float64, generator=rng)).requires_grad_()


CASES: list[Any] = [
    pytest.param((2, 3, 7, 7), None, id="7 x 7"),
    pytest.param((1, 2, 7, 7), 28, id="7 x 7 to 28 x 28"),
    pytest.param((1, 2, 5, 9), 20, id="not square"),
    pytest.param((1, 1, 24, 17), None, id="24 x 17"),
]


@pytest.mark.parametrize(("shape", "side"), CASES)
@pytest.mark.parametrize("peak_share", [None, 0.5])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_value_and_gradient_follow_the_definition(
    shape: tuple[int, int, int, int], side: int | None, peak_share: float | None, reduction: str
) -> None:
    activation = smooth(*shape)
    maps = activation.flatten(end_dim=1)
    thresholds = thresholds_by_the_definition(maps.detach(), peak_share)
    enlarged = nn.functional.interpolate(maps[:, None], size=(side, side), mode="bilinear")[:, 0] if side else maps
    found = [by_the_definition(grid.tolist(), t) for grid, t in zip(enlarged.detach(), thresholds, strict=True)]
    divisor = sum(pairs for _, pairs, _ in found) if reduction == "mean" else 1
    expected = math.fsum(total for total, _, _ in found) / divisor
    slope = torch.tensor([slope for _, _, slope in found], dtype=torch.float64) / divisor
    (gradient,) = torch.autograd.grad(enlarged, activation, slope)

    value = SpatialCoherence(side, peak_share, reduction)(activation)
    assert expected > 0
    assert float(value.detach()) == pytest.approx(expected, rel=1e-12)
    (ours,) = torch.autograd.grad(value, activation)
    torch.testing.assert_close(ours, gradient, rtol=1e-12, atol=1e-12 * float(gradient.abs().max()))


@pytest.mark.parametrize("side", [None, 21])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_gradcheck(side: int | None, reduction: str) -> None:
    assert torch.autograd.gradcheck(SpatialCoherence(side, reduction=reduction), (smooth(2, 2, 7, 7),))


@pytest.mark.parametrize("side", [7, 56, 224])
def test_float32_and_half_precision_agree_with_float64(side: int) -> None:
    activation = smooth(2, 14, 7, 7).detach()
    loss = SpatialCoherence(side)
    expected = float(loss(activation))
    assert float(loss(activation.float())) == pytest.approx(expected, rel=1e-4)
    half = activation.bfloat16().requires_grad_()
    value = loss(half)
    value.backward()
    assert value.dtype == torch.float32
    assert float(value.detach()) == pytest.approx(expected, rel=0.05)
    assert half.grad is not None
    assert half.grad.dtype == torch.bfloat16


def test_the_scale_of_the_mean_does_not_depend_on_the_resolution() -> None:
    activation = smooth(2, 4, 7, 7).detach()
    means = [float(SpatialCoherence(side)(activation)) for side in (28, 56, 224)]
    assert max(means) < 1.2 * min(means)


def test_regions_that_touch_at_a_corner_are_one_and_the_rest_is_apart() -> None:
    grid = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    grid[0, 0, 0, 0], grid[0, 0, 1, 1], grid[0, 0, 4, 4] = 2, 3, 9
    assert float(SpatialCoherence(peak_share=0.1, reduction="sum")(grid)) == 2 * (3 - 2) ** 2
    assert SpatialCoherence(peak_share=0.1).measure(grid[0])[1:3] == (5, 3)


@pytest.mark.parametrize("fill", [0.0, 1.0, -1.0])
@pytest.mark.parametrize("peak_share", [None, 0.5])
def test_flat_maps_have_no_loss(fill: float, peak_share: float | None) -> None:
    maps = torch.full((1, 2, 7, 7), fill, requires_grad=True)
    value = SpatialCoherence(side=14, peak_share=peak_share)(maps)
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-10)
    assert maps.grad is not None
    assert maps.grad.abs().max() < 1e-6


def test_evidence_against_is_not_salient_under_a_share_of_the_peak() -> None:
    maps = -torch.rand(1, 2, 7, 7)
    assert SpatialCoherence(peak_share=0.5).measure(maps[0]).salient == 0


def test_otsu_finds_the_split() -> None:
    rng = np.random.default_rng(0)
    maps = np.concatenate([rng.normal(size=(20, 5, 6)), rng.integers(0, 4, size=(20, 5, 6))])
    expected = [otsu_by_the_definition(of.ravel().tolist()) for of in maps]
    np.testing.assert_allclose(otsu_thresholds(maps), expected, rtol=1e-12)
    assert otsu_thresholds(np.full((1, 1, 1), 3.0)).tolist() == [3]
    assert otsu_thresholds(np.full((1, 2, 2), 3.0)).tolist() == [3]


def test_it_learns_beside_cross_entropy() -> None:
    torch.manual_seed(0)
    images, labels = batch()
    network, loss = TinyNetwork(), build_loss([{"name": "bce"}, {"name": "coherence", "weight": 0.1, "side": 24}])
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    history = train(lambda of: loss(*of(images), labels)[0], network, optimiser, 200)
    without = TinyNetwork()
    plain = build_loss([{"name": "bce"}])
    train(lambda of: plain(*of(images), labels)[0], without, torch.optim.Adam(without.parameters(), 0.02), 200)
    parts = [float(loss(*of(images), labels)[1]["coherence"]) for of in (network, without)]
    assert right(network, images, labels) > 0.95
    assert history[-1] < 0.7 * history[0]
    assert parts[0] < 0.5 * parts[1]


def test_impossible_parameters_are_refused() -> None:
    for arguments in (
        {"side": 1},
        {"side": 7.5},
        {"peak_share": 0},
        {"peak_share": 1},
        {"peak_share": 2},
        {"reduction": "max"},
    ):
        with pytest.raises(SettingsError, match=next(iter(arguments))):
            SpatialCoherence(**arguments)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="over side 5"):
        SpatialCoherence(side=5)(torch.zeros(1, 1, 7, 7))
    with pytest.raises(DataError, match="activation"):
        SpatialCoherence()(torch.zeros(1, 7, 7))
