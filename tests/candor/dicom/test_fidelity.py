"""What results carry of their source, in every kind of object: all that they should, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.datadict import DicomDictionary, dictionary_VR, keyword_for_tag
from pydicom.dataset import PrivateBlock
from pydicom.tag import Tag

from candor.dicom.read.file import read_header, read_pixels
from candor.dicom.read.select import check
from candor.dicom.shared.identity import IDENTITY
from candor.study.case import CaseImage
from candor.study.errors import Refused
from candor.study.result_object import KINDS
from candor.words.results_json import summarise
from tests.cases import PROVENANCE
from tests.factory import radiograph_dataset
from tests.objects import case_with, write_objects

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

VALID: dict[str, list[str]] = {
    "PatientName": ["Test^One", "Sjöström^Åke", "A^B^C^D^E"],
    "PatientID": ["4711", "A B-7/1", "x" * 64],
    "PatientBirthDate": ["19700101"],
    "PatientSex": ["M", "F", "O"],
    "StudyDate": ["20260101"],
    "StudyTime": ["101112", "10", "101112.123456"],
    "AccessionNumber": ["A1", "x" * 16],
    "ReferringPhysicianName": ["Weiß^Ä"],
    "StudyID": ["1", "S 1"],
    "IssuerOfPatientID": ["HOSPITAL", "Spital Zürich"],
    "PatientAge": ["060Y", "003M"],
    "StudyDescription": ["Röntgen Thorax", "XR CHEST"],
    "TimezoneOffsetFromUTC": ["+0200", "-0330", "+0000"],
}
INVALID: dict[str, list[str]] = {
    "PatientName": ["a\x07b", "x" * 65],
    "PatientID": ["x" * 65, "a\tb"],
    "PatientBirthDate": ["1970-01-01", "19701301x", "unknown"],
    "PatientSex": ["X", "male"],
    "StudyDate": ["20260101-20260102"],
    "StudyTime": ["25", "10:11:12"],
    "AccessionNumber": ["x" * 17],
    "ReferringPhysicianName": ["a\x1fb"],
    "StudyID": ["x" * 17],
    "IssuerOfPatientID": ["x" * 65],
    "PatientAge": ["60", "60 years"],
    "StudyDescription": ["x" * 65, "line\nline"],
    "TimezoneOffsetFromUTC": ["CET", "+2500"],
}
TYPE_3 = ("IssuerOfPatientID", "PatientAge", "StudyDescription", "TimezoneOffsetFromUTC")


def header_from(dataset: Dataset) -> Dataset:
    """Write and read a data set, so that its values are what a file gives."""
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    file.seek(0)
    return dcmread(file, stop_before_pixels=True)


def put(dataset: Dataset, keyword: str, vr: str, value: str) -> None:
    """Set an attribute past pydicom's own checks."""
    element = DataElement(keyword, vr if vr == "PN" else "LT", value, validation_mode=config.IGNORE)
    element.VR = vr
    dataset[keyword] = element


def objects_of(header: Dataset, folder: Path) -> Iterator[tuple[str, Dataset]]:
    files = write_objects(header, folder)
    assert files.keys() == set(KINDS)
    for kind, file in files.items():
        yield kind, dcmread(file)


SOURCE = st.fixed_dictionaries(
    {
        keyword: st.one_of(
            st.sampled_from(valid).map(lambda value: (value, value)),
            st.sampled_from(INVALID[keyword]).map(lambda value: (value, "")),
            st.just(("", "")),
            st.just((None, "")),
        )
        for keyword, valid in VALID.items()
    }
)


@settings(max_examples=8)
@given(values=SOURCE)
def test_each_object_carries_what_is_valid_and_leaves_the_rest_empty(
    values: dict[str, tuple[str | None, str]], tmp_path: Path
) -> None:
    source = radiograph_dataset(TimezoneOffsetFromUTC="+0100")
    for keyword, (given_value, _) in values.items():
        if given_value is None:
            delattr(source, keyword)
        else:
            put(source, keyword, source[keyword].VR, given_value)
    for kind, made in objects_of(header_from(source), tmp_path):
        for keyword, (_, expected) in values.items():
            if not expected and keyword in TYPE_3:
                assert keyword not in made, (kind, keyword)
            else:
                assert str(made[keyword].value or "") == expected, (kind, keyword)


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


ISSUER = {"UniversalEntityID": "1.2.3.4", "UniversalEntityIDType": "ISO"}


