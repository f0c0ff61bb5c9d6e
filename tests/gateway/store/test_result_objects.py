"""What the row of a result says is what its file says."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian

from candor.dicom.shared.file import describe
from candor.study.findings import Finding
from candor.study.result_object import NOTE, Predecessor, ResultObject
from gateway.store.database import insert_once, writing
from gateway.store.result_objects import from_row, in_spool, predecessor_from_row, to_row
from gateway.store.schema import objects

REPORT = ResultObject("sr", "sr.dcm", "1.2.3", Comprehensive3DSRStorage, "1.2.5", profiles=frozenset({"b", "a"}))


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
    written = describe(dataset, "sr", "sr.dcm", profiles={"b", "a"})
    assert written == REPORT
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert in_spool(written, path.parent, tmp_path) == replace(REPORT, file="studies/sr.dcm", sha256=sha256)


def test_a_result_without_its_file_is_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        in_spool(REPORT, tmp_path, tmp_path)


@pytest.mark.parametrize(
    "result",
    [
        replace(REPORT, sha256="a" * 64),
        ResultObject("sc", "sc.dcm", "1.2.6", "1.2.7", "1.2.8", Finding.NODULE, sha256="b" * 64),
        ResultObject(NOTE, "note.dcm", "1.2.6", "1.2.7", "1.2.8", sha256="c" * 64),
    ],
    ids=lambda result: result.kind,
)
def test_a_row_holds_a_result(database: sa.Engine, result: ResultObject) -> None:
    with writing(database) as connection:
        insert_once(connection, objects, to_row(result) | {"study_instance_uid": "1.2.4", "version": 1, "made": 0.0})
        (row,) = connection.execute(sa.select(objects)).all()
    assert from_row(row) == result
    uids = (result.series_instance_uid, result.sop_class_uid, result.sop_instance_uid)
    assert predecessor_from_row(row) == Predecessor("1.2.4", *uids, result.profiles)


def test_the_keys_of_profiles_are_stored_in_order_under_their_first_name(database: sa.Engine) -> None:
    with writing(database) as connection:
        values = to_row(replace(REPORT, sha256="a" * 64))
        insert_once(connection, objects, values | {"study_instance_uid": "1.2.4", "version": 1, "made": 0.0})
        assert connection.execute(sa.text("SELECT editions FROM objects")).scalar() in ('["a", "b"]', ["a", "b"])
