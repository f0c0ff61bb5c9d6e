"""Exporting: a whole bundle or none, one copy of the weights, and configs that MONAI understands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from safetensors.numpy import load_file, save_file

from candor.model.bundle import CALIBRATION, GATE, GRAPH, METADATA, WEIGHTS, load_bundle, load_model
from candor.model.networks.registry import NETWORKS
from candor.model.onnx_engine import OnnxEngine
from candor.study.errors import BundleError, DataError, OutputError
from tests.bundles import THREE, make_trained
from tests.nih import read_nih
from training.bundles import onnx_export as graph_module
from training.bundles.export import export
from training.bundles.metadata import TEMPLATE
from training.bundles.onnx_export import PREFIX, tensor_extents, write_graph
from training.bundles.trained import read_trained
from training.learn.recipe import Recipe
from training.predictions.predict import predict


def test_a_new_bundle_defers_everything(tmp_path: Path) -> None:
    bundle = load_bundle(export(make_trained(tmp_path / "work"), tmp_path / "models" / "cxr"))
    assert bundle.findings == THREE
    assert all(pair.lo is pair.hi is None for pair in bundle.gate.thresholds.values())
    assert bundle.calibration.probabilities(np.zeros((1, 3), np.float32)) == pytest.approx(0.5)
    assert "not fitted" in bundle.gate.description
    assert "not calibrated" in bundle.calibration.description
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["cxr"]


def test_the_graph_holds_no_weights_of_its_own(random_bundle: Path, tmp_path: Path) -> None:
    weights = load_file(random_bundle / WEIGHTS)
    extents = tensor_extents(random_bundle / WEIGHTS)
    content = (random_bundle / WEIGHTS).read_bytes()
    model = onnx.load(random_bundle / GRAPH, load_external_data=False)
    assert model.graph.initializer
    for tensor in model.graph.initializer:
        assert not tensor.raw_data
        external = {entry.key: entry.value for entry in tensor.external_data}
        assert external["location"] == "model.safetensors"
        start = int(external["offset"])
        stored = np.frombuffer(content[start : start + int(external["length"])], np.float32)
        name = tensor.name.removeprefix(PREFIX)
        assert np.array_equal(stored, weights[name].ravel())
        assert extents[name].offset == start


def test_the_graph_answers_as_a_normal_export(random_bundle: Path, tmp_path: Path) -> None:
    model = onnx.load(random_bundle / GRAPH)
    normal = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).standard_normal((3, 1, 64, 64), np.float32)
    expected = normal.run(["logits", "activation", "features"], {"image": images})
    for one, other in zip(OnnxEngine(random_bundle / GRAPH).run(images), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=3e-7, rtol=0)


def test_the_graph_names_no_path_of_the_exporting_machine(random_bundle: Path) -> None:
    assert b"/" + Path(__file__).parts[1].encode() + b"/" not in (random_bundle / GRAPH).read_bytes()


def test_the_same_weights_make_the_same_bundle(tmp_path: Path) -> None:
    trained = make_trained(tmp_path / "work")
    one, other = export(trained, tmp_path / "one"), export(trained, tmp_path / "other")
    assert load_bundle(one).sha256 == load_bundle(other).sha256


def test_an_old_bundle_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    first = load_bundle(export(make_trained(tmp_path / "work"), tmp_path / "cxr"))
    (tmp_path / "cxr" / "left over").touch()
    second = load_bundle(export(make_trained(tmp_path / "again", seed=1), tmp_path / "cxr"))
    assert first.weights_sha256 != second.weights_sha256
    assert not (tmp_path / "cxr" / "left over").exists()
    (tmp_path / "papers").mkdir()
    with pytest.raises(OutputError, match=r"papers is not a bundle, so it is not replaced"):
        export(make_trained(tmp_path / "third"), tmp_path / "papers")


def test_engines_that_differ_leave_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = load_bundle(export(make_trained(tmp_path / "work"), tmp_path / "cxr")).sha256
    monkeypatch.setattr(graph_module, "compare_engines", lambda *_: (float("nan"), (2, 2)))
    with pytest.raises(BundleError, match=r"model.onnx differs from torch by nan, more than 0.0001; not exported"):
        export(make_trained(tmp_path / "again", seed=1), tmp_path / "cxr")
    assert load_bundle(tmp_path / "cxr").sha256 == old
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_graph_of_other_weights_is_not_written(tmp_path: Path) -> None:
    trained = make_trained(tmp_path / "work")
    torch.manual_seed(9)
    with pytest.raises(BundleError, match=r"the graph's tensor .* is not that of model.safetensors"):
        write_graph(NETWORKS["benchmark-cnn"](3), trained.input, trained.weights, tmp_path / "work" / "model.onnx")


def _remove(name: str) -> Callable[[Path], object]:
    return lambda work: (work / name).unlink()


def _damage(work: Path) -> None:
    save_file({"head.bias": np.zeros(3, np.float32)}, work / "model.safetensors")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_remove("model.safetensors"), r"model.safetensors is not there; train again"),
        (_remove("splits.json"), r"splits.json is not there; train again"),
        (_damage, r"does not fit benchmark-cnn with 3 findings"),
    ],
)
def test_an_incomplete_training_is_not_exported(tmp_path: Path, harm: Callable[[Path], object], message: str) -> None:
    trained = make_trained(tmp_path / "work")
    harm(tmp_path / "work")
    with pytest.raises(BundleError, match=message):
        export(trained, tmp_path / "cxr")
    assert not (tmp_path / "cxr").exists()


RECORD = {
    "recipe": {"network": "benchmark-cnn"},
    "input": {"side": 64, "mean": 0.5, "std": 0.2},
    "shares": {"Mass": 0.1},
}


def test_the_record_of_the_training_is_read(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps(RECORD))
    trained = read_trained(tmp_path)
    assert trained.input.side == 64
    assert {finding.label: share for finding, share in trained.shares.items()} == {"Mass": 0.1}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"shares": {"Headache": 0.1}}, DataError, r"unknown finding 'Headache'"),
        ({"shares": {"Mass": 0}}, BundleError, r"shares.Mass is 0; it must be at least 0.000001; train again"),
        ({"input": {"side": 64}}, BundleError, r"input.mean is missing; .*; train again"),
        ({"recipe": {}}, BundleError, r"recipe.network is missing; train again"),
    ],
)
def test_a_record_that_lacks_something_is_refused(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    (tmp_path / "train.json").write_text(json.dumps(RECORD | change))
    with pytest.raises(error, match=message):
        read_trained(tmp_path)


def test_the_metadata_has_what_monais_schema_asks_for(random_bundle: Path) -> None:
    metadata = json.loads((random_bundle / METADATA).read_text())
    required = "version changelog monai_version pytorch_version numpy_version required_packages_version task"
    for key in (*required.split(), "description", "authors", "copyright", "network_data_format", "schema", "name"):
        assert metadata[key], key
    assert metadata["version"] in metadata["changelog"]
    data_format = metadata["network_data_format"]
    for part in (*data_format["inputs"].values(), *data_format["outputs"].values()):
        for key in ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range", "is_patch_data"):
            assert key in part
    outputs = data_format["outputs"]
    for part in (data_format["inputs"]["image"], outputs["pred"], outputs["activation"]):
        assert len(part["channel_def"]) == part["num_channels"]
    assert outputs["features"]["num_channels"] == 32
    assert outputs["activation"]["spatial_shape"] == [4, 4]
    assert (random_bundle / "LICENSE").read_text().lstrip().startswith("Apache License")


def test_monai_finds_the_network_to_be_as_the_metadata_says(random_bundle: Path) -> None:
    monai.bundle.verify_net_in_out(
        net_id="network_def",
        meta_file=str(random_bundle / METADATA),
        config_file=str(random_bundle / "configs" / "inference.yaml"),
        device="cpu",
        bundle_root=str(random_bundle),
    )


def test_monai_runs_the_inference_as_the_application_would(random_bundle: Path, mini_nih: Path, tmp_path: Path) -> None:
    monai.bundle.run(
        config_file=str(random_bundle / "configs" / "inference.yaml"),
        bundle_root=str(random_bundle),
        dataset_dir=str(mini_nih / "images"),
        output_dir=str(tmp_path),
    )
    header, *rows = [line.split(",") for line in (tmp_path / "predictions.csv").read_text().splitlines()]
    assert header[:-1] == ["image", *(finding.label for finding in THREE)]
    dataset = read_nih(mini_nih)
    bundle = load_bundle(random_bundle)
    expected = bundle.calibration.probabilities(predict(load_model(random_bundle), dataset).logits)
    by_name = {image.path.name: row for image, row in zip(dataset.images, expected, strict=True)}
    assert len(rows) == len(by_name)
    for name, *values in rows:
        assert [float(value) for value in values[:3]] == pytest.approx(by_name[name], abs=1e-5)


def test_monai_refuses_a_folder_without_pictures(random_bundle: Path, tmp_path: Path) -> None:
    config = monai.bundle.ConfigParser()
    config.read_config(str(random_bundle / "configs" / "inference.yaml"))
    config["dataset_dir"] = str(tmp_path)
    with pytest.raises(RuntimeError) as caught:
        config.get_parsed_content("dataset")
    assert isinstance(caught.value.__cause__, DataError)


def test_the_training_config_is_the_default_recipe() -> None:
    config = monai.bundle.ConfigParser()
    config.read_config(str(TEMPLATE / "configs" / "train.yaml"))
    assert config.get_parsed_content("recipe") == Recipe()


def test_every_config_parses_and_the_bundle_has_them(random_bundle: Path) -> None:
    names = {path.name for path in (TEMPLATE / "configs").glob("*.yaml")}
    assert names <= {path.name for path in (random_bundle / "configs").iterdir()}
    for name in names:
        assert "run" in yaml.safe_load((random_bundle / "configs" / name).read_text())


def test_a_bundle_stays_usable_after_a_move(random_bundle: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(random_bundle, tmp_path / "elsewhere"))
    bundle = load_bundle(moved)
    assert OnnxEngine(bundle.graph).run(np.zeros((1, 1, 64, 64), np.float32))[0].shape == (1, 3)
    assert bundle.sha256 == load_bundle(random_bundle).sha256
    assert {CALIBRATION.name, GATE.name} <= {path.name for path in (moved / "models").iterdir()}
