"""Whatever a header says: a refusal or a report, and a report is whole, readable and clean."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue

from candor.dicom.check.templates import missing_rows
from candor.dicom.check.write_checked import write_checked
from candor.dicom.read.duplicates import settle_duplicates
from candor.dicom.read.file import read_pixels
from candor.dicom.read.folder import scan
from candor.dicom.read.select import select
from candor.dicom.report.document import build_report
from candor.dicom.shared.file import write
from candor.dicom.shared.identity import IDENTITY, case_fingerprint, fingerprint, outcome
from candor.dicom.write.overlay import build_overlay
from candor.dicom.write.parametric_map import build_parametric_map
from candor.dicom.write.presentation_state import build_presentation_state
from candor.study.case import Case, CaseImage
from candor.study.errors import Refused, ReportError
from tests.cases import PROVENANCE, all_results
from tests.fuzz.seeds import SIDE, encoded, plain

TIME = datetime(2026, 1, 2, tzinfo=UTC)
LONG = ("OB", "OW", "OF", "SQ", "UC", "UN", "UT")
KEYWORDS = sorted(
    {
        *IDENTITY,
        "SpecificCharacterSet", "ImageType", "Manufacturer", "InstanceNumber", "AcquisitionDate", "ContentDate",
        "OtherPatientIDsSequence", "RequestAttributesSequence", "AnatomicRegionSequence", "ViewCodeSequence",
        "RequestedProcedureID", "Laterality", "ImageLaterality", "PresentationIntentType", "PresentationLUTShape",
        "PixelPaddingValue", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "PixelSpacing",
        "VOILUTFunction", "LossyImageCompressionRatio", "LossyImageCompressionMethod", "NumberOfFrames", "Rows",
        "BurnedInAnnotation", "VOILUTSequence", "FrameOfReferenceUID", "SeriesNumber", "DeviceSerialNumber",
    }
)  # fmt: skip
CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]|[\t\n\f\r]")

texts = st.text(st.characters(codec="utf-8"), max_size=80).map(lambda text: text.encode())
numbers = st.one_of(st.integers(), st.floats()).map(lambda number: str(number).encode())
absurd = st.sampled_from(
    [b"A" * 30_000, b"1\\" * 10_000, b"\\" * 500, b"\x1b$)C" * 20, b"\x00" * 65, b"=" * 400, b"^" * 99]
)
controls = st.text("\x00\x07\t\n\r\x1b\x7f\\^=AÄ", max_size=20).map(str.encode)
codes = st.sampled_from(
    [
        b"ISO_IR 192",
        b"ISO 2022 IR 87",
        b"\\ISO 2022 IR 149",
        b"ISO_IR 13",
        b"GB18030",
        b"NONE",
        b"CHEST",
        b"PA",
        b"L\\F",
        b"M",
    ]
)
values = st.one_of(texts, numbers, absurd, controls, codes, st.binary(max_size=60))
representations = st.sampled_from(
    ["AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "OB", "OW", "PN", "SH", "SL", "SQ", "SS",
     "ST", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "ZZ", "a1"]
)  # fmt: skip
change = st.one_of(st.none(), st.tuples(st.one_of(st.none(), representations), values))
changes = st.dictionaries(st.sampled_from(KEYWORDS), change, max_size=6)
Drawn = dict[str, tuple[str | None, bytes] | None]


def elements(content: bytes) -> tuple[bytes, dict[int, bytes]]:
    """Take an explicit little endian file apart: what is before the data set, and its elements by their tags."""
    start = 144 + struct.unpack_from("<L", content, 140)[0]
    before, found, position = content[:start], {}, start
    while position < len(content):
        group, element, representation, length = struct.unpack_from("<HH2sH", content, position)
        head = 8
        if representation.decode() in LONG:
            head, (length,) = 12, struct.unpack_from("<L", content, position + 8)
        found[group << 16 | element] = content[position : position + head + length]
        position += head + length
    return before, found


BEFORE, ELEMENTS = elements(encoded(plain(), plain().file_meta.TransferSyntaxUID))


def element(tag: int, representation: str, value: bytes) -> bytes:
    """Write an element, whatever its representation allows."""
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, representation.encode())
    length = struct.pack("<HL", 0, len(value)) if representation in LONG else struct.pack("<H", len(value))
    return head + length + value


def changed(drawn: Drawn) -> bytes:
    """A radiograph's file with other elements in it; None takes one out."""
    found = dict(ELEMENTS)
    for keyword, new in drawn.items():
        tag = tag_for_keyword(keyword) or 0
        old = found.pop(tag, None)
        if new is not None:
            representation, value = new
            known = old[4:6].decode() if old else "LO"
            found[tag] = element(tag, representation or known, value)
    return BEFORE + b"".join(found[tag] for tag in sorted(found))


