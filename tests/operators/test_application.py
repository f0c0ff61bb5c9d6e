"""The whole path, resident, over a small bundle: what becomes of studies, good and bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from highdicom.sc import SCImage
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, JPEG2000Lossless, JPEGLSLossless, RLELossless

from app import ResidentApplication, effective_calibration, effective_gate
from candor.decide.calibration import log_odds
from candor.dicom.shared.file import write
from candor.dicom.write.overlay import build_overlay
from candor.files.privacy import Unexpected
from candor.model.bundle import load_bundle
from candor.model.onnx_engine import OnnxEngine
from candor.model.outputs import Outputs
from candor.settings import Settings
from candor.study.case import Case, CaseImage
from candor.study.errors import InputError
from candor.study.findings import Finding
from candor.study.provenance import ForeignFit
from candor.study.reasons import Reason
from candor.study.result import Decision, Disposition, FindingResult, Note
from operators.graph.jobs import Job
from tests.factory import chest_like, radiograph_dataset
from tests.operators.conftest import Run, run_job, save


def index(result: object) -> dict[str, object]:
    return json.loads(result.index.read_text())  # type: ignore[attr-defined]


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def logits(result: object) -> np.ndarray:
    return result.cases[0].images[0].logits  # type: ignore[attr-defined]


def test_a_study_gets_a_report_and_its_overlays(run: Run) -> None:
    result = run(radiograph_dataset())
    (case,) = result.cases
    assert case.failure is None
    assert [(written.kind, written.finding) for written in case.written] == [
        ("sr", None),
        ("sc", Finding.CARDIOMEGALY),
        ("sc", Finding.EFFUSION),
        ("gsps", None),
        ("ko", None),
    ]
    assert [result.decision for result in case.images[0].results] == [
        Decision.PRESENT,
        Decision.DEFERRED,
        Decision.ABSENT,
    ]
    for written in case.written:
        stored = dcmread(result.index.parent / written.file)
        assert stored.SOPInstanceUID == written.sop_instance_uid
        assert stored.SOPClassUID == written.sop_class_uid
        assert stored.SeriesInstanceUID == written.series_instance_uid
        assert stored.StudyInstanceUID == case.study_instance_uid


def test_the_index_accounts_for_every_file(run: Run) -> None:
    lateral = radiograph_dataset(view="LL", seed="1", study="0")
    result = run(radiograph_dataset(), lateral, radiograph_dataset(SOPClassUID=CTImageStorage, seed="2"))
    entries = {entry["name"]: entry for entry in index(result)["files"]}  # type: ignore[index, attr-defined]
    assert set(entries) == {"000.dcm", "001.dcm", "002.dcm"}
    assert entries["000.dcm"]["outcome"] == "assessed"
    assert entries["001.dcm"]["reason"]["code"] == Reason.NOT_FRONTAL.code
    assert entries["002.dcm"]["reason"]["code"] == Reason.NOT_RADIOGRAPHY.code
    assert len(index(result)["studies"]) == 2  # type: ignore[arg-type]


def test_a_study_without_an_assessable_image_still_gets_a_report(run: Run) -> None:
    result = run(radiograph_dataset(view="LL"))
    assert result.cases[0].disposition is Disposition.NOT_ASSESSED
    assert [written.kind for written in result.cases[0].written] == ["sr"]


def test_several_frontal_images_of_a_study_are_all_assessed(run: Run) -> None:
    twins = [radiograph_dataset(chest_like(seed=n), seed=str(n), study="s") for n in range(11)]
    result = run(*twins)
    assert all(image.results for image in result.cases[0].images)
    overlays = [written.finding for written in result.cases[0].written if written.kind == "sc"]
    assert overlays == [Finding.CARDIOMEGALY] * 4


@pytest.mark.parametrize("kind", ["DX", "CR"])
def test_polarity_twins_give_the_same_logits(run: Run, kind: str) -> None:
    bright = run(radiograph_dataset(kind=kind), name="mono2")
    dark = run(radiograph_dataset(kind=kind, monochrome1=True), name="mono1")
    np.testing.assert_allclose(logits(bright), logits(dark), atol=1e-3)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_lossless_syntaxes_give_the_same_logits_and_the_same_uids(run: Run, syntax: str) -> None:
    plain, packed = radiograph_dataset(), radiograph_dataset()
    packed.compress(syntax, generate_instance_uid=False)
    first, second = run(plain, name="plain"), run(packed, name="packed")
    np.testing.assert_array_equal(logits(first), logits(second))
    assert [w.sop_instance_uid for w in first.cases[0].written] == [w.sop_instance_uid for w in second.cases[0].written]


def test_a_second_run_writes_the_same_bytes(run: Run) -> None:
    datasets = (radiograph_dataset(), radiograph_dataset(view="LL", seed="1", study="0"))
    first, second = run(*datasets, name="first"), run(*datasets, name="second")
    assert files_below(first.index.parent) == files_below(second.index.parent)
    assert len(files_below(first.index.parent)) >= 2


def test_a_rerun_into_the_same_folder_replaces_the_results(run: Run) -> None:
    first = files_below(run(radiograph_dataset()).index.parent)
    assert files_below(run(radiograph_dataset()).index.parent) == first


def test_changed_pixels_change_every_uid(run: Run) -> None:
    first = run(radiograph_dataset(), name="a").cases[0].written
    second = run(radiograph_dataset(chest_like(seed=1)), name="b").cases[0].written
    assert not {w.sop_instance_uid for w in first} & {w.sop_instance_uid for w in second}


def test_an_empty_folder_fails_its_own_job_alone(application: ResidentApplication, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    broken = application.submit(Job(tmp_path / "in", tmp_path))
    whole = application.submit(Job(save(tmp_path / "good", radiograph_dataset()), tmp_path))
    with pytest.raises(InputError, match="no file"):
        broken.result(timeout=60)
    assert whole.result(timeout=60).cases[0].images[0].assessed


def test_a_folder_without_dicom_is_refused(application: ResidentApplication, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("no DICOM")
    with pytest.raises(InputError, match="none of the 1 files"):
        application.submit(Job(tmp_path, tmp_path)).result(timeout=60)


def test_a_stage_that_fails_for_one_image_leaves_the_others(
    application: ResidentApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_run = OnnxEngine.run
    bright = chest_like(seed=3) // 2

    def failing(self: OnnxEngine, images: np.ndarray) -> Outputs:
        if images.mean() < failing.limit or len(images) > 1:  # type: ignore[attr-defined]
            raise RuntimeError("out of memory for Test^0")
        return true_run(self, images)

    failing.limit = -0.5  # type: ignore[attr-defined]
    monkeypatch.setattr(OnnxEngine, "run", failing)
    result = run_job(application, tmp_path, (radiograph_dataset(), radiograph_dataset(bright, seed="1", study="0")))
    good, bad = result.cases[0].images
    assert good.results
    assert bad.refusal is not None
    assert bad.refusal.reason is Reason.PROCESSING_FAILED
    assert "Test^0" not in result.index.read_text()
    assert [written.kind for written in result.cases[0].written].count("sr") == 1


def test_an_overlay_that_fails_takes_its_image_out_and_leaves_the_report(
    application: ResidentApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(case: Case, image: CaseImage, result: FindingResult, *more: Any) -> SCImage:
        if more[1] > 1:  # its number
            raise MemoryError
        return build_overlay(case, image, result, *more)

    monkeypatch.setattr("operators.write.overlay_writer.build_overlay", failing)
    result = run_job(application, tmp_path, (radiograph_dataset(),))
    (case,) = result.cases
    assert case.images[0].refusal == Note(Reason.PROCESSING_FAILED, "write overlays failed with MemoryError")
    assert [written.kind for written in case.written] == ["sr"]
    assert sorted(path.name for path in case.output.iterdir()) == ["sr.dcm"]


def test_results_that_cannot_be_moved_into_place_are_a_failure(
    application: ResidentApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(case: Case) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("operators.write.result_sink.publish", refused)
    result = run_job(application, tmp_path, (radiograph_dataset(),))
    assert result.failures == ["the output folder cannot be written: Permission denied"]
    assert [path.name for path in result.index.parent.iterdir()] == ["results.json"]


def test_an_output_that_cannot_be_written_is_a_failure_of_its_study(
    application: ResidentApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(dataset: Dataset, path: Path) -> None:
        write(dataset, path / "no such folder" / "sr.dcm" if path.name == "sr.dcm" else path)

    monkeypatch.setattr("candor.dicom.check.write_checked.write", full)
    result = run_job(application, tmp_path, (radiograph_dataset(),))
    assert result.failures == ["the report could not be written: No such file or directory"]
    assert [path.name for path in result.index.parent.iterdir()] == ["results.json"]


def test_nothing_hidden_is_left_in_the_output(run: Run) -> None:
    output = run(radiograph_dataset()).index.parent
    assert not list(output.rglob(".*"))


def test_one_instance_in_two_syntaxes_is_assessed_once(run: Run) -> None:
    packed = radiograph_dataset()
    packed.compress(RLELossless, generate_instance_uid=False)
    result = run(radiograph_dataset(), packed)
    outcomes = [entry["outcome"] for entry in index(result)["files"]]  # type: ignore[attr-defined]
    assert outcomes == ["assessed", "duplicate"]
    alone = run(radiograph_dataset(), name="alone")
    assert [w.sop_instance_uid for w in result.cases[0].written] == [w.sop_instance_uid for w in alone.cases[0].written]


def test_two_pictures_under_one_uid_are_both_refused(run: Run) -> None:
    result = run(radiograph_dataset(), radiograph_dataset(chest_like(seed=1)))
    reasons = [entry["reason"]["code"] for entry in index(result)["files"]]  # type: ignore[attr-defined]
    assert reasons == [Reason.CONTRADICTION.code] * 2


def test_a_file_that_cannot_be_decoded_does_not_shut_out_a_whole_one(run: Run) -> None:
    broken = radiograph_dataset()
    broken.compress(JPEG2000Lossless, generate_instance_uid=False)
    broken.PixelData = broken.PixelData[: len(broken.PixelData) // 2]
    result = run(broken, radiograph_dataset())
    outcomes = [entry["outcome"] for entry in index(result)["files"]]  # type: ignore[attr-defined]
    assert outcomes == ["not assessed", "assessed"]


def test_a_cost_of_deferring_replaces_the_bundles_thresholds(models: Path) -> None:
    bundle = load_bundle(models / "cxr")
    gate = effective_gate(bundle, Settings(deferral_cost=0.2))
    assert {(pair.lo, pair.hi) for pair in gate.thresholds.values()} == {(0.2, 0.8)}
    assert effective_gate(bundle, Settings()) is bundle.gate


def test_a_sites_prevalence_moves_the_numbers_and_keeps_the_answers(models: Path, tmp_path: Path) -> None:
    bundle, shares = load_bundle(models / "cxr"), {"Effusion": 0.3, "Pneumothorax": 0.02}
    found = {}
    for name, settings in (("shipped", Settings()), ("site", Settings(prevalence=shares))):
        with ResidentApplication(models, settings) as resident:
            (case,) = run_job(resident, tmp_path / name, (radiograph_dataset(),)).cases
        found[name] = {result.finding: result for result in case.images[0].results}
        report = (tmp_path / name / "out" / case.written[0].file).read_bytes()
        assert (b"the site sets that of Effusion (30%), Pneumothorax (2%)" in report) == (name == "site")
    for finding, before in found["shipped"].items():
        after = found["site"][finding]
        share = shares.get(finding.label, before.prevalence)
        assert (after.decision, after.reason, after.prevalence) == (before.decision, before.reason, share)
        odds = [log_odds(each.probability) - log_odds(each.prevalence) for each in (before, after)]
        assert odds[0] == pytest.approx(odds[1])
    assert effective_calibration(bundle, Settings()) is bundle.calibration


def test_costs_are_weighed_at_the_sites_prevalence(models: Path) -> None:
    bundle = load_bundle(models / "cxr")
    settings = Settings(deferral_cost=0.2, prevalence={"Effusion": 0.3})
    assert {(pair.lo, pair.hi) for pair in effective_gate(bundle, settings).thresholds.values()} == {(0.2, 0.8)}


def test_a_permitted_fit_stands_in_every_report_of_the_job(application: ResidentApplication, tmp_path: Path) -> None:
    fit = ForeignFit("a" * 64, "NIH ChestX-ray14", "a trial until May")
    source = save(tmp_path / "in", radiograph_dataset(), radiograph_dataset(seed="2", study="2"))
    (tmp_path / "out").mkdir()
    result = application.submit(Job(source, tmp_path / "out", foreign_fit=fit)).result(timeout=60)
    reports = [case.written[0].file for case in result.cases]
    assert len(reports) == 2
    for file in reports:
        assert b"a fit to NIH ChestX-ray14" in (tmp_path / "out" / file).read_bytes()


def test_logits_that_are_no_numbers_are_a_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: OnnxEngine, images: np.ndarray) -> Outputs:
        none = np.zeros((len(images), 3, 2, 2), np.float32)
        return Outputs(np.full((len(images), 3), np.nan, np.float32), none, none[:, :, 0, 0])

    monkeypatch.setattr(OnnxEngine, "run", broken)
    refusal = run(radiograph_dataset()).cases[0].images[0].refusal
    assert refusal == Note(Reason.PROCESSING_FAILED, "classify failed with FloatingPointError")


def test_a_stage_that_fails_for_the_whole_study_refuses_its_images(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr("operators.read.image_selector.select", broken)
    case = run(radiograph_dataset()).cases[0]
    assert case.images[0].refusal == Note(Reason.PROCESSING_FAILED, "select failed with KeyError")
    assert [written.kind for written in case.written] == ["sr"]


def test_whoever_waits_when_the_graph_stops_is_told(models: Path, tmp_path: Path) -> None:
    with ResidentApplication(models, Settings()) as resident:
        pass
    assert resident.submit(Job(tmp_path, tmp_path)).cancelled()


@pytest.mark.parametrize("stage", ["read.study_loader.scan", "write.result_sink.summarise"])
def test_an_unforeseen_error_at_either_end_fails_its_job_alone(
    application: ResidentApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("Test^0")

    with monkeypatch.context() as patch:
        patch.setattr(f"operators.{stage}", broken)
        with pytest.raises(Unexpected, match="KeyError at ") as failed:
            run_job(application, tmp_path / "a", (radiograph_dataset(),))
    assert "Test^0" not in str(failed.value)
    assert run_job(application, tmp_path / "b", (radiograph_dataset(),)).failures == []


def test_a_broken_twin_of_an_assessed_instance_is_not_in_the_report(run: Run) -> None:
    broken = radiograph_dataset()
    broken.compress(JPEG2000Lossless, generate_instance_uid=False)
    broken.PixelData = broken.PixelData[: len(broken.PixelData) // 2]
    beside, alone = run(broken, radiograph_dataset(), name="beside"), run(radiograph_dataset(), name="alone")
    report = "sr.dcm"
    assert (beside.cases[0].output / report).read_bytes() == (alone.cases[0].output / report).read_bytes()
