"""The worker's application: the real one, with a small model bundle."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from pydicom import dcmread
from pydicom.uid import EnhancedSRStorage

from app import JobResult
from candor.model.bundle import GATE, load_bundle
from candor.study.case import Case
from candor.study.errors import InputError
from candor.study.findings import Finding
from candor.study.provenance import ForeignFit
from candor.study.result import Decision, Disposition
from candor.study.result_object import Predecessor
from gateway.assess.application import Worker, _case_of
from gateway.assess.assessor import ApplicationStopped
from gateway.settings import Destination, Settings, Work
from tests.bundles import make_bundle
from tests.conftest import ROOT
from tests.factory import radiograph_dataset
from tests.gateway.network import file_of

TIME = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    bundle = make_bundle(tmp_path_factory.mktemp("model") / "bundle")
    return Settings(work=Work(models=str(bundle), application=str(ROOT / "app.yaml")))


def test_a_study_goes_through_the_resident_application(settings: Settings, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    output.mkdir()
    dataset = radiograph_dataset()
    (source / "001.dcm").write_bytes(file_of(dataset))
    worker = Worker(settings)
    with worker:
        assessed = worker(dataset.StudyInstanceUID, source, output, TIME, ())
        with pytest.raises(InputError, match="none of the received files"):
            worker("1.2.3", source, output, TIME, ())
    assert assessed.failure is None
    assert assessed.disposition in Disposition
    assert set(assessed.findings) == {Finding.CARDIOMEGALY.label, Finding.EFFUSION.label, Finding.PNEUMOTHORAX.label}
    assert set(assessed.findings.values()) <= {decision.value for decision in Decision}
    assert assessed.bundle_sha256 == load_bundle(Path(settings.work.models)).sha256
    kinds = [written.kind for written in assessed.written]
    assert kinds.count("sr") == 1
    for written in assessed.written:
        path = output / written.file
        assert dcmread(path).SOPInstanceUID == written.sop_instance_uid
        assert dcmread(path).ContentDate == "20260102"
    with pytest.raises(ApplicationStopped):
        worker(dataset.StudyInstanceUID, source, output, TIME, ())


def test_one_run_writes_for_all_destinations(settings: Settings, tmp_path: Path) -> None:
    peer = Destination(name="pacs", ae_title="PACS", host="192.0.2.9", port=104)
    old = peer.model_copy(update={"name": "old", "kinds": ("sr",), "report_class": "enhanced"})
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    output.mkdir()
    dataset = radiograph_dataset()
    (source / "001.dcm").write_bytes(file_of(dataset))
    earlier = Predecessor(dataset.StudyInstanceUID, "1.2.3", "1.2.840.10008.5.1.4.1.1.88.34", "1.2.3.4")
    with Worker(settings.model_copy(update={"destinations": (peer, old)})) as worker:
        assessed = worker(dataset.StudyInstanceUID, source, output, TIME, (earlier,))
    reports = {each.profiles: dcmread(output / each.file) for each in assessed.written if each.kind == "sr"}
    assert reports.keys() == {frozenset({peer.profile.key}), frozenset({old.profile.key})}
    assert reports[frozenset({old.profile.key})].SOPClassUID == EnhancedSRStorage
    assert all("PredecessorDocumentsSequence" in report for report in reports.values())


@pytest.mark.full
def test_the_process_ends_in_good_order(settings: Settings, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(yaml.safe_dump({"work": settings.work.model_dump(include={"models", "application"})}))
    command = [sys.executable, "-m", "gateway", "work", "--config", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("worker ready" in line for line in process.stderr)
        time.sleep(0.5)  # holoscan takes the signals in a thread of its own, at its own time
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(60) == 0


def test_files_of_no_study_are_no_result(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the received files"):
        _case_of(JobResult((Case("", [], tmp_path, TIME),), tmp_path), "1.2.3")


def test_a_permitted_fit_stands_in_the_report_and_an_own_one_needs_no_permission(
    settings: Settings, tmp_path: Path
) -> None:
    dataset, asked = radiograph_dataset(), []

    def permission(bundle_sha256: str) -> ForeignFit:
        asked.append(bundle_sha256)
        return ForeignFit(bundle_sha256, "other patients", "a trial")

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "001.dcm").write_bytes(file_of(dataset))
    for site, named in ((None, True), ("St Elsewhere", False)):
        models = tmp_path / f"models-{named}"
        shutil.copytree(settings.work.models, models)
        gate = json.loads((models / GATE).read_text())
        (models / GATE).write_text(json.dumps(gate | {"data": site} if site else gate))
        work, output = settings.work.model_copy(update={"models": str(models)}), tmp_path / f"out-{named}"
        output.mkdir()
        with Worker(settings.model_copy(update={"work": work, "site": site}), permission) as worker:
            assessed = worker(dataset.StudyInstanceUID, tmp_path / "in", output, TIME, ())
        assert assessed.fit is worker.fit
        assert bool(worker.fit.foreign) == bool(assessed.foreign_fit) == named
        (report,) = (output / each.file for each in assessed.written if each.kind == "sr")
        assert (b"Why it is used: a trial" in report.read_bytes()) == named
    assert len(asked) == 1
