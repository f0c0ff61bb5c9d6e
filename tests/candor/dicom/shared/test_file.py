"""How results come to disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from pydicom import dcmread

from candor.dicom.report.document import build_report
from candor.dicom.shared.file import write
from candor.study.errors import OutputError
from tests.cases import PROVENANCE, assessed, case_of, header_of


@pytest.fixture(scope="module")
def report():
    return build_report(case_of(assessed(header_of(), results=[])), PROVENANCE)


def test_the_file_is_whole_and_alone(report, tmp_path: Path) -> None:
    write(report, tmp_path / "sr.dcm")
    assert [file.name for file in tmp_path.iterdir()] == ["sr.dcm"]
    assert dcmread(tmp_path / "sr.dcm").to_json() == report.to_json()


def test_the_same_object_gives_the_same_bytes_and_takes_the_others_place(report, tmp_path: Path) -> None:
    path = tmp_path / "sr.dcm"
    write(report, path)
    first = path.read_bytes()
    write(report, path)
    assert path.read_bytes() == first


def test_others_may_read_it_as_the_umask_says(report, tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        write(report, tmp_path / "sr.dcm")
    finally:
        os.umask(previous)
    assert (tmp_path / "sr.dcm").stat().st_mode & 0o777 == 0o644


def test_file_meta_information_names_candor(report, tmp_path: Path) -> None:
    write(report, tmp_path / "sr.dcm")
    meta = dcmread(tmp_path / "sr.dcm").file_meta
    assert meta.ImplementationVersionName == "CANDOR_0.1.0"
    assert meta.ImplementationClassUID.startswith("2.25.")
    assert meta.MediaStorageSOPInstanceUID == report.SOPInstanceUID


def test_a_missing_folder_is_named(report, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"missing.*No such file"):
        write(report, tmp_path / "missing" / "sr.dcm")


def test_a_full_disk_leaves_nothing_behind(report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write(report, tmp_path / "sr.dcm")
    assert not list(tmp_path.iterdir())
