"""``calibrate --refit-head`` from end to end: the weights, both engines, the heatmaps and all later fits follow."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from candor.model.bundle import METADATA, WEIGHTS, load_bundle, load_model
from candor.model.onnx_engine import OnnxEngine
from candor.model.torch_engine import TorchEngine
from candor.study.errors import BundleError
from tests.nih import read_nih
from tests.training.conftest import DAY
from training.__main__ import EXIT_UNUSABLE, main
from training.calibration.write_head import shipped_head
from training.data.splits import Subset
from training.predictions.fold_heads import HEADS, logits_out_of_fold, refitted_to
from training.predictions.predict import predict
from training.predictions.table import predictions_of
from training.statistics.metrics import aucs


@pytest.fixture(scope="module")
def refitted(random_bundle: Path, mini_nih: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A bundle with random weights whose head was refitted, and what the command printed."""
    bundle = Path(shutil.copytree(random_bundle, tmp_path_factory.mktemp("head") / "cxr"))
    given = ["--bundle", str(bundle), "--data", str(mini_nih), "--date", DAY]
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("builtins.print", lambda *texts, **_: printed.append(" ".join(map(str, texts))))
        assert main(["calibrate", *given, "--refit-head"]) == 0
    assert main(["fit-gate", *given]) == 0
    return bundle, "\n".join(printed)


def test_the_head_finds_what_is_planted_and_the_bundle_loads(
    random_bundle: Path, refitted: tuple[Path, str], mini_nih: Path
) -> None:
    path, printed = refitted
    before, after = load_model(random_bundle), load_model(path)
    part = read_nih(mini_nih, after.findings).only(Subset.UNSEEN)
    predictions = predictions_of(after, part, part.source)
    shipped = predict(before, part)
    one, other = (
        aucs(predictions.labels, shipped.logits.astype(float))[0],
        aucs(predictions.labels, predictions.logits)[0],
    )
    assert np.nanmean(other) > np.nanmean(one) + 0.1
    facts: dict[str, Any] = json.loads((path / METADATA).read_text())["candor"]["head"]
    assert facts["data"] == part.source == refitted_to(after)
    assert (facts["images"], facts["date"]) == (len(part.images), DAY)
    for label in facts["findings"]:
        assert f"New head for {len(facts['findings'])} findings" in printed
        assert facts["findings"][label]["auc_refitted"] == pytest.approx(
            other[[f.label for f in after.findings].index(label)]
        )
    bundle = load_bundle(path)
    assert bundle.weights_sha256 != before.weights_sha256
    assert any(pair.lo is not None for pair in bundle.gate.thresholds.values())


def test_both_engines_and_the_heatmaps_use_the_new_head(refitted: tuple[Path, str], mini_nih: Path) -> None:
    model = load_model(refitted[0])
    part = read_nih(mini_nih, model.findings).only(Subset.VALIDATION)
    outputs = predict(model, part)
    images = np.random.default_rng(0).standard_normal((2, 1, model.input.side, model.input.side)).astype(np.float32)
    for one, other in zip(TorchEngine(model, "cpu").run(images), OnnxEngine(model.graph).run(images), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    weights = load_file(refitted[0] / WEIGHTS)
    expected = outputs.features @ weights["head.weight"].T + weights["head.bias"]
    np.testing.assert_allclose(outputs.logits, expected, atol=1e-4)
    mean = outputs.activation.mean(axis=(2, 3)) + weights["head.bias"]
    np.testing.assert_allclose(mean, outputs.logits, atol=1e-4)
    assert (logits_out_of_fold(model, part, outputs) != outputs.logits).any(axis=0)[:2].all()


def test_of_other_data_the_served_head_answers(refitted: tuple[Path, str], mini_nih: Path) -> None:
    model = load_model(refitted[0])
    part = replace(read_nih(mini_nih, model.findings).only(Subset.VALIDATION), source="elsewhere")
    outputs = predict(model, part)
    assert logits_out_of_fold(model, part, outputs) is outputs.logits


def test_the_shipped_head_is_kept_and_a_second_refit_starts_from_it(
    random_bundle: Path, refitted: tuple[Path, str], mini_nih: Path, tmp_path: Path
) -> None:
    original = load_file(random_bundle / WEIGHTS)
    weight, bias = shipped_head(load_model(refitted[0]))
    np.testing.assert_array_equal(weight, original["head.weight"])
    np.testing.assert_array_equal(bias, original["head.bias"])
    again = Path(shutil.copytree(refitted[0], tmp_path / "cxr"))
    given = ["--bundle", str(again), "--data", str(mini_nih), "--date", DAY]
    assert main(["calibrate", *given, "--refit-head"]) == 0
    for file in (WEIGHTS, HEADS):
        assert (again / file).read_bytes() == (refitted[0] / file).read_bytes()


def test_heads_of_another_bundle_are_refused(refitted: tuple[Path, str], tmp_path: Path) -> None:
    path = Path(shutil.copytree(refitted[0], tmp_path / "cxr"))
    (path / HEADS).write_bytes((path / HEADS).read_bytes()[:-1] + b"\x01")
    with pytest.raises(BundleError, match="heads_sha256"):
        refitted_to(load_model(path))


def test_scores_of_the_same_site_are_refused_and_a_refit_needs_pictures(
    refitted: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "scores.csv"
    labels = [finding.label for finding in load_model(refitted[0]).findings]
    columns = ["image", "patient", *labels, *(f"{label}_logit" for label in labels)]
    rows = [",".join([f"i{k}", f"p{k}", *["01"[k % 2]] * len(labels), *["0.5"] * len(labels)]) for k in range(9)]
    table.write_text("\n".join([",".join(columns), *rows]))
    given = ["--bundle", str(refitted[0]), "--predictions", str(table), "--site", "NIH ChestX-ray14"]
    assert main(["fit-gate", *given]) == EXIT_UNUSABLE
    assert (
        "was refitted to NIH ChestX-ray14, so its scores of the same patients look too good" in capsys.readouterr().err
    )
    assert main(["calibrate", *given, "--refit-head"]) == EXIT_UNUSABLE
    assert "--refit-head needs --data" in capsys.readouterr().err
