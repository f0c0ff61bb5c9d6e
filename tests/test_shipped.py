"""The shipped bundle and real radiographs, through the whole application."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from app import ResidentApplication
from candor.dicom.check.templates import missing_rows
from candor.dicom.read.file import read_pixels
from candor.model.bundle import METADATA, Bundle, find_bundle, load_bundle
from candor.model.onnx_engine import OnnxEngine
from candor.model.preprocess import to_network_input
from candor.model.torch_engine import TorchEngine
from candor.settings import Settings
from candor.study.findings import Finding
from candor.study.result_object import KINDS
from operators.graph.jobs import Job, JobResult
from tests.conftest import ROOT
from tests.validators import pixelmed_errors, skip_without_validators, validation_errors
from training.bundles.provenance import references, run_in_words, runs, weights_licence
from training.cli.configuration import configured, content

ASSESSED = {
    "DIAGNijmegen__cxr.dcm",
    "Enet4__RG1_J2KI.dcm",
    "Enet4__RG1_JLSN",
    "Spoksonat__cxr.dcm",
    "pydicom__966_fixed.dcm",
    "pydicom__JPEG2KLossless_1s_1f_u_16_16.dcm",
    "pypi_pydicom_data__RG1_J2KR.dcm",
}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(find_bundle(ROOT / "models"))


@pytest.fixture(scope="module")
def result(chest_dicom: Path, tmp_path_factory: pytest.TempPathFactory) -> JobResult:
    output = tmp_path_factory.mktemp("out")
    everything = Settings(objects=KINDS, flag_deferrals=True)
    with ResidentApplication(ROOT / "models", everything) as application:
        return application.submit(Job(chest_dicom, output)).result(timeout=120)


def test_the_shipped_bundle_serves_all_findings_and_fits_into_git(bundle: Bundle) -> None:
    assert bundle.findings == tuple(Finding)
    assert sum(path.stat().st_size for path in bundle.root.rglob("*") if path.is_file()) < 30e6


@pytest.mark.parametrize(
    "page",
    ["docs/evidence.md", "docs/evidence-checks.md", "models/cxr/docs/README.md", "models/cxr/docs/evaluation.md"],
)
def test_a_page_of_figures_names_the_shipped_bundle(page: str, bundle: Bundle) -> None:
    named = re.findall(r"[Bb]undle (?:SHA-256 )?([0-9a-f]{12,64})\b", (ROOT / page).read_text())
    assert named, f"{page} names no bundle"
    assert [sha256 for sha256 in named if not bundle.sha256.startswith(sha256)] == []


def test_the_recipes_are_those_that_made_the_weights(bundle: Bundle) -> None:
    record = json.loads((bundle.root / METADATA).read_text())["candor"]["training"]
    written = sorted((bundle.root / "configs").glob("train*.yaml"), key=lambda path: (len(path.name), path.name))
    made = [configured(path, {}) for path in written]
    assert [content(parser, "recipe").network for parser in made] == [run["recipe"]["network"] for run in runs(record)]
    for parser, run in zip(made, runs(record), strict=True):
        stages = [(stage.side, stage.epochs, stage.peak_learning_rate) for stage in content(parser, "recipe").stages]
        assert stages == [(s["side"], s["epochs"], s["peak_learning_rate"]) for s in run["recipe"]["stages"]]
        assert content(parser, "recipe").seed == run["recipe"]["seed"]


def test_the_metadata_are_of_this_network(bundle: Bundle) -> None:
    metadata = json.loads((bundle.root / METADATA).read_text())
    record = metadata["candor"]["training"]
    assert metadata["references"] == list(references(record))
    assert metadata["weights_license"].startswith(weights_licence(record))
    assert metadata["changelog"][metadata["version"]] == "; ".join(map(run_in_words, runs(record)))


def test_the_engines_agree_on_a_real_radiograph(bundle: Bundle) -> None:
    sample = get_testdata_file("RG1_UNCI.dcm", download=False)
    assert isinstance(sample, str)
    image = to_network_input(read_pixels(Path(sample)).radiograph, bundle.input)[np.newaxis]
    served, reference = OnnxEngine(bundle.graph).run(image), TorchEngine(bundle, device="cpu").run(image)
    np.testing.assert_allclose(served.logits, reference.logits, atol=1e-4)
    np.testing.assert_allclose(served.activation, reference.activation, atol=1e-3)
    np.testing.assert_allclose(served.features, reference.features, atol=1e-4)


def test_every_real_file_is_accounted_for(result: JobResult, chest_dicom: Path) -> None:
    index = json.loads(result.index.read_text())
    outcomes = {entry["name"]: entry["outcome"] for entry in index["files"]}
    assert set(outcomes) == {path.name for path in chest_dicom.iterdir()}
    assert {name for name, outcome in outcomes.items() if outcome == "assessed"} == ASSESSED
    assert outcomes["pypi_pydicom_data__RG1_UNCI.dcm"] == "duplicate"
    assert all(entry["reason"] for entry in index["files"] if entry["outcome"] != "assessed")
    assert all(study["objects"][0]["kind"] == "sr" for study in index["studies"])
    assert not result.failures


def test_no_report_of_a_real_study_lacks_a_mandatory_row(result: JobResult) -> None:
    reports = [case.output / "sr.dcm" for case in result.cases if case.study_instance_uid]
    assert len(reports) == 8
    for report in reports:
        assert missing_rows(dcmread(report)) == []


def test_every_object_of_a_real_study_passes_the_validators(result: JobResult) -> None:
    skip_without_validators()
    written = [result.index.parent / each.file for case in result.cases for each in case.written]
    assessed = sum(image.assessed for case in result.cases for image in case.images)
    kinds = Counter(each.kind for case in result.cases for each in case.written)
    assert kinds == {"sr": 8, "sc": 20, "pm": assessed, "ko": 5}  # the model says of nothing here that it is present
    assert validation_errors(written) == []


@pytest.mark.full
def test_every_report_of_a_real_study_passes_pixelmed(result: JobResult) -> None:
    skip_without_validators()
    assert pixelmed_errors([case.output / "sr.dcm" for case in result.cases if case.study_instance_uid]) == []
