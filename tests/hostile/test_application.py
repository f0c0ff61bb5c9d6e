"""Every hostile file through the application: it ends with 0 and says of each file what became of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import make_bundle
from tests.conftest import ROOT
from tests.factory import radiograph_dataset
from tests.hostile.bombs import BOMBS

PATIENCE_S = 300
MEBIBYTES = 2048
CHOSEN = [
    "10000 nested sequences",
    "a search that squares",
    "a deflated bomb",
    "20 million numbers",
    "a million fragments",
    "pixels of 4 GiB",
    "JPEG 2000 of 60000 x 60000",
    "JPEG-LS of 9999 x 9999 without data",
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_bundle(folder / "cxr")
    return folder


def run(source: Path, output: Path, models: Path, seconds: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
    """Run the application once over a folder, as a person does."""
    measured = [sys.executable, "-m", "tests.measured", str(output.with_name("peak"))]
    command = [*measured, sys.executable, "app.py", "-i", str(source), "-o", str(output), "-m", str(models)]
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def answers(output: Path) -> dict[str, str | None]:
    """Each file's reason, None where it was assessed."""
    index: dict[str, Any] = json.loads((output / "results.json").read_text())
    return {file["name"]: file["reason"] and file["reason"]["code"] for file in index["files"]}


def test_bombs_beside_a_radiograph(tmp_path: Path, models: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    radiograph_dataset().save_as(source / "good.dcm", enforce_file_format=True)
    for name in CHOSEN:
        (source / name).write_bytes(BOMBS[name][0]())
    done = run(source, output, models)
    assert done.returncode == 0, done.stderr
    found = answers(output)
    assert found.pop("good.dcm") is None
    assert set(found) == set(CHOSEN)
    assert all(found.values())
    assert float((tmp_path / "peak").read_text()) < MEBIBYTES


def test_all_hostile_files_together(tmp_path: Path, models: Path, hostile_dicom: Path, ood_dicom: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    for folder in (hostile_dicom, ood_dicom):
        shutil.copytree(folder, source / folder.name)
    done = run(source, output, models)
    assert done.returncode == 0, done.stderr
    found = answers(output)
    assert set(found) == {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    assert all(found[name] for name in found if name.startswith("hostile/"))
    assert float((tmp_path / "peak").read_text()) < MEBIBYTES


@pytest.mark.full
def test_each_file_alone(
    tmp_path: Path,
    models: Path,
    hostile_dicom: Path,
    ood_dicom: Path,
    record_property: Callable[[str, object], None],
) -> None:
    for folder in (hostile_dicom, ood_dicom):
        shutil.copytree(folder, tmp_path / folder.name)
    lines = one_by_one(tmp_path, models, record_property)
    assert len(lines) == sum(path.is_file() for path in tmp_path.rglob("*"))
    for line in lines:
        refused = line.get("error", "").startswith("none of the 1 files of the input folder is readable DICOM")
        assert refused or "reason" in line, line
        assert line.get("reason") or refused or line["name"].startswith("ood/"), line


@pytest.mark.full
def test_each_bomb_alone(tmp_path: Path, models: Path, record_property: Callable[[str, object], None]) -> None:
    for name, (content, _) in BOMBS.items():
        (tmp_path / name).write_bytes(content())
    lines = one_by_one(tmp_path, models, record_property)
    assert {line["name"] for line in lines} == BOMBS.keys()
    assert all(line.get("error") or line["reason"] for line in lines)  # which reason, the reader's tests say


def one_by_one(folder: Path, models: Path, record: Callable[[str, object], None]) -> list[dict[str, Any]]:
    """Run the resident application over the files, each within its bounds of time and memory."""
    command = [sys.executable, "-m", "tests.hostile.one_by_one", str(models), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for line in lines:
        assert line["mebibytes"] < MEBIBYTES, line
    slowest, largest = (max(line[name] for line in lines) for name in ("seconds", "mebibytes"))
    record("measured", f"{len(lines)} files, each alone: at most {slowest:.1f} s and {largest:.0f} MiB")
    return lines
