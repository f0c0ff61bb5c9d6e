"""The application from the command line: exit codes, one clear line, and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import EXIT_DONE, EXIT_FAILED, EXIT_UNUSABLE, main
from candor import RESEARCH_USE
from tests.bundles import make_bundle
from tests.conftest import ROOT
from tests.factory import radiograph_dataset

CANARY = "Canary^Yellow"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_bundle(folder / "cxr")
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    radiograph_dataset(PatientName=CANARY).save_as(folder / "a.dcm", enforce_file_format=True)
    return folder


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def arguments(study: Path, output: Path, models: Path, *more: str) -> list[str]:
    return ["-i", str(study), "-o", str(output), "-m", str(models), *more]


def test_a_run_ends_with_0_and_says_where_the_results_are(
    study: Path, tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(study, tmp_path / "out", models)) == EXIT_DONE
    said = capsys.readouterr()
    assert said.out.startswith("1 files, 1 assessed, 1 reports; see ")
    assert RESEARCH_USE in said.out
    assert said.err == ""


def test_a_run_in_which_nothing_is_assessable_ends_with_0(study: Path, tmp_path: Path, models: Path) -> None:
    radiograph_dataset(view="LL").save_as(study / "a.dcm", enforce_file_format=True)
    assert main(arguments(study, tmp_path / "out", models)) == EXIT_DONE


def test_the_environment_names_the_folders(
    study: Path, tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, path in (("INPUT", study), ("OUTPUT", tmp_path / "out"), ("MODEL", models)):
        monkeypatch.setenv(f"HOLOSCAN_{name}_PATH", str(path))
    assert main([]) == EXIT_DONE
    assert (tmp_path / "out" / "results.json").is_file()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"-i": "nowhere"}, "nowhere is not a folder"),
        ({"-i": "empty"}, "empty holds no file"),
        ({"-i": "letters"}, "none of the 1 files of the input folder is readable DICOM"),
        ({"-m": "nowhere"}, "nowhere is not a folder"),
        ({"-m": "empty"}, "holds no bundle"),
        (
            {"-c": "unknown.yaml"},
            "unknown.yaml line 2: unknown setting 'candor.max_overlay'; did you mean 'max_overlays'?",
        ),
        ({"-c": "impossible.yaml"}, "candor.deferral_cost is 0.7; it must be less than 0.5"),
        ({"-c": "nowhere.yaml"}, "nowhere.yaml cannot be read"),
        ({"-o": "file/out"}, "file/out cannot be written"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line(
    change: dict[str, str],
    says: str,
    study: Path,
    tmp_path: Path,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "letters"):
        Path(folder).mkdir()
    Path("letters/a.txt").write_text("Dear colleague")
    Path("file").touch()
    Path("unknown.yaml").write_text("candor:\n  max_overlay: 3\n")
    Path("impossible.yaml").write_text("candor:\n  deferral_cost: 0.7\n")
    options = {"-i": str(study), "-o": "out", "-m": str(models)} | change
    assert main([word for pair in options.items() for word in pair]) == EXIT_UNUSABLE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("candor: ")
    assert says in said.err
    assert said.err.count("\n") == 1
    assert not list(Path("out").rglob("*"))


def test_a_study_whose_report_fails_ends_with_1(
    study: Path, tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr("operators.write.sr_writer.build_report", broken)
    assert main(arguments(study, tmp_path / "out", models)) == EXIT_FAILED
    said = capsys.readouterr()
    assert "results of a study are missing: the report could not be written: ZeroDivisionError" in said.err
    assert CANARY not in said.err + said.out
    assert json.loads((tmp_path / "out" / "results.json").read_text())["studies"][0]["failure"]


def test_an_index_that_cannot_be_written_ends_with_1(
    study: Path, tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("operators.write.result_sink.write_index", full)
    assert main(arguments(study, tmp_path / "out", models)) == EXIT_FAILED
    assert "No space left on device; run it again" in capsys.readouterr().err


def start(study: Path, output: Path, models: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT), *arguments(study, output, models)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLOSCAN_")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_a_process_is_quiet_and_names_no_patient(study: Path, tmp_path: Path, models: Path) -> None:
    radiograph_dataset(PatientName=CANARY, StudyDate="not a date", seed="1").save_as(study / "b.dcm")
    process = start(study, tmp_path / "out", models)
    out, err = process.communicate(timeout=120)
    assert process.returncode == EXIT_DONE
    assert out.count("\n") == 1
    assert err == ""


def test_sigterm_ends_a_process_cleanly(study: Path, tmp_path: Path, models: Path) -> None:
    for number in range(300):
        radiograph_dataset(seed=str(number)).save_as(study / f"{number}.dcm", enforce_file_format=True)
    output = tmp_path / "out"
    process = start(study, output, models)
    deadline = time.monotonic() + 60
    while not list(output.glob("2.25.*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == EXIT_FAILED
    assert err == "candor: the run was not completed: stopped by SIGTERM; run it again\n"
    assert out == ""
    assert not (output / "results.json").exists()
    assert not list(output.glob(".*"))
    assert all((folder / "sr.dcm").is_file() for folder in output.iterdir())
