"""The head of an instance: read within bounds, whatever the file is."""

from __future__ import annotations

import struct
from datetime import date
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from gateway.dimse.header import Head, part_10_header, read_head
from gateway.dimse.status import NotTaken, Status
from tests.gateway.network import file_of, image


def head_of(tmp_path: Path, content: bytes) -> Head:
    path = tmp_path / "x.dcm"
    path.write_bytes(content)
    return read_head(path)


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """One element, Explicit VR Little Endian."""
    if vr in (b"OB", b"UN", b"SQ"):
        return struct.pack("<HH2sHL", group, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def test_the_head_of_an_image(tmp_path: Path) -> None:
    sent = image(RequestedProcedurePriority="stat", Manufacturer="CANDOR")
    assert head_of(tmp_path, file_of(sent)) == Head(
        sent.SOPClassUID,
        sent.SOPInstanceUID,
        sent.StudyInstanceUID,
        sent.SeriesInstanceUID,
        date(2026, 1, 1),
        urgent=True,
        ours=True,
    )


@pytest.mark.parametrize("study_date", ["", "2026", "20261301", "1999.01.01"])
def test_a_date_that_is_none(tmp_path: Path, study_date: str) -> None:
    head = head_of(tmp_path, file_of(image(StudyDate=study_date)))
    assert head.study_date is None
    assert not head.urgent
    assert not head.ours


def test_the_header_is_a_file_with_the_data_set_as_it_came(tmp_path: Path) -> None:
    header = part_10_header("1.2.3", "1.2.4", ImplicitVRLittleEndian)
    path = tmp_path / "x.dcm"
    path.write_bytes(header + struct.pack("<HHL", 0x0010, 0x0020, 4) + b"ID 1")
    read = dcmread(path)
    assert read.PatientID == "ID 1"
    assert read.file_meta.MediaStorageSOPInstanceUID == "1.2.4"
    assert read.file_meta.FileMetaInformationVersion == b"\x00\x01"
    assert header == part_10_header("1.2.3", "1.2.4", ImplicitVRLittleEndian)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no DICOM",
        part_10_header("1.2", "1.3", ImplicitVRLittleEndian),
        part_10_header("1.2", "1.3", ImplicitVRLittleEndian) + b"\x08\x00\x16\x00\xff\xff\xff\xff",
        file_of(image())[:500],
        part_10_header("1.2", "1.3", "1.2.840.10008.1.2.1") + element(8, 0x0018, b"ZZ", b"1.2.3 "),
        part_10_header("1.2", "1.3", "1.2.840.10008.1.2.1")
        + b"".join(
            struct.pack("<HH2sHL", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
            for _ in range(5000)
        ),
    ],
    ids=["empty", "text", "no data set", "endless", "cut", "no such VR", "sequences in sequences"],
)
def test_what_is_none(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(NotTaken) as refusal:
        head_of(tmp_path, content)
    assert refusal.value.status is Status.CANNOT_UNDERSTAND


def test_long_private_elements_are_skipped(tmp_path: Path) -> None:
    sent = image()
    block = sent.private_block(0x0009, "VENDOR", create=True)
    block.add_new(0x01, "OB", bytes(6 << 20))
    assert head_of(tmp_path, file_of(sent)).study_instance_uid == sent.StudyInstanceUID


def test_uids_behind_millions_of_elements_are_not_looked_for(tmp_path: Path) -> None:
    sent = image()
    content = file_of(sent)
    behind = content.index(struct.pack("<HH2s", 0x0010, 0x0010, b"PN"))
    flood = element(9, 0x1001, b"CS", b"") * (1 << 20 >> 3)
    with pytest.raises(NotTaken):
        head_of(tmp_path, content[:behind] + flood + content[behind:])
