"""What the row of a result says is what its file says."""

from __future__ import annotations

import hashlib
from pathlib import Path
from unittest.mock import patch

import pydicom
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian

from candor.study.findings import Finding
from gateway.assess.outcome import Made, made


def report(path: Path) -> Dataset:
    """Write a report with content."""
    item = Dataset()
    item.ValueType, item.TextValue, item.SOPInstanceUID = "TEXT", "content", "1.2.9"
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = Comprehensive3DSRStorage, "1.2.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.4", "1.2.5"
    dataset.ContentSequence = [item]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True)
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def test_a_result_is_described_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "studies" / "sr.dcm"
    dataset = report(path)
    assert made("sr", path, tmp_path, profiles={"b", "a"}) == Made(
        sop_instance_uid=dataset.SOPInstanceUID,
        sop_class_uid=Comprehensive3DSRStorage,
        series_instance_uid=dataset.SeriesInstanceUID,
        kind="sr",
        finding=None,
        file="studies/sr.dcm",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        profiles=("a", "b"),
    )


def test_the_content_of_a_report_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "studies" / "sr.dcm"
    report(path)
    read: list[Dataset] = []

    def reading(*arguments: object, **options: object) -> Dataset:
        read.append(pydicom.dcmread(*arguments, **options))  # type: ignore[arg-type]
        return read[-1]

    with patch("gateway.assess.outcome.dcmread", reading):
        overlay = made("sc", path, tmp_path, Finding.NODULE)
    assert overlay.finding == "Nodule"
    assert [element.keyword for element in read[0]] == ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"]
