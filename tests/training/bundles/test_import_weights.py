"""Published weights answer here as they did there, and what cannot be taken over is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from candor.model.bundle import load_bundle
from candor.model.preprocess import InputSpec
from candor.model.torch_engine import build_network
from candor.study.errors import BundleError, DataError
from candor.study.findings import Finding
from tests.candor.model.networks.conftest import one_thread  # noqa: F401  # autouse
from tests.nih import write_label_table
from tests.training.published import chexnet_checkpoint, densenet121, logits, reproduced_chexnet
from training.__main__ import main as verbs
from training.bundles.export import export
from training.bundles.import_weights import import_weights, main
from training.bundles.layouts import LAYOUTS, our_name
from training.bundles.trained import Trained

XRAYVISION = LAYOUTS["torchxrayvision"].outputs
COLOURS = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, None, :, None, None]


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = tmp_path_factory.mktemp("labels") / "labels_all.csv.gz"
    write_label_table(table)
    return table


def grey(count: int = 2, side: int = 64) -> Tensor:
    """Pixels in [0, 1]."""
    return torch.rand((count, 1, side, side), generator=torch.Generator().manual_seed(9))


def ours(trained: Trained, pixels: Tensor) -> Tensor:
    network = build_network(trained.architecture, len(trained.shares), trained.weights).eval()
    with torch.inference_mode():
        return network((pixels - trained.input.mean) / trained.input.std)[0]


def saved(state: dict[str, Tensor], path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"epoch": 3, "state_dict": state, "best_loss": 0.1}, path)
    return path


@pytest.mark.parametrize(
    ("renamed", "file"), [(chexnet_checkpoint, "model.pth.tar"), (reproduced_chexnet, "chexnet.safetensors")]
)
def test_chexnet_answers_as_it_did(renamed, file: str, tmp_path: Path, labels: Path) -> None:
    state = densenet121(3, 14)
    inner = torch.zeros(7, 7)
    inner[3, 3] = 1  # a filter that looks at one pixel meets no padding, and so must agree exactly
    state["features.conv0.weight"] *= 7 * inner
    trained = import_weights(saved(renamed(state), tmp_path / file), tmp_path / "work", "chexnet", labels)
    assert trained.architecture == "densenet121"
    assert trained.input == InputSpec(224, 0.449, 0.226)
    assert list(trained.shares) == list(Finding)
    pixels = grey()
    torch.testing.assert_close(ours(trained, pixels), logits(state, (pixels - COLOURS[0]) / COLOURS[1]), **CLOSE)


CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def test_chexnets_first_layer_differs_at_the_border_alone(tmp_path: Path, labels: Path) -> None:
    state = densenet121(3, 14)
    source = saved(reproduced_chexnet(state), tmp_path / "a.safetensors")
    trained = import_weights(source, tmp_path / "work", "chexnet", labels)
    trunk = build_network("densenet121", 14, trained.weights).eval().trunk
    pixels = grey()
    with torch.inference_mode():
        given = trunk.get_submodule("features")[:2]((pixels - trained.input.mean) / trained.input.std)
        there = nn.functional.conv2d(
            (pixels - COLOURS[0]) / COLOURS[1], state["features.conv0.weight"], stride=2, padding=3
        )
        norm = [state[f"features.norm0.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        there = nn.functional.batch_norm(there, *norm)
    torch.testing.assert_close(given[..., 2:-2, 2:-2], there[..., 2:-2, 2:-2], **CLOSE)
    assert 1e-3 < (given - there).abs().max() < 1


def test_torchxrayvision_answers_as_it_did(tmp_path: Path, labels: Path) -> None:
    state = densenet121(1, 18)
    state["features.conv0.weight"] /= 1024
    source = saved(state | {"op_threshs": torch.rand(18)}, tmp_path / "xrv.safetensors")
    trained = import_weights(source, tmp_path / "work", "torchxrayvision", labels)
    assert trained.input == InputSpec(224, 0.5, 0.5)
    assert list(trained.shares) == list(Finding)
    pixels = grey()
    there = logits(state, (2 * pixels - 1) * 1024)
    expected = torch.stack([there[:, XRAYVISION.index(finding.label)] for finding in Finding], dim=1)
    torch.testing.assert_close(ours(trained, pixels), expected, **CLOSE)


def test_outputs_that_were_never_trained_are_left_out(tmp_path: Path, labels: Path) -> None:
    thresholds = torch.full((18,), torch.nan)
    thresholds[[8, 16]] = 0.13  # the RSNA challenge: pneumonia and lung opacity
    source = saved(densenet121(1, 18) | {"op_threshs": thresholds}, tmp_path / "rsna.safetensors")
    trained = import_weights(source, tmp_path / "work", "torchxrayvision", labels)
    assert list(trained.shares) == [Finding.PNEUMONIA]
    record = json.loads((tmp_path / "work" / "train.json").read_text())
    assert [name for name in record["imported"]["outputs"] if name] == ["Pneumonia", "Lung Opacity"]
    assert record["imported"]["layout"] == "torchxrayvision"
    assert len(record["imported"]["sha256"]) == 64


def test_named_outputs_replace_the_layouts(tmp_path: Path, labels: Path) -> None:
    source = saved(densenet121(3, 3), tmp_path / "three.pt")
    trained = import_weights(source, tmp_path / "work", "chexnet", labels, ["Edema", "Fracture", "Effusion"])
    assert list(trained.shares) == [Finding.EFFUSION, Finding.EDEMA]


def test_what_was_imported_can_be_exported(tmp_path: Path, labels: Path) -> None:
    source = saved(chexnet_checkpoint(densenet121(3, 14)), tmp_path / "model.pth.tar")
    bundle = load_bundle(export(import_weights(source, tmp_path / "work", "chexnet", labels), tmp_path / "cxr"))
    assert bundle.architecture == "densenet121"
    assert bundle.input.mean == 0.449
    assert "not known" in (bundle.root / "models" / "splits.json").read_text()


@pytest.mark.parametrize(
    ("theirs", "name"),
    [
        ("module.densenet121.features.conv0.weight", "trunk.features.conv0.weight"),
        (
            "module.densenet121.features.denseblock1.denselayer1.norm.1.weight",
            "trunk.features.denseblock1.denselayer1.layers.norm1.weight",
        ),
        (
            "features.denseblock4.denselayer16.conv2.weight",
            "trunk.features.denseblock4.denselayer16.layers.conv2.weight",
        ),
        ("model.features.transition3.norm.running_var", "trunk.features.transition3.norm.running_var"),
        ("module.densenet121.classifier.0.weight", "head.weight"),
        ("classifier.bias", "head.bias"),
        ("op_threshs", "op_threshs"),
    ],
)
def test_names_are_translated(theirs: str, name: str) -> None:
    assert our_name(theirs) == name


def test_a_pickled_model_is_refused_with_advice(tmp_path: Path, labels: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(BundleError, match=r"can run code when it is opened.*model.state_dict\(\) as .safetensors"):
        import_weights(tmp_path / "model.pt", tmp_path / "work", "chexnet", labels)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("file", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"\x80\x02nothing", b"PK\x03\x04 nothing"])
def test_a_file_that_is_no_weights_is_refused(file: str, content: bytes | None, tmp_path: Path, labels: Path) -> None:
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(BundleError, match=f"{file} cannot be read as weights"):
        import_weights(tmp_path / file, tmp_path / "work", "chexnet", labels)


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"epoch": 1}, torch.zeros(3)])
def test_a_file_without_named_tensors_is_refused(content: object, tmp_path: Path, labels: Path) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(BundleError, match="holds no tensors by name"):
        import_weights(tmp_path / "weights.pt", tmp_path / "work", "chexnet", labels)


def refused(state: dict[str, Tensor], tmp_path: Path, labels: Path, layout: str = "chexnet", **how: object) -> str:
    source = saved(state, tmp_path / "weights.safetensors")
    with pytest.raises((BundleError, DataError)) as raised:
        import_weights(source, tmp_path / "work", layout, labels, **how)
    assert not (tmp_path / "work").exists()
    return str(raised.value)


def test_what_does_not_fit_is_named(tmp_path: Path, labels: Path) -> None:
    whole = densenet121(3, 14)
    without = {k: v for k, v in whole.items() if k != "features.norm5.bias"}
    assert "trunk.features.norm5.bias is on one side only" in refused(without, tmp_path, labels)
    assert "trunk.features.extra is on one side" in refused(
        whole | {"features.extra": torch.zeros(1)}, tmp_path, labels
    )
    twice = whole | {"module.features.norm5.bias": torch.zeros(1024)}
    assert "a tensor under two names" in refused(twice, tmp_path, labels)
    assert "no first layer of 3 channels" in refused(densenet121(1, 14), tmp_path, labels)
    assert "no first layer of 1 channels" in refused(
        whole, tmp_path, labels, "torchxrayvision", outputs=LAYOUTS["chexnet"].outputs
    )


def test_outputs_without_names_are_not_guessed(tmp_path: Path, labels: Path) -> None:
    assert "'keras' is unknown; known are chexnet, torchx" in refused(densenet121(3, 1), tmp_path, labels, "keras")
    assert "18 outputs, and there are 14 names" in refused(densenet121(3, 18), tmp_path, labels)
    assert "0 outputs, and there are 14 names" in refused({"a": torch.zeros(1)}, tmp_path, labels)
    message = refused(densenet121(1, 18), tmp_path, labels, "torchxrayvision")
    assert "no op_threshs, which say what outputs were trained" in message
    assert "unknown finding 'Gout'" in refused(densenet121(3, 1), tmp_path, labels, outputs=["Gout"])
    for names in (["", "Fracture"], ["Edema", "Edema"]):
        assert "name each finding once" in refused(densenet121(3, 2), tmp_path, labels, outputs=names)


def test_the_command_says_where_the_weights_are(
    tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(densenet121(3, 2), tmp_path / "two.safetensors")
    given = [str(source), "--layout", "chexnet", "--labels", str(labels), "--work", str(tmp_path / "work")]
    assert main([*given, "--outputs", "Mass,Nodule"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "work" / "model.safetensors")
    assert main(given) == 2
    assert capsys.readouterr().err.startswith("training.bundles.import_weights: the weights have 2 outputs")


def test_the_verb_is_the_command(tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = saved(densenet121(3, 2), tmp_path / "two.safetensors")
    given = ["import-weights", str(source), "--layout", "chexnet", "--labels", str(labels), "--work", str(tmp_path)]
    assert verbs([*given, "--outputs", "Mass,Nodule"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "model.safetensors")
    assert verbs(given) == 2
    assert capsys.readouterr().err.startswith("training: the weights have 2 outputs")
