"""Members of one bundle must fit each other, and its weights become as small as is asked, or it is not made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from candor.model.bundle import WEIGHTS, load_bundle
from candor.model.onnx_engine import OnnxEngine
from candor.model.torch_engine import TorchEngine
from candor.study.errors import BundleError
from candor.study.findings import Finding
from tests.bundles import make_trained
from tests.candor.model.networks.test_ensemble import trained_members
from training.__main__ import main
from training.bundles import half as half_module
from training.bundles.export import export
from training.bundles.half import Smaller, largest_tensors
from training.bundles.members import join
from training.bundles.metadata import SPLITS
from training.bundles.trained import read_trained
from training.records import write_json


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of pictures to compare on."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(3):
        cv2.imwrite(str(folder / f"{k}.png"), np.random.default_rng(k).integers(0, 255, (110, 120), np.uint8))
    return folder


def test_the_verb_makes_one_bundle_of_several_trainings(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = [str(one.folder) for one in trained_members(tmp_path)]
    whole, small = tmp_path / "whole", tmp_path / "small"
    assert main(["export", "--members", *members, "--bundle", str(whole)]) == 0
    size = sum(4 * t.numel() for t in load_file(whole / WEIGHTS).values())
    most = str(0.9 * size / 1e6)
    assert main(["export", "--members", *members, "--bundle", str(small), "--most-mb", most]) != 0
    assert "--most-mb and --pictures belong together" in capsys.readouterr().err
    command = ["export", "--members", *members, "--bundle", str(small), "--most-mb", most, "--pictures", str(pictures)]
    assert main(command) == 0
    assert "1 tensors in half precision; logits of 3 pictures change by" in capsys.readouterr().err
    stored = {name: t.dtype for name, t in load_file(small / WEIGHTS).items()}
    assert [name for name, kind in stored.items() if kind == torch.float16] == ["trunk.members.0.conv2.weight"]
    bundle = load_bundle(small)
    images = np.random.default_rng(0).standard_normal((2, 2, 96, 96), np.float32)
    for one, other in zip(OnnxEngine(bundle.graph).run(images), TorchEngine(bundle, "cpu").run(images), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-4)
    full = OnnxEngine(load_bundle(whole).graph).run(images).logits
    assert 0 < np.abs(full - OnnxEngine(bundle.graph).run(images).logits).max() < 1e-2


def test_a_bundle_reads_pictures_of_the_detail_that_export_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, bundle = str(trained_members(tmp_path)[0].folder), tmp_path / "bundle"
    assert main(["export", "--work", folder, "--bundle", str(bundle), "--detail", "32"]) == 0
    assert load_bundle(bundle).input.detail == 32
    assert main(["export", "--work", folder, "--bundle", str(bundle), "--detail", "8"]) != 0
    assert "detail is 8; give 16 to " in capsys.readouterr().err


def test_as_few_tensors_as_needed_are_halved_the_largest_first() -> None:
    state = {"small": torch.zeros(10), "large": torch.zeros(100), "middle": torch.zeros(50)}
    assert largest_tensors(state, 640) == set()
    assert largest_tensors(state, 639) == {"large"}
    assert largest_tensors(state, 439) == {"large", "middle"}
    assert largest_tensors(state, 320) == {"large", "middle", "small"}
    with pytest.raises(BundleError, match=r"take 0.0 MB in half precision, over 0.000319 MB"):
        largest_tensors(state, 319)


def test_weights_that_half_precision_changes_too_much_are_not_exported(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(half_module, "HALF_TOLERANCE", 1e-9)
    trained = trained_members(tmp_path)[0]
    before = trained.weights.read_bytes()
    with pytest.raises(BundleError, match=r"99% of the logits change by up to .*, more than 1e-09; allow more MB"):
        export(trained, tmp_path / "cxr", Smaller(0.03, pictures))
    assert not (tmp_path / "cxr").exists()
    assert trained.weights.read_bytes() == before


def test_small_weights_stay_as_they_are(tmp_path: Path) -> None:
    trained = trained_members(tmp_path)[0]
    bundle = export(trained, tmp_path / "cxr", Smaller(24, tmp_path / "no such folder"))
    assert (bundle / WEIGHTS).read_bytes() == trained.weights.read_bytes()


def test_members_of_other_patients_are_listed_together(tmp_path: Path) -> None:
    members = trained_members(tmp_path)
    for member, patients in zip(
        members, ({"train": ["1"], "unseen": ["9"]}, {"train": ["2"], "unseen": []}), strict=True
    ):
        write_json(member.folder / "splits.json", {"rule": "by hash", "patients": patients})
    (tmp_path / "joined").mkdir()
    bundle = export(join(members, tmp_path / "joined"), tmp_path / "cxr")
    listed = json.loads((bundle / SPLITS).read_text())
    assert listed == {"rule": "by hash", "patients": {"train": ["1", "2"], "unseen": ["9"]}}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"rule": "by hash", "patients": {"unseen": ["1"]}}, r"has a patient in unseen who is in train elsewhere"),
        ({"rule": "by list", "patients": {}}, r"divides patients by another rule"),
    ],
)
def test_members_must_agree_about_the_patients(tmp_path: Path, other: dict[str, object], message: str) -> None:
    members = trained_members(tmp_path)
    write_json(members[0].folder / "splits.json", {"rule": "by hash", "patients": {"train": ["1"]}})
    write_json(members[1].folder / "splits.json", other)
    (tmp_path / "joined").mkdir()
    with pytest.raises(BundleError, match=message):
        join(members, tmp_path / "joined")


def test_members_must_find_the_same_and_have_linear_heads(tmp_path: Path) -> None:
    one, _ = trained_members(tmp_path)
    (tmp_path / "joined").mkdir()
    fewer = make_trained(tmp_path / "fewer", [Finding.MASS])
    with pytest.raises(BundleError, match=r"have other findings; train all members on the same data"):
        join([one, fewer], tmp_path / "joined")
    elsewhere = replace(one, record={**one.record, "data": "clinic.csv"})
    with pytest.raises(BundleError, match=r"were trained on other data; train all members on the same data"):
        join([one, elsewhere], tmp_path / "joined")
    headed = make_trained(tmp_path / "headed", architecture="benchmark-cnn/conv64")
    with pytest.raises(BundleError, match=r"holds benchmark-cnn/conv64; members are trunks with a linear head"):
        join([headed, one], tmp_path / "joined")
    (one.folder / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"model.safetensors cannot be read .*; train again"):
        join([read_trained(one.folder)], tmp_path / "joined")
