"""A written result is read as pydicom reads it, and checked as it stands in the file."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.tag import BaseTag
from pydicom.uid import ImplicitVRLittleEndian

from candor.dicom.check.parsed_file import MALFORMED, WrittenItem, read_written
from candor.dicom.check.write_checked import write_checked
from candor.study.errors import ObjectIncomplete, OutputError
from tests.cases import CASES, EVERYTHING, write_results


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("results")
    written = write_results(CASES["positive"](lateral=True), folder, profile=EVERYTHING)
    return {path.name: path for path in written}


def same(light: object, whole: object) -> bool:
    """Compare what the light reader says of a value with what pydicom says; texts count where they are ASCII."""
    if isinstance(light, list) and light and isinstance(light[0], WrittenItem):
        assert len(light) == len(whole)  # type: ignore[arg-type]
        return all(compare(a, b) for a, b in zip(light, whole, strict=True))  # type: ignore[call-overload]
    if isinstance(light, memoryview):
        return bytes(light) == (pack("<HH", whole.group, whole.element) if isinstance(whole, BaseTag) else whole)
    if isinstance(light, list):
        return [str(each) for each in light] == [str(each) for each in whole]  # type: ignore[attr-defined]
    if light in ("", []):
        return not whole
    if isinstance(light, str) and not light.isascii():
        return True
    return light == whole or str(light) == str(whole)


def compare(light: WrittenItem, whole: Dataset) -> bool:
    for element in whole:
        assert same(light.get(element.keyword), element.value), element.keyword
    return True


def test_every_attribute_has_the_value_that_pydicom_reads(files: dict[str, Path]) -> None:
    assert {name[:2] for name in files} == {"sr", "sc", "gs", "pm", "ko"}
    for path in files.values():
        light = read_written(path)
        assert compare(light, dcmread(path))
        assert light.get("PatientComments") is None
        assert light.get("PatientComments", 5) == 5


@pytest.mark.parametrize(("sequence", "item"), [(True, True), (True, False), (False, True)])
def test_sequences_and_items_of_undefined_length_are_read(
    files: dict[str, Path], tmp_path: Path, sequence: bool, item: bool
) -> None:
    dataset = dcmread(files["ko-present.dcm"])
    for element in dataset.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = sequence
            for each in element.value:
                each.is_undefined_length_sequence_item = item
    path = tmp_path / "ko.dcm"
    dcmwrite(path, dataset, enforce_file_format=True)
    assert path.stat().st_size > files["ko-present.dcm"].stat().st_size
    assert compare(read_written(path), dcmread(path))


def test_bytes_that_are_no_result_are_named_and_set_aside(files: dict[str, Path], tmp_path: Path) -> None:
    implicit = dcmread(files["ko-present.dcm"])
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    implicit.set_original_encoding(True, True)
    folder = tmp_path / "quarantine"
    with pytest.raises(ObjectIncomplete) as raised:
        write_checked(implicit, tmp_path / "ko.dcm", "ko", folder)
    assert raised.value.missing == ("the file cannot be read as a result (ValueError)",)
    assert sorted(path.name for path in folder.iterdir()) == ["ko.dcm", "ko.json"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "ko.dcm").exists()


@pytest.mark.parametrize("cut", [100, 131, 140, 400, -1, -3])
def test_a_file_that_is_cut_off_is_refused(files: dict[str, Path], tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.dcm"
    path.write_bytes(files["sc-1.dcm"].read_bytes()[:cut])
    with pytest.raises(MALFORMED):
        read_written(path)


def test_a_file_that_is_gone_is_no_incomplete_object(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candor.dicom.check.write_checked.write", lambda dataset, path: None)
    with pytest.raises(OutputError, match="No such file"):
        write_checked(Dataset(), tmp_path / "sr.dcm", "sr", tmp_path / "quarantine")


def test_a_good_object_stays_where_it_was_written(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "sr.dcm"
    write_checked(dcmread(files["sr.dcm"]), path, "sr", tmp_path / "quarantine")
    assert path.read_bytes() == files["sr.dcm"].read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == ["sr.dcm"]