def assess(path: Path) -> Iterator[Case]:
    """Do what the application does with a folder, with made-up answers."""
    for case in scan(path, path / "out", TIME):
        select(case.images, SIDE)
        for image in case.assessed_images:
            _read(image)
        settle_duplicates(case.images)
        yield case


def _read(image: CaseImage) -> None:
    assert image.header is not None
    try:
        decoded = read_pixels(image.path)
    except Refused as refused:
        image.refuse(refused.reason, refused.detail)
        return
    image.radiograph, image.results = decoded.radiograph, all_results()
    image.fingerprint = fingerprint(image.header, decoded.pixel_sha256)


def every_text(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield all text in a data set with its keyword."""
    for found in dataset.iterall():
        if found.VR not in ("SQ", "OB", "OW", "UN"):
            parts = found.value if isinstance(found.value, MultiValue) else [found.value]
            yield from ((found.keyword, str(part)) for part in parts if part is not None)


def check(content: bytes, folder: Path) -> bool:
    """Read a file, and make the report where there is one; whether there was."""
    folder.mkdir(exist_ok=True)
    (folder / "file.dcm").write_bytes(content)
    reported = False
    for case in assess(folder):
        case_fingerprint(case)
        outcome(case)
        if not case.study_instance_uid:
            continue
        try:
            report = build_report(case, PROVENANCE)
        except ReportError:
            continue
        reported = True
        assert missing_rows(report) == []
        path = folder.parent / "report.dcm"
        write(report, path)
        again = dcmread(path)
        assert missing_rows(again) == []
        assert again == report
        for keyword, text in every_text(again):
            assert not CONTROL.search(text), keyword
        for image in case.assessed_images:
            check_objects_of(case, image, folder.parent)
    return reported


def check_objects_of(case: Case, image: CaseImage, folder: Path) -> None:
    """Make what is about one image, and check it as the application does: no header makes a good object fail."""
    made = {
        "sc": build_overlay(case, image, image.results[0], PROVENANCE),
        "gsps": build_presentation_state(case, image, PROVENANCE),
        "pm": build_parametric_map(case, image, PROVENANCE),
    }
    for kind, dataset in made.items():
        write_checked(dataset, folder / f"{kind}.dcm", kind, folder / "quarantine", image.header)


def test_the_unchanged_header_makes_a_report(tmp_path: Path) -> None:
    assert changed({}) == encoded(plain(), plain().file_meta.TransferSyntaxUID)
    assert check(changed({}), tmp_path / "in")


@pytest.mark.parametrize(
    "drawn",
    [
        {"BurnedInAnnotation": (None, b"yes")},
        {"BurnedInAnnotation": (None, b"YES\\NO")},
        {"BurnedInAnnotation": ("LO", b"PERHAPS")},
        {"PhotometricInterpretation": (None, b"monochrome1")},
        {"PhotometricInterpretation": ("LO", b" MONOCHROME1")},
        {"PresentationLUTShape": ("CS", b"identity")},
    ],
)
def test_objects_of_images_with_odd_but_readable_headers_pass_the_check(tmp_path: Path, drawn: Drawn) -> None:
    assert check(changed(drawn), tmp_path / "in")


common = settings(derandomize=True, database=None)


@settings(common, max_examples=50, phases=[Phase.generate])
@given(drawn=changes)
def test_any_header_gives_a_refusal_or_a_clean_report(tmp_path: Path, drawn: Drawn) -> None:
    check(changed(drawn), tmp_path / "in")


@pytest.mark.full
@settings(common, max_examples=400)
@example(drawn={"AccessionNumber": ("PN", b"0")})
@given(drawn=changes)
def test_many_headers_give_a_refusal_or_a_clean_report(tmp_path: Path, drawn: Drawn) -> None:
    check(changed(drawn), tmp_path / "in")
