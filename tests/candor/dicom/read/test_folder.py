"""Scanning a folder: every file is in some case."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from candor.dicom.read.folder import scan
from candor.study.case import Case
from candor.study.errors import InputError
from candor.study.reasons import Reason
from tests.factory import chest_like, radiograph_dataset

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OUT = Path("out")


def put(folder: Path, name: str, **attributes: Any) -> Dataset:
    dataset = radiograph_dataset(chest_like(16, 16), **attributes)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def names(cases: list[Case]) -> list[list[str]]:
    return [[image.name for image in case.images] for case in cases]


def test_files_are_grouped_by_study(tmp_path: Path) -> None:
    first = put(tmp_path, "b/2.dcm", seed="1", study="x")
    put(tmp_path, "a/1.dcm", seed="2", study="x")
    second = put(tmp_path, "a/3.dcm", seed="3", study="y")
    cases = scan(tmp_path, OUT, TIME)
    assert [case.study_instance_uid for case in cases] == sorted([first.StudyInstanceUID, second.StudyInstanceUID])
    assert sorted(names(cases)) == [["a/1.dcm", "b/2.dcm"], ["a/3.dcm"]]
    assert all(case.output == OUT / case.study_instance_uid for case in cases)
    assert all(case.time == TIME for case in cases)
    assert all(image.header is not None and image.assessed for case in cases for image in case.images)


def test_files_without_a_study_make_a_case_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, "good.dcm")
    put(tmp_path, "evil.dcm", StudyInstanceUID="../../evil")
    (tmp_path / "notes.txt").write_text("no DICOM")
    strays, study = scan(tmp_path, OUT, TIME)
    assert names([strays, study]) == [["evil.dcm", "notes.txt"], ["good.dcm"]]
    assert strays.study_instance_uid == ""
    assert strays.output == OUT
    assert strays.images[0].header is not None
    assert strays.images[1].refusal
    assert strays.images[1].refusal.reason is Reason.UNREADABLE


def test_the_time_is_the_newest_files_in_whole_seconds(tmp_path: Path) -> None:
    for number, name in enumerate(("a.dcm", "b.dcm")):
        put(tmp_path, name, seed=str(number), study="x")
        os.utime(tmp_path / name, (0, 1_700_000_000.75 + 60 * number))
    (case,) = scan(tmp_path, OUT)
    assert case.time == datetime.fromtimestamp(1_700_000_060, UTC)
    assert case.time.utcoffset() == timedelta(0)


def test_a_given_time_stays(tmp_path: Path) -> None:
    put(tmp_path, "a.dcm")
    local = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert scan(tmp_path, OUT, local)[0].time is local


def test_links_to_files_are_read(tmp_path: Path) -> None:
    put(tmp_path, "store/a.dcm")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.dcm").symlink_to(tmp_path / "store" / "a.dcm")
    (case,) = scan(tmp_path / "in", OUT, TIME)
    assert case.images[0].assessed


def test_what_cannot_be_read_is_not_dropped(tmp_path: Path) -> None:
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "pipe")
    (case,) = scan(tmp_path, OUT)
    assert names([case]) == [["gone.dcm", "loop", "pipe"]]
    assert {image.refusal.reason for image in case.images if image.refusal} == {Reason.UNREADABLE}
    assert not case.assessed_images


def test_a_folder_that_cannot_be_opened_is_not_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.dcm")
    (tmp_path / "closed").mkdir()
    list_folder = os.scandir

    def guarded(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert names(scan(tmp_path, OUT, TIME)) == [["closed"], ["a.dcm"]]


@pytest.mark.parametrize("name", ["missing", "file", "empty"])
def test_a_folder_without_files_is_an_error_with_advice(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    with pytest.raises(InputError, match="folder"):
        scan(tmp_path / name, OUT, TIME)


@pytest.mark.parametrize("folder", ["chest_dicom", "ood_dicom", "hostile_dicom"])
def test_every_real_file_is_in_some_case(folder: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(folder)
    found = [name for group in names(scan(path, OUT, TIME)) for name in group]
    assert sorted(found) == sorted(file.name for file in path.iterdir())