def test_each_object_says_who_issued_the_numbers(tmp_path: Path) -> None:
    facility = item(LocalNamespaceEntityID="WARD", **ISSUER)
    qualifiers = item(**ISSUER, IdentifierTypeCode="MR", AssigningFacilitySequence=[facility])
    other = item(
        PatientID="4712",
        TypeOfPatientID="RFID",
        IssuerOfPatientID="CITY",
        IssuerOfPatientIDQualifiersSequence=[item(**ISSUER)],
    )
    source = radiograph_dataset(
        IssuerOfPatientIDQualifiersSequence=[qualifiers],
        IssuerOfAccessionNumberSequence=[item(LocalNamespaceEntityID="RIS")],
        OtherPatientIDsSequence=[other],
        RequestAttributesSequence=[item(RequestedProcedureID="P1", RequestedProcedureDescription="Chest")],
    )
    expected = header_from(source)
    for kind, made in objects_of(expected, tmp_path):
        for keyword in (
            "IssuerOfPatientID",
            "IssuerOfPatientIDQualifiersSequence",
            "IssuerOfAccessionNumberSequence",
            "OtherPatientIDsSequence",
        ):
            assert made[keyword].value == expected[keyword].value, (kind, keyword)
        if kind in ("sr", "ko"):
            (request,) = made.ReferencedRequestSequence
            assert (request.RequestedProcedureID, request.RequestedProcedureDescription) == ("P1", "Chest")
            assert request.AccessionNumber == made.AccessionNumber
            assert request.IssuerOfAccessionNumberSequence == expected.IssuerOfAccessionNumberSequence
            assert request.StudyInstanceUID == made.StudyInstanceUID
        else:
            assert "ReferencedRequestSequence" not in made


@pytest.mark.parametrize(
    "broken",
    [
        item(UniversalEntityID="1.2.3.4"),
        item(UniversalEntityID="1.2.3.4", UniversalEntityIDType="OTHER"),
        item(UniversalEntityIDType="ISO"),
        item(),
    ],
    ids=["no type", "unknown type", "no ID", "empty"],
)
def test_an_issuer_that_says_nothing_is_left_out(broken: Dataset, tmp_path: Path) -> None:
    sequences = ("IssuerOfPatientIDQualifiersSequence", "IssuerOfAccessionNumberSequence")
    source = radiograph_dataset(**{keyword: [broken] for keyword in sequences})
    for kind, made in objects_of(header_from(source), tmp_path):
        assert not set(sequences) & set(made.dir()), kind


TEXT = "Canary777"
CANARIES = {
    **dict.fromkeys(("LO", "SH", "LT", "ST", "UT", "UC", "UR", "PN"), TEXT),
    **dict.fromkeys(("CS", "AE"), TEXT.upper()),
    **dict.fromkeys(("OB", "OW", "UN", "OB or OW"), TEXT.encode() + b"\0"),
    **dict.fromkeys(("DS", "IS"), "77777777"),
    "UI": "1.2.77777777.7",
    "DA": "17770707",
    "DT": "17770707070707",
    "TM": "070707.777",
}
TRACES = (TEXT.encode(), TEXT.upper().encode(), b"77777777", b"17770707", b"070707.777")

PICTURE = {
    "Modality", "SpecificCharacterSet", "PresentationIntentType", "PresentationLUTShape", "PixelSpacing",
    "ImagerPixelSpacing", "NominalScannedPixelSpacing", "RequestedProcedureID", "RequestedProcedureDescription",
    "AnatomicRegionSequence", "ViewCodeSequence", "ModalityLUTSequence", "VOILUTSequence", "PixelData",
    "RequestAttributesSequence", "OtherPatientIDsSequence", "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence", "IssuerOfAccessionNumberSequence",
}  # fmt: skip
"""What a result may carry, and what says how to read the picture; all else of the dictionary gets a canary."""


def canary(keyword: str) -> Any:
    """A value that stands out, of the right VR; None for numbers in bytes."""
    vr = dictionary_VR(keyword)
    return [canary_item()] if vr == "SQ" else CANARIES.get(vr)


def canary_item() -> Dataset:
    return item(PatientName=TEXT, CodeMeaning=TEXT, TextValue=TEXT, UID="1.2.77777777.7", Date="17770707")


def is_canary(keyword: str, group: int) -> bool:
    words = dictionary_VR(keyword) in ("LO", "SH", "LT", "ST", "UT") if keyword else False
    reads_picture = group == 0x0028 and not words
    return bool(keyword) and group > 0x0007 and keyword not in {*IDENTITY, *PICTURE} and not reads_picture


def source_full_of_canaries() -> Dataset:
    """An image with a canary in every attribute that pydicom knows and that no result has a use for."""
    source = radiograph_dataset(BurnedInAnnotation="YES")
    for tag in DicomDictionary:
        keyword = keyword_for_tag(tag)
        if is_canary(keyword, tag >> 16) and canary(keyword) is not None:
            source.add_new(tag, _vr(keyword), canary(keyword))
    for group in (0x6000, 0x6002, 0x5000):
        source.add_new(Tag(group, 0x3000), "OW", TEXT.encode() + b"\0")
        source.add_new(Tag(group, 0x0022), "LO", TEXT)
        source.add_new(Tag(group, 0x1500), "LO", TEXT)
    for group in (0x0009, 0x0011, 0x0019, 0x0029, 0x7FE1):
        block: PrivateBlock = source.private_block(group, TEXT, create=True)
        block.add_new(0x01, "LO", TEXT)
        block.add_new(0x02, "OB", TEXT.encode() + b"\0")
        block.add_new(0x03, "SQ", [canary_item()])
    order = canary_item()
    order.RequestedProcedureID, order.ScheduledProcedureStepDescription = "P1", TEXT
    other = canary_item()
    other.PatientID, other.TypeOfPatientID = "4712", "TEXT"
    issuer = canary_item()
    issuer.LocalNamespaceEntityID = "RIS"
    source.RequestAttributesSequence, source.OtherPatientIDsSequence = [order], [other]
    source.IssuerOfAccessionNumberSequence = [issuer]
    return source


