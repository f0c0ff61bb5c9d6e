"""Each head solves the toy, shows where it looked as captum does, and leaves through ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from candor.model.bundle import load_bundle
from candor.model.networks.heads import HEADS, ConcatPoolHead, ConcatPoolNetwork
from candor.model.networks.registry import build
from candor.model.onnx_engine import OnnxEngine
from candor.model.preprocess import InputSpec
from candor.model.torch_engine import TorchEngine
from tests.bundles import make_bundle
from tests.candor.model.networks.gradcam import GradCamNetwork
from tests.candor.model.networks.toys import assert_is_grad_cam, awake, patches, solved, train
from training.bundles.onnx_export import write_graph

ALL = ["benchmark-cnn", "benchmark-cnn/conv64", "benchmark-cnn/concat-pool", "mimo3:benchmark-cnn"]


@pytest.mark.parametrize("head", sorted(HEADS))
def test_a_head_solves_the_toy(head: str) -> None:
    torch.manual_seed(0)
    network = build("benchmark-cnn" if head == "linear" else f"benchmark-cnn/{head}", 2)
    images, labels = patches(64)
    losses = train(network, lambda: (network(images)[0], labels), steps=60)
    assert losses[-1] < losses[0] / 3
    unseen, truth = patches(64, seed=1)
    with torch.inference_mode():
        assert solved(network(unseen)[0], truth) > 0.95


@pytest.mark.parametrize("head", ["conv64", "concat-pool"])
def test_maps_are_captums_grad_cam(head: str) -> None:
    torch.manual_seed(0)
    network = awake(build(f"benchmark-cnn/{head}", 2))
    layer = network.neck if head == "conv64" else network.trunk
    assert_is_grad_cam(network, layer, patches(3, 64, seed=2)[0])


def test_the_closed_form_is_the_general_way() -> None:
    torch.manual_seed(0)
    network = awake(build("benchmark-cnn/concat-pool", 3))
    images, _ = patches(3, 64, seed=2)
    with torch.inference_mode():
        for one, other in zip(network(images), GradCamNetwork(network.trunk, network.head)(images), strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_the_conv64_head_has_64_filters_of_three_by_three() -> None:
    network = build("benchmark-cnn/conv64", 5)
    assert network.neck.get_parameter("conv.weight").shape == (64, 32, 3, 3)
    assert network.head.weight.shape == (5, 64)


def test_the_concat_pool_head_is_fastais() -> None:
    torch.manual_seed(0)
    head = ConcatPoolHead(6, 2, hidden=4).eval()
    for norm in (head.norm1, head.norm2):
        nn.init.uniform_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    last = nn.Linear(4, 2)
    last.weight, last.bias = head.weight, head.bias
    fastai = nn.Sequential(head.norm1, nn.Dropout(0.25), head.hidden, nn.ReLU(), head.norm2, nn.Dropout(0.5), last)
    features = torch.rand(3, 6, 5, 5)
    pooled = [pool(1)(features).flatten(1) for pool in (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)]
    torch.testing.assert_close(head(features), fastai.eval()(torch.cat(pooled, dim=1)))


def test_batch_normalisation_without_statistics_is_refused() -> None:
    head = ConcatPoolHead(4, 2)
    head.norm1 = nn.BatchNorm1d(8, track_running_stats=False)
    with pytest.raises(TypeError, match="keeps no running statistics"):
        head(torch.rand(2, 4, 3, 3))


@pytest.mark.parametrize("architecture", ALL)
def test_gradients_reach_trunk_and_head_from_logits_and_from_maps(architecture: str) -> None:
    network = build(architecture, 2).train()
    images, _ = patches(4, 64)
    for position in range(2):
        network.zero_grad()
        network(images)[position].square().sum().backward()
        for name in ("trunk.conv1.weight", "head.weight"):
            gradient = network.get_parameter(name).grad
            assert gradient is not None
            assert gradient.abs().max() > 0


def exported(architecture: str, folder: Path, side: int) -> None:
    """Export through the one way that a bundle takes; it refuses a difference over 1e-4."""
    network = awake(build(architecture, 3), side)
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(state, folder / "model.safetensors")
    write_graph(network, InputSpec(side, 0.5, 0.25), folder / "model.safetensors", folder / "model.onnx")
    images = patches(5, side, seed=3)[0]
    with torch.inference_mode():
        expected = network.answer(images)
        for one, other in zip(network(images), expected, strict=False):
            torch.testing.assert_close(one, other)
        torch.testing.assert_close(expected.features, network.feature_map(images).mean(dim=(2, 3)))
    for one, other in zip(OnnxEngine(folder / "model.onnx").run(images.numpy()), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("architecture", [*ALL, "two-view:benchmark-cnn", "vgg16"])
def test_networks_leave_through_onnx(architecture: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    exported(architecture, tmp_path, 32)


@pytest.mark.full
@pytest.mark.parametrize("architecture", ["densenet169", "densenet201/concat-pool", "resnet101", "mimo3:densenet121"])
def test_deep_networks_leave_through_onnx(architecture: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    exported(architecture, tmp_path, 64)


@pytest.mark.parametrize("architecture", ["benchmark-cnn/concat-pool", "mimo2:benchmark-cnn"])
def test_a_bundle_of_any_architecture_answers_alike_in_both_engines(architecture: str, tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path / "cxr", architecture=architecture))
    images = patches(3, 64)[0].numpy()
    for one, other in zip(OnnxEngine(bundle.graph).run(images), TorchEngine(bundle, "cpu").run(images), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_the_concat_pool_network_has_one_output_a_finding() -> None:
    network = build("benchmark-cnn/concat-pool", 4)
    assert isinstance(network, ConcatPoolNetwork)
    assert network.head.bias.shape == (4,)
