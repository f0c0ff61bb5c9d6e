"""Networks that are served together answer with the mean of their own answers, each to the picture at its own size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from candor.model.bundle import load_bundle
from candor.model.networks.class_activation import ClassActivationNetwork
from candor.model.networks.ensemble import (
    Member,
    area_average,
    ensemble_input,
    ensemble_name,
    joined_state,
    members_of,
)
from candor.model.networks.registry import build
from candor.model.onnx_engine import OnnxEngine
from candor.model.preprocess import InputSpec, to_network_input
from candor.model.torch_engine import TorchEngine
from candor.study.errors import BundleError
from candor.study.radiograph import Radiograph
from tests.bundles import THREE, make_trained
from tests.candor.model.networks.toys import awake
from training.bundles.export import export
from training.bundles.members import join
from training.bundles.trained import Trained, read_trained
from training.data.readers import nih
from training.records import write_json

SIDES = (96, 64, 96)
SPECS = [InputSpec(96, 0.5, 0.25), InputSpec(64, 0.4, 0.2), InputSpec(96, 0.6, 0.3)]
NAME = "benchmark-cnn@96+benchmark-cnn@64+benchmark-cnn@96"


def member(side: int, seed: int) -> ClassActivationNetwork:
    """A network that answers differently to different pictures."""
    torch.manual_seed(seed)
    return awake(build("benchmark-cnn", 3), side)


def test_a_name_is_its_members() -> None:
    members = [Member("vgg16", 160), Member("efficientnet-lite0", 128)]
    assert ensemble_name(members) == "vgg16@160+efficientnet-lite0@128"
    assert members_of(ensemble_name(members)) == members
    for other in ("vgg16", "vgg16@", "mimo3:vgg16", "vgg16@160+", "vgg16@-5", "vgg16+vgg16@128", "@128"):
        assert members_of(other) == []


@pytest.mark.parametrize("architecture", ["vgg17@64+vgg16@64", "vgg16/conv64@64+vgg16@32", "vgg16@64+vgg16"])
def test_members_must_be_trunks_with_a_size(architecture: str) -> None:
    with pytest.raises(BundleError, match=r"is unknown; known are .* several trunks in one bundle as NAME@160"):
        build(architecture, 3)


@pytest.mark.parametrize(("cells", "finer"), [(4, 5), (4, 7), (5, 7), (3, 6), (4, 4)])
def test_spreading_by_area_keeps_the_mean(cells: int, finer: int) -> None:
    matrix = area_average(cells, finer)
    assert matrix.shape == (finer, cells)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)  # a flat map stays flat
    np.testing.assert_allclose(matrix.mean(axis=0), 1 / cells, atol=1e-7)  # and every cell keeps its weight
    assert (matrix >= 0).all()


def test_the_input_holds_every_size() -> None:
    assert ensemble_input(SPECS) == InputSpec(96, 0.5, 0.25, (64,))
    assert ensemble_input(SPECS[1:]).sides == (96, 64)
    assert ensemble_input(SPECS[1:]).mean == 0.4


def test_it_answers_with_the_mean_of_its_members() -> None:
    members = [member(side, seed) for seed, side in enumerate(SIDES)]
    network = build(NAME, 3).eval()
    network.load_state_dict(joined_state([one.state_dict() for one in members], SPECS))
    pictures = [Radiograph(np.random.default_rng(k).random((150, 120), np.float32)) for k in range(2)]
    with torch.inference_mode():
        ours = network.answer(_inputs(pictures, ensemble_input(SPECS)))
        theirs = [one.answer(_inputs(pictures, spec)) for one, spec in zip(members, SPECS, strict=True)]
    torch.testing.assert_close(ours.logits, torch.stack([one.logits for one in theirs]).mean(dim=0))
    torch.testing.assert_close(ours.features, torch.cat([one.features for one in theirs], dim=1))
    assert ours.activation.shape == (2, 3, 6, 6)
    torch.testing.assert_close(ours.activation.mean(dim=(2, 3)) + network.head.bias, ours.logits)
    one, coarse, other = (answer.activation.numpy() for answer in theirs)
    assert coarse.shape == (2, 3, 4, 4)
    spread = area_average(4, 6)
    np.testing.assert_allclose(ours.activation, (one + spread @ coarse @ spread.T + other) / 3, atol=1e-5)


def _inputs(pictures: list[Radiograph], spec: InputSpec) -> torch.Tensor:
    return torch.from_numpy(np.stack([to_network_input(picture, spec) for picture in pictures]))


def trained_members(folder: Path) -> list[Trained]:
    """Results of trainings with other sizes and seeds, as they lie in their work folders."""
    found = []
    for position, spec in enumerate(SPECS[:2]):
        work = make_trained(folder / f"work{position}", side=spec.side, seed=position).folder
        torch.manual_seed(position)
        state = awake(build("benchmark-cnn", len(THREE)), spec.side).state_dict()
        save_file({k: v for k, v in state.items() if not k.endswith("tracked")}, work / "model.safetensors")
        shares = {finding.label: 0.1 * (position + 1) for finding in THREE}
        record = {"recipe": {"network": "benchmark-cnn", "stages": []}, "shares": shares, "data": nih.NAME}
        record |= {"images": 7, "patients": 5}
        record["input"] = {"side": spec.side, "mean": spec.mean, "std": spec.std}
        write_json(work / "train.json", record)
        found.append(read_trained(work))
    return found


def test_a_bundle_of_members_answers_as_they_do(tmp_path: Path) -> None:
    members = trained_members(tmp_path)
    (tmp_path / "joined").mkdir()
    joined = join(members, tmp_path / "joined")
    assert joined.architecture == "benchmark-cnn@96+benchmark-cnn@64"
    bundle = load_bundle(export(joined, tmp_path / "cxr"))
    assert bundle.input == InputSpec(96, 0.5, 0.25, (64,))
    assert [m.fitted_prevalence for m in bundle.calibration.maps.values()] == pytest.approx([0.15] * 3)
    picture = Radiograph(np.random.default_rng(5).random((130, 200), np.float32))
    image = to_network_input(picture, bundle.input)
    assert image.shape == (2, 96, 96)
    served, reference = (
        OnnxEngine(bundle.graph).run(image[np.newaxis]),
        TorchEngine(bundle, "cpu").run(image[np.newaxis]),
    )
    for one, other in zip(served, reference, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    alone = [load_bundle(export(one, tmp_path / f"cxr{k}")) for k, one in enumerate(members)]
    answers = [OnnxEngine(one.graph).run(to_network_input(picture, one.input)[np.newaxis]).logits for one in alone]
    assert np.abs(answers[0] - answers[1]).max() > 0.01  # so that the mean is another answer
    np.testing.assert_allclose(served.logits, np.mean(answers, axis=0), atol=1e-4)


def test_the_record_keeps_each_members_training(tmp_path: Path) -> None:
    (tmp_path / "joined").mkdir()
    joined = join(trained_members(tmp_path), tmp_path / "joined")
    assert joined.record["data"] == nih.NAME
    assert [one["input"]["side"] for one in joined.record["members"]] == [96, 64]  # type: ignore[attr-defined]
    assert set(load_file(joined.weights)) >= {"trunk.members.1.conv1.weight", "trunk.scale", "head.bias"}