def _vr(keyword: str) -> str:
    return dictionary_VR(keyword).split(" ")[-1]


def traces(data: bytes) -> list[bytes]:
    return [trace for trace in TRACES if trace in data]


def test_nothing_else_of_the_source_stands_in_any_result(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source = source_full_of_canaries()
    source.save_as(tmp_path / "source.dcm", enforce_file_format=True)
    assert len(source) > 3000
    assert set(traces((tmp_path / "source.dcm").read_bytes())) == set(TRACES)
    header = read_header(tmp_path / "source.dcm")
    for kind, file in write_objects(header, tmp_path).items():
        found = traces(file.read_bytes())
        assert found == [], (kind, [element for element in dcmread(file).iterall() if "anary" in str(element).lower()])
        made = dcmread(file)
        assert not any(element.tag.is_private or element.tag.group & 0xFF00 == 0x6000 for element in made.iterall())
    assert traces(caplog.text.encode()) == []
    assert traces(summarise([case_with(header)], PROVENANCE).to_json()) == []


@pytest.mark.parametrize("stated", ["YES", "NO"])
def test_letters_in_the_pixels_are_said_to_be_there_by_what_shows_the_pixels(stated: str, tmp_path: Path) -> None:
    made = dict(objects_of(header_from(radiograph_dataset(BurnedInAnnotation=stated)), tmp_path))
    assert made["sc"].BurnedInAnnotation == stated
    assert made["pm"].BurnedInAnnotation == "NO"
    assert all("BurnedInAnnotation" not in made[kind] for kind in ("sr", "ko", "gsps"))


def test_the_patient_stands_in_no_note_no_summary_and_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    names = ("PatientName", "PatientID", "AccessionNumber", "StudyDescription", "StudyID", "IssuerOfPatientID")
    header = header_from(radiograph_dataset(**dict.fromkeys(names, TEXT), PatientBirthDate="17770707"))
    made = dict(objects_of(header, tmp_path))
    assert all(traces((tmp_path / f"{kind}.dcm").read_bytes()) for kind in made)
    assert traces(caplog.text.encode()) == []
    assert traces(summarise([case_with(header)], PROVENANCE).to_json()) == []


READ = sorted(
    {keyword_for_tag(element.tag) for element in radiograph_dataset() if element.VR not in ("SQ", "OW")}
    | {"RescaleSlope", "WindowCenter", "VOILUTFunction", "NumberOfFrames", "PixelAspectRatio", "PatientOrientation"}
)


@pytest.mark.parametrize("keyword", READ)
def test_a_refusal_never_quotes_the_attribute_that_it_is_about(keyword: str, tmp_path: Path) -> None:
    source = radiograph_dataset()
    vr = dictionary_VR(keyword) if dictionary_VR(keyword) in ("CS", "DS", "IS", "UI", "DA", "TM", "PN", "SH") else "LO"
    put(source, keyword, vr, TEXT)
    source.save_as(tmp_path / "source.dcm", enforce_file_format=True)
    image = CaseImage("a", tmp_path / "source.dcm")
    said: list[str] = []
    try:
        image.header = read_header(image.path)
        said += [note.text for note in check(image.header, 100)]
        said += [note.text for note in read_pixels(image.path).notices]
    except Refused as refused:
        said += [str(refused), refused.detail]
    assert traces(" ".join(said).encode()) == []


def test_other_issuers_ids_or_orders_make_other_results(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"IssuerOfPatientIDQualifiersSequence": [item(**ISSUER)]},
        {"IssuerOfAccessionNumberSequence": [item(LocalNamespaceEntityID="RIS")]},
        {"OtherPatientIDsSequence": [item(PatientID="1", TypeOfPatientID="TEXT")]},
        {"RequestAttributesSequence": [item(RequestedProcedureID="P1")]},
        {"BurnedInAnnotation": "YES"},
    ]
    uids = [
        str(made.SOPInstanceUID)
        for number, change in enumerate(changes)
        for _, made in objects_of(header_from(radiograph_dataset(**change)), _folder(tmp_path, number))
    ]
    assert len(set(uids)) == len(changes) * len(KINDS)


def _folder(path: Path, number: int) -> Path:
    (path / str(number)).mkdir()
    return path / str(number)
