"""The two engines answer alike, and a bundle that cannot run is refused in one clear line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from safetensors.numpy import save_file

from candor.evidence.heatmap import heatmap
from candor.model import engine as engine_module
from candor.model.bundle import GRAPH, load_bundle
from candor.model.engine import gpu_visible, open_engine
from candor.model.networks.class_activation import LogitsOnly
from candor.model.networks.registry import NETWORKS
from candor.model.onnx_engine import OnnxEngine
from candor.model.torch_engine import TorchEngine, build_network
from candor.study.errors import BundleError, SettingsError
from tests.conftest import ROOT, needs


def pictures(count: int, side: int, seed: int = 0) -> np.ndarray:
    """Made-up network inputs."""
    return np.random.default_rng(seed).standard_normal((count, 1, side, side), np.float32)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_onnx_and_torch_answer_alike(shared_bundle: Path, count: int) -> None:
    bundle = load_bundle(shared_bundle)
    images = pictures(count, bundle.input.side)
    for one, other in zip(OnnxEngine(bundle.graph).run(images), TorchEngine(bundle, "cpu").run(images), strict=True):
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-4, rtol=0)


def test_the_shipped_bundle_answers_alike_in_both_engines() -> None:
    bundle = load_bundle(needs(ROOT / "models" / "cxr"))
    images = np.repeat(pictures(2, bundle.input.side), len(bundle.input.sides), axis=1)
    for one, other in zip(OnnxEngine(bundle.graph).run(images), TorchEngine(bundle, "cpu").run(images), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize("count", [1, 3])
def test_an_image_does_not_depend_on_its_batch(shared_bundle: Path, count: int) -> None:
    engine = OnnxEngine(load_bundle(shared_bundle).graph)
    images = pictures(4, 64)
    np.testing.assert_allclose(engine.run(images[:count])[0], engine.run(images)[0][:count], atol=1e-6)


def test_the_logit_is_the_mean_of_the_activation_plus_the_bias(shared_bundle: Path) -> None:
    bundle = load_bundle(shared_bundle)
    logits, activation, _ = OnnxEngine(bundle.graph).run(pictures(2, 64))
    bias = build_network(bundle.architecture, 3, bundle.weights).head.bias.detach().numpy()
    np.testing.assert_allclose(activation.mean(axis=(2, 3)) + bias, logits, atol=1e-6)


def test_the_features_are_what_the_linear_head_reads(shared_bundle: Path) -> None:
    bundle = load_bundle(shared_bundle)
    outputs = OnnxEngine(bundle.graph).run(pictures(3, 64))
    head = build_network(bundle.architecture, 3, bundle.weights).head
    assert outputs.features.dtype == np.float32
    expected = torch.nn.functional.linear(torch.from_numpy(outputs.features), head.weight, head.bias)
    np.testing.assert_allclose(outputs.logits, expected.detach().numpy(), atol=1e-5)


def test_heatmaps_are_captums_grad_cam() -> None:
    torch.manual_seed(0)
    network = NETWORKS["densenet121"](3).eval()
    images = torch.from_numpy(pictures(2, 64))
    with torch.inference_mode():
        activation = network(images)[1].numpy()
    grad_cam = LayerGradCam(LogitsOnly(network), network.trunk)
    compared = 0
    for k in range(3):
        expected = grad_cam.attribute(images, target=k, relu_attributions=True).detach().numpy()[:, 0]
        ours = np.stack([heatmap(activation[n, k], None).grid for n in range(2)])
        np.testing.assert_allclose(ours / ours[0].size, expected, atol=1e-6)
        evidence = [n for n in range(2) if ours[n].any()]
        for n in evidence:
            np.testing.assert_allclose(ours[n] / ours[n].max(), expected[n] / expected[n].max(), atol=1e-5)
        compared += len(evidence)
    assert compared, "no map holds positive evidence: take another seed"


def test_the_setting_chooses_the_engine(shared_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = load_bundle(shared_bundle)
    assert open_engine(bundle, "onnx").name == "onnxruntime-cpu"
    assert open_engine(bundle, "torch").name == f"torch-{'cuda' if torch.cuda.is_available() else 'cpu'}"
    monkeypatch.setattr(engine_module, "gpu_visible", lambda: False)
    assert open_engine(bundle).name == "onnxruntime-cpu"
    monkeypatch.setattr(engine_module, "gpu_visible", lambda: True)
    assert open_engine(bundle).name.startswith("torch-")


def test_torch_is_asked_for_a_gpu_only_where_one_could_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert not gpu_visible()
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidiactl")
    assert gpu_visible()


def test_an_unknown_engine_names_the_known_ones(shared_bundle: Path) -> None:
    with pytest.raises(SettingsError, match=r"engine is 'tpu'; it can be auto, onnx, torch"):
        open_engine(load_bundle(shared_bundle), "tpu")


@pytest.mark.parametrize("content", [b"", b"no graph", None])
def test_a_broken_graph_is_named(bundle: Path, content: bytes | None) -> None:
    (bundle / GRAPH).unlink() if content is None else (bundle / GRAPH).write_bytes(content)
    with pytest.raises(BundleError, match=r"model.onnx cannot be loaded; export the bundle again"):
        OnnxEngine(bundle / GRAPH)


def test_a_graph_without_its_weights_is_named(bundle: Path) -> None:
    load_bundle(bundle).weights.unlink()
    with pytest.raises(BundleError, match=r"model.onnx cannot be loaded; export the bundle again"):
        OnnxEngine(bundle / GRAPH)


def test_an_unknown_network_names_the_known_ones(shared_bundle: Path) -> None:
    bundle = replace(load_bundle(shared_bundle), architecture="perceptron")
    with pytest.raises(BundleError, match=r"'perceptron' is unknown; known are benchmark-cnn, densenet121"):
        TorchEngine(bundle)


@pytest.mark.parametrize("damage", ["missing", "no safetensors", "other tensors"])
def test_weights_that_do_not_fit_are_named(bundle: Path, damage: str) -> None:
    loaded = load_bundle(bundle)
    loaded.weights.unlink()
    if damage == "no safetensors":
        loaded.weights.write_bytes(b"nothing")
    elif damage == "other tensors":
        save_file({"head.bias": np.zeros(3, np.float32)}, loaded.weights)
    with pytest.raises(BundleError, match=r"does not fit benchmark-cnn with 3 findings"):
        TorchEngine(loaded)
