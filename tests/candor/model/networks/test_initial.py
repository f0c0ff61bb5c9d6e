"""A start from ImageNet or from a file fills every place, or says which it could not."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from monai.networks.nets import densenet as monai_densenet
from monai.networks.nets.densenet import DenseNet121
from safetensors.torch import save_file
from torch import Tensor, nn

from candor.model.networks.initial import fit_channels, imagenet_state, start_from_file, start_from_imagenet
from candor.model.networks.registry import build
from candor.study.errors import BundleError

State = dict[str, Tensor]


def hub_file() -> State:
    """What the hub serves: torchvision's DenseNet-121, its dense layers under their old names with dots."""
    torch.manual_seed(3)
    state = DenseNet121(spatial_dims=2, in_channels=3, out_channels=1000).state_dict()
    kept = {k: torch.rand_like(v) for k, v in state.items() if v.is_floating_point()}
    dotted = {re.sub(r"\.layers\.(norm|conv)([12])\.", r".\1.\2.", name): tensor for name, tensor in kept.items()}
    return {name.replace("class_layers.out", "classifier"): tensor for name, tensor in dotted.items()}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> State:
    state = hub_file()
    monkeypatch.setattr(monai_densenet, "load_state_dict_from_url", lambda url, **options: dict(state))
    return state


def test_imagenet_fills_the_trunk_and_leaves_the_head(hub: State) -> None:
    network = build("densenet121/conv64", 3)
    before = network.neck.get_parameter("conv.weight").clone()
    start_from_imagenet(network, "densenet121/conv64")
    ours = network.trunk.state_dict()
    first = "features.conv0.weight"
    torch.testing.assert_close(ours[first], hub[first].sum(dim=1, keepdim=True))
    name = "features.denseblock4.denselayer16.layers.conv2.weight"
    torch.testing.assert_close(ours[name], hub["features.denseblock4.denselayer16.conv.2.weight"])
    torch.testing.assert_close(ours["features.norm5.running_var"], hub["features.norm5.running_var"])
    torch.testing.assert_close(network.neck.get_parameter("conv.weight"), before)


def test_every_member_and_both_views_start_from_imagenet(hub: State) -> None:
    first = "features.conv0.weight"
    mimo = build("mimo2:densenet121", 3)
    start_from_imagenet(mimo, "mimo2:densenet121")
    grey = hub[first].sum(dim=1, keepdim=True)
    torch.testing.assert_close(mimo.trunk.state_dict()[first], (grey / 2).repeat(1, 2, 1, 1))
    two = build("two-view:densenet121", 3)
    start_from_imagenet(two, "two-view:densenet121")
    torch.testing.assert_close(two.get_parameter(f"lateral.{first}"), grey)


def test_a_tensor_that_monai_leaves_random_is_an_error(hub: State) -> None:
    hub["features.norm5.gain"] = hub.pop("features.norm5.weight")
    with pytest.raises(BundleError, match=r"densenet121 has nothing for features.norm5.weight; its layout"):
        imagenet_state("densenet121")


def test_without_a_network_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(url: str, **options: object) -> State:
        raise URLError("no route to host")

    monkeypatch.setattr(monai_densenet, "load_state_dict_from_url", unreachable)
    with pytest.raises(BundleError, match=r"cannot be fetched .*no route to host.*torch's hub cache"):
        start_from_imagenet(build("densenet121", 2), "densenet121")


def test_only_densenets_have_imagenet_weights() -> None:
    with pytest.raises(BundleError, match=r"no ImageNet weights for vgg16/conv64; there are for densenet121"):
        start_from_imagenet(build("benchmark-cnn", 2), "vgg16/conv64")


@pytest.mark.parametrize(("old", "new"), [(3, 1), (1, 3), (3, 2), (1, 1)])
def test_a_grey_image_gets_the_same_answer_through_any_number_of_channels(old: int, new: int) -> None:
    torch.manual_seed(0)
    weight, image = torch.randn(8, old, 7, 7), torch.randn(2, 1, 20, 20)
    answers = [
        nn.functional.conv2d(image.expand(-1, w.shape[1], -1, -1), w) for w in (weight, fit_channels(weight, new))
    ]
    torch.testing.assert_close(*answers, atol=1e-4, rtol=1e-4)


def saved(architecture: str, findings: int, folder: Path, **changes: Tensor) -> tuple[nn.Module, Path]:
    """A network and its file, as training writes it."""
    torch.manual_seed(5)
    network = build(architecture, findings)
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(state | changes, folder / "model.safetensors")
    return network, folder / "model.safetensors"


@pytest.mark.parametrize("architecture", ["benchmark-cnn", "benchmark-cnn/concat-pool", "two-view:benchmark-cnn"])
def test_the_same_network_is_taken_whole(architecture: str, tmp_path: Path) -> None:
    other, path = saved(architecture, 2, tmp_path)
    network = build(architecture, 2)
    assert start_from_file(network, path)
    torch.testing.assert_close(network.state_dict(), other.state_dict())


@pytest.mark.parametrize("architecture", ["benchmark-cnn/conv64", "mimo3:benchmark-cnn", "two-view:benchmark-cnn"])
def test_another_head_stays_random(architecture: str, tmp_path: Path) -> None:
    other, path = saved("benchmark-cnn", 2, tmp_path)
    network = build(architecture, 3)
    before = network.head.weight.clone()
    assert not start_from_file(network, path)
    torch.testing.assert_close(network.head.weight, before)
    expected, given = other.state_dict(), network.state_dict()
    torch.testing.assert_close(given["trunk.conv2.weight"], expected["trunk.conv2.weight"])
    torch.testing.assert_close(given["trunk.conv1.weight"].sum(dim=1), expected["trunk.conv1.weight"].sum(dim=1))
    if architecture.startswith("two-view"):
        torch.testing.assert_close(given["lateral.conv2.weight"], expected["trunk.conv2.weight"])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"lateral.conv1.weight": torch.zeros(1)}, r"holds lateral.conv1.weight, which has no place"),
        ({"trunk.conv9.weight": torch.zeros(1)}, r"does not fit: conv9.weight is on one side only"),
        ({"trunk.conv2.weight": torch.zeros(2)}, r"does not fit: conv2.weight is on one side only or has another"),
    ],
)
def test_a_tensor_without_a_place_is_an_error(changes: State, problem: str, tmp_path: Path) -> None:
    _, path = saved("benchmark-cnn", 2, tmp_path, **changes)
    with pytest.raises(BundleError, match=problem):
        start_from_file(build("benchmark-cnn", 2), path)


def test_another_trunk_is_an_error(tmp_path: Path) -> None:
    _, path = saved("benchmark-cnn", 2, tmp_path)
    with pytest.raises(BundleError, match=r"does not fit: .* and \d+ more is on one side only"):
        start_from_file(build("vgg16", 2), path)


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BundleError, match=r"model.safetensors cannot be read .* as training writes it"):
        start_from_file(build("benchmark-cnn", 2), path)
