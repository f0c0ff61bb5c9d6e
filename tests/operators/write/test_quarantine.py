"""An object that lacks something: it is kept in quarantine, and nothing of its study is published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

import app
from app import ResidentApplication
from candor.dicom.check import write_checked as checked_file
from candor.settings import Settings
from candor.study.errors import ObjectIncomplete
from candor.study.profile import Profile
from candor.study.result_object import KINDS, Kind
from operators.write import sr_writer
from tests.factory import radiograph_dataset
from tests.operators.conftest import run_job, save
from tests.spoilt import spoil

EVERYTHING = Profile(frozenset(KINDS))


@pytest.fixture(scope="module")
def everything(models: Path) -> Iterator[ResidentApplication]:
    """An application that writes objects of every kind."""
    with ResidentApplication(models, Settings(), (EVERYTHING,)) as resident:
        yield resident


def below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def studies_of(index: Path) -> list[dict[str, Any]]:
    return json.loads(index.read_text())["studies"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_study_with_a_spoilt_object_nothing_is_published(
    everything: ResidentApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    row = spoil(monkeypatch, kind)
    result = run_job(everything, tmp_path, (radiograph_dataset(),))
    (case,) = result.cases
    assert case.written == []
    assert case.incomplete is not None
    assert case.incomplete.kind == kind
    assert any(row in line for line in case.incomplete.missing)
    assert case.failure == str(case.incomplete)
    assert result.failures == [case.failure]
    assert f"kind {kind}" in case.failure
    (study,) = studies_of(result.index)
    assert (study["failure"], study["objects"]) == (case.failure, [])
    folder = f"quarantine/{case.study_instance_uid}"
    files = below(result.index.parent)
    (listed,) = (name for name in files if name.endswith(".json") and name != "results.json")
    (kept,) = (name for name in files if name.endswith(".dcm"))
    assert kept == listed.replace(".json", ".dcm")
    assert kept.startswith(f"{folder}/{kind}")
    assert set(files) == {"results.json", kept, listed}
    told = json.loads(files[listed])
    assert (told["kind"], told["missing"]) == (kind, list(case.incomplete.missing))
    assert "not for diagnosis" in told["notice"]
    assert dcmread(result.index.parent / kept).StudyInstanceUID == case.study_instance_uid


def test_the_other_studies_are_published_and_no_patient_is_named(
    everything: ResidentApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = radiograph_dataset(seed="1", PatientName="Spoilt^One"), radiograph_dataset(seed="2")
    true = sr_writer.build_report

    def build(case: Any, *more: Any) -> Any:
        report = true(case, *more)
        if case.study_instance_uid == bad.StudyInstanceUID:
            del report.SeriesDescription
        return report

    monkeypatch.setattr(sr_writer, "build_report", build)
    result = run_job(everything, tmp_path, (bad, good))
    failures = {study["study_instance_uid"]: study["failure"] for study in studies_of(result.index)}
    assert failures[good.StudyInstanceUID] is None
    assert "SeriesDescription" in failures[bad.StudyInstanceUID]
    assert "Spoilt" not in failures[bad.StudyInstanceUID]
    assert (result.index.parent / good.StudyInstanceUID / "sr.dcm").is_file()
    assert not (result.index.parent / bad.StudyInstanceUID).exists()


def test_a_later_run_that_goes_well_empties_the_quarantine(
    everything: ResidentApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        spoil(patched, "ko")
        run_job(everything, tmp_path, (radiograph_dataset(),))
    result = run_job(everything, tmp_path, (radiograph_dataset(),))
    assert result.failures == []
    assert not [name for name in below(result.index.parent) if name.startswith("quarantine")]


def test_good_results_are_those_that_come_out_without_the_check_byte_for_byte(
    everything: ResidentApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = run_job(everything, tmp_path / "checked", (radiograph_dataset(),))
    monkeypatch.setattr(checked_file, "_missing", lambda *_: [])
    unchecked = run_job(everything, tmp_path / "unchecked", (radiograph_dataset(),))
    assert {written.kind for written in checked.cases[0].written} == set(KINDS)
    assert below(checked.index.parent) == below(unchecked.index.parent)


def test_an_object_that_cannot_be_kept_is_not_published_either(
    everything: ResidentApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, "gsps")
    output = tmp_path / "out"
    output.mkdir()
    (output / "quarantine").write_text("a file where a folder should be")
    result = run_job(everything, tmp_path, (radiograph_dataset(),))
    (failure,) = result.failures
    assert "could not be kept in quarantine" in failure
    assert sorted(path.name for path in output.iterdir()) == ["quarantine", "results.json"]


def test_the_command_ends_with_1(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(monkeypatch, "sr")
    source = save(tmp_path / "in", radiograph_dataset())
    assert app.main(["-i", str(source), "-o", str(tmp_path / "out"), "-m", str(models)]) == app.EXIT_FAILED
    assert "results of a study are missing: an object of kind sr lacks what it must have" in capsys.readouterr().err


def test_an_error_names_five_rows_and_counts_the_rest() -> None:
    assert str(ObjectIncomplete("sr", [f"row {number}" for number in range(7)])).endswith("row 4; and 2 more")
