"""``candor.assess``: the same answers as a run over the folder, typed, and nothing written that nobody asked for."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

import candor
from candor.settings import Settings
from candor.study.errors import BundleError, CandorError, InputError, OutputError, SettingsError
from candor.study.reasons import Reason
from candor.study.result import Decision, Disposition
from tests.bundles import make_bundle
from tests.conftest import ROOT
from tests.factory import radiograph_dataset


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("models") / "cxr")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two studies, the second a lateral view alone, and a letter."""
    path = tmp_path / "in"
    path.mkdir()
    radiograph_dataset().save_as(path / "a.dcm", enforce_file_format=True)
    other = radiograph_dataset(seed="1", view="LL", StudyInstanceUID="2.25.999999999999999999999999999999999999999")
    other.save_as(path / "b.dcm", enforce_file_format=True)
    (path / "letter.txt").write_text("Dear colleague")
    return path


def test_the_results_are_those_of_a_run(folder: Path, bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    results = candor.assess(folder, bundle=bundle, output=output)
    index = json.loads((output / "results.json").read_text())
    stray, *studies = results
    assert [result.study_instance_uid for result in studies] == [s["study_instance_uid"] for s in index["studies"]]
    for result, study in zip(studies, index["studies"], strict=True):
        assert result.disposition.value == study["disposition"]
        assert {finding.label: decision.value for finding, decision in result.decisions.items()} == study["findings"]
        assert [str(path.relative_to(output)) for path in result.objects] == [each["file"] for each in study["objects"]]
        assert all(path.is_file() for path in result.objects)
        for image, written in zip(result.images, study["images"], strict=True):
            assert image.name == written["name"]
            np.testing.assert_allclose(image.logits, [f["logit"] for f in written["findings"]], atol=1e-6)
            np.testing.assert_allclose(image.probabilities, [f["probability"] for f in written["findings"]], atol=1e-6)
            assert [f.decision.value for f in image.findings] == [f["decision"] for f in written["findings"]]
            assert all(f.heatmap.grid.ndim == 2 for f in image.findings)
    assert stray.study_instance_uid == ""
    assert [(file.name, file.note.reason) for file in stray.refused] == [("letter.txt", Reason.UNREADABLE)]
    assert stray.disposition is Disposition.NOT_ASSESSED
    assert stray.decisions == {}
    (lateral,) = [file for result in studies for file in result.refused]
    assert lateral.name == "b.dcm"
    assert lateral.note.text
    assert all(result.notice == candor.RESEARCH_USE for result in results)
    assert {decision for result in studies for decision in result.decisions.values()} <= set(Decision)


def test_nothing_is_written_that_nobody_asked_for(
    folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, here = tmp_path / "scratch", tmp_path / "here"
    scratch.mkdir()
    here.mkdir()
    monkeypatch.setattr("candor.assessment.TemporaryDirectory", lambda: nullcontext(str(scratch)))  # it stays
    monkeypatch.chdir(here)
    before = sorted(folder.rglob("*"))
    results = candor.assess(folder, bundle=bundle)
    assert len(results) == 3
    assert all(result.objects == () and result.failure is None for result in results)
    assert list(scratch.rglob("*")) == list(here.rglob("*")) == []
    assert sorted(folder.rglob("*")) == before


def test_settings_may_be_given(folder: Path, bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text("candor:\n  objects: [sr]\n")
    for number, settings in enumerate((Settings(objects=("sr",)), file, str(file))):
        results = candor.assess(str(folder), bundle=str(bundle), settings=settings, output=tmp_path / str(number))
        assert {path.name for result in results for path in result.objects} == {"sr.dcm"}


def test_what_cannot_be_used_is_an_error_of_candor(folder: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a folder"):
        candor.assess(tmp_path / "nowhere", bundle=bundle)
    with pytest.raises(BundleError, match="is not a folder"):
        candor.assess(folder, bundle=tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="cannot be read"):
        candor.assess(folder, bundle=bundle, settings=tmp_path / "nowhere.yaml")
    with pytest.raises(OutputError, match="cannot be written"):
        candor.assess(folder, bundle=bundle, output=tmp_path / "file" / "out")


def test_an_index_that_cannot_be_written_is_an_error_of_candor(
    folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("operators.write.result_sink.write_index", full)
    with pytest.raises(CandorError, match="the assessment was not completed: No space left on device"):
        candor.assess(folder, bundle=bundle, output=tmp_path / "out")


def test_a_process_needs_neither_the_sdk_nor_torch_and_keeps_its_environment(folder: Path, bundle: Path) -> None:
    probe = f"""
import os, sys
import candor
assert not {{"numpy", "pydicom", "app"}} & set(sys.modules), "importing candor is not cheap"
candor.assess({str(folder)!r}, bundle={str(bundle)!r})
assert not {{"torch", "monai", "holoscan"}} & set(sys.modules)
assert "CANDOR_RUNNER" not in os.environ
print("done")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", probe], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_the_public_names_are_those_of_the_stub() -> None:
    stub = ast.parse((ROOT / "candor" / "__init__.pyi").read_text())
    (listed,) = [ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign)]
    assert listed == candor.__all__
    assert all(getattr(candor, name) is not None for name in candor.__all__)
    assert candor.load_bundle(ROOT / "models" / "cxr").name
    with pytest.raises(AttributeError, match="no attribute 'diagnose'"):
        candor.diagnose  # type: ignore[attr-defined]  # noqa: B018
