"""Selecting by headers: synthetic ones for each rule, real ones for the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    CTImageStorage,
    DigitalXRayImageStorageForProcessing,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MediaStorageDirectoryStorage,
    RTPlanStorage,
    SecondaryCaptureImageStorage,
)

from candor.dicom.read.file import read_header
from candor.dicom.read.select import check, select
from candor.dicom.shared.identity import reportable_images
from candor.study.case import CaseImage
from candor.study.errors import Refused
from candor.study.provenance import MANUFACTURER
from candor.study.reasons import Reason
from tests.cases import assessed, case_of, header_of
from tests.factory import coded, radiograph_dataset

SIDE = 200


def notices(**attributes: Any) -> list[Reason]:
    return [note.reason for note in check(radiograph_dataset(**attributes), SIDE)]


def refusal(header: Dataset | None = None, **attributes: Any) -> Reason:
    with pytest.raises(Refused) as refused:
        check(radiograph_dataset(**attributes) if header is None else header, SIDE)
    assert refused.value.detail
    return refused.value.reason


def codes(*values: tuple[str, str]) -> list[Dataset]:
    return [coded(value, scheme, "meaning") for scheme, value in values]


@pytest.mark.parametrize("kind", ["CR", "DX"])
@pytest.mark.parametrize("view", ["PA", "AP"])
def test_frontal_chest_radiographs_are_accepted(kind: str, view: str) -> None:
    assert notices(kind=kind, view=view) == []


@pytest.mark.parametrize("modality", ["RG", ""])
def test_modalities_that_fit_are_accepted(modality: str) -> None:
    assert notices(kind="CR", Modality=modality) == []


# The kind of object


def without_rows(sop_class: UID) -> Dataset:
    header = radiograph_dataset(SOPClassUID=sop_class)
    del header.Rows, header.Columns, header.PixelData
    return header


@pytest.mark.parametrize(
    "sop_class",
    [
        BasicTextSRStorage,
        KeyObjectSelectionDocumentStorage,
        GrayscaleSoftcopyPresentationStateStorage,
        RTPlanStorage,
        EncapsulatedPDFStorage,
    ],
)
def test_what_is_no_image_is_refused(sop_class: UID) -> None:
    assert refusal(without_rows(sop_class)) is Reason.NOT_AN_IMAGE


def test_a_directory_is_no_image() -> None:
    header = without_rows(MediaStorageDirectoryStorage)
    del header.SOPClassUID, header.SOPInstanceUID, header.StudyInstanceUID
    assert refusal(header) is Reason.NOT_AN_IMAGE


@pytest.mark.parametrize("sop_class", [CTImageStorage, SecondaryCaptureImageStorage, UID("1.2.3.4")])
def test_other_images_are_refused(sop_class: UID) -> None:
    assert refusal(SOPClassUID=sop_class) is Reason.NOT_RADIOGRAPHY


def test_an_unknown_sop_class_is_not_quoted() -> None:
    with pytest.raises(Refused) as refused:
        check(radiograph_dataset(SOPClassUID="1.2.3.4"), SIDE)
    assert "1.2.3.4" not in str(refused.value)


def test_other_modalities_are_refused() -> None:
    assert refusal(Modality="MG") is Reason.NOT_RADIOGRAPHY


def test_images_for_processing_are_refused() -> None:
    assert refusal(SOPClassUID=DigitalXRayImageStorageForProcessing) is Reason.FOR_PROCESSING
    assert refusal(PresentationIntentType="FOR PROCESSING") is Reason.FOR_PROCESSING


def test_our_own_results_are_refused() -> None:
    assert refusal(SOPClassUID=SecondaryCaptureImageStorage, Manufacturer=MANUFACTURER) is Reason.OWN_RESULT
    report = without_rows(BasicTextSRStorage)
    report.Manufacturer = MANUFACTURER
    assert refusal(report) is Reason.OWN_RESULT


@pytest.mark.parametrize("manufacturer", [MANUFACTURER, MANUFACTURER.upper()])
def test_a_radiograph_that_says_it_is_ours_is_refused_and_reported(manufacturer: str) -> None:
    image = assessed(header_of(Manufacturer=manufacturer))
    select([image], SIDE)
    assert image.refusal is not None
    assert image.refusal.reason is Reason.SAYS_OURS
    assert reportable_images(case_of(image)) == [image]


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
@pytest.mark.parametrize("value", ["", "../../etc", "1.2.x"])
def test_invalid_identifiers_are_refused(keyword: str, value: str) -> None:
    header = radiograph_dataset()
    del header.file_meta
    setattr(header, keyword, value)
    assert refusal(header) is Reason.INVALID_IDENTIFIERS


def test_headers_alone_are_refused_before_small_pictures() -> None:
    header = radiograph_dataset(Rows=32, Columns=32)
    assert refusal(header) is Reason.TOO_SMALL
    del header.PixelData
    assert refusal(header) is Reason.NO_PIXELS


@pytest.mark.parametrize("size", [{"Rows": SIDE - 1}, {"Columns": SIDE - 1}, {"Rows": None}])
def test_small_pictures_are_refused(size: dict[str, Any]) -> None:
    assert refusal(**size) is Reason.TOO_SMALL
    assert notices(Rows=SIDE, Columns=SIDE) == []


# The body part

THORAX, HIP = ("SCT", "816094009"), ("SCT", "29836001")


@pytest.mark.parametrize("word", ["CHEST", "chest ", "THORAX", "LUNG"])
@pytest.mark.parametrize(
    "region",
    [
        [],
        [THORAX],
        [("SCT", "51185008")],
        [("SRT", "T-D3000")],
        [("SNM3", "T-D3000")],
        [("99SDM", "T-28000")],
        [("99X", "1")],
    ],
)
def test_the_chest_is_accepted_by_every_name(word: str, region: list[tuple[str, str]]) -> None:
    assert notices(BodyPartExamined=word, AnatomicRegionSequence=codes(*region)) == []


@pytest.mark.parametrize(
    ("word", "region", "expected"),
    [
        ("HIP", [], Reason.NOT_CHEST),
        ("RIB", [], Reason.NOT_CHEST),
        ("", [HIP], Reason.NOT_CHEST),
        ("", [("SRT", "T-15710")], Reason.NOT_CHEST),
        ("HIP", [HIP], Reason.NOT_CHEST),
        ("CHEST", [HIP], Reason.CONTRADICTION),
        ("HIP", [THORAX], Reason.CONTRADICTION),
        ("", [THORAX, HIP], Reason.CONTRADICTION),
    ],
)
def test_other_body_parts_are_refused(word: str, region: list[tuple[str, str]], expected: Reason) -> None:
    assert refusal(BodyPartExamined=word, AnatomicRegionSequence=codes(*region)) is expected


@pytest.mark.parametrize("region", [[], codes(("99X", "HIP")), [Dataset()]])
def test_a_blank_body_part_is_noticed(region: list[Dataset]) -> None:
    assert notices(BodyPartExamined="", AnatomicRegionSequence=region) == [Reason.BODY_PART_BLANK]


# The view

PA, LATERAL = ("SCT", "272479007"), ("SCT", "399067008")


@pytest.mark.parametrize(
    ("word", "code"),
    [("PA", []), ("", [PA]), ("AP", [("SRT", "R-10206")]), ("", [("SNM3", "R-10214")]), ("PA", [("99X", "1")])],
)
def test_frontal_views_are_accepted_by_every_name(word: str, code: list[tuple[str, str]]) -> None:
    assert notices(ViewPosition=word, ViewCodeSequence=codes(*code)) == []


@pytest.mark.parametrize(
    ("word", "code", "orientation", "expected"),
    [
        ("LL", [], ["A", "F"], Reason.NOT_FRONTAL),
        ("LLD", [], ["L", "F"], Reason.NOT_FRONTAL),
        ("RAO", [], ["L", "F"], Reason.NOT_FRONTAL),
        ("", [LATERAL], "", Reason.NOT_FRONTAL),
        ("", [], ["A", "F"], Reason.NOT_FRONTAL),
        ("", [], ["P", "F"], Reason.NOT_FRONTAL),
        ("", [], ["LA", "F"], Reason.NOT_FRONTAL),
        ("PA", [LATERAL], ["L", "F"], Reason.CONTRADICTION),
        ("LL", [PA], ["L", "F"], Reason.CONTRADICTION),
        ("PA", [PA], ["A", "F"], Reason.CONTRADICTION),
        ("PA", [], ["P", "F"], Reason.CONTRADICTION),
    ],
)
def test_other_views_are_refused(word: str, code: list[tuple[str, str]], orientation: Any, expected: Reason) -> None:
    header = radiograph_dataset(ViewPosition=word, ViewCodeSequence=codes(*code), PatientOrientation=orientation)
    assert refusal(header) is expected


@pytest.mark.parametrize("orientation", [["L", "F"], ["H", "L"], "", None])
def test_a_blank_view_is_noticed(orientation: Any) -> None:
    assert notices(ViewPosition="", ViewCodeSequence=[], PatientOrientation=orientation) == [Reason.VIEW_BLANK]


def test_descriptions_are_not_believed() -> None:
    assert refusal(BodyPartExamined="HIP", AnatomicRegionSequence=[]) is Reason.NOT_CHEST
    assert notices(StudyDescription="XR HIP", SeriesDescription="LATERAL", ProtocolName="HIP LAT") == []


# A study


def image(name: str, **attributes: Any) -> CaseImage:
    return CaseImage(name, Path(name), radiograph_dataset(**attributes))


def test_earlier_refusals_stay_and_notices_are_added() -> None:
    unread = CaseImage("a", Path("a"))
    unread.refuse(Reason.UNREADABLE, "before")
    blank = image("b.dcm", ViewPosition="", ViewCodeSequence=[])
    select([unread, blank], SIDE)
    assert unread.refusal
    assert unread.refusal.detail == "before"
    assert [note.reason for note in blank.notices] == [Reason.VIEW_BLANK]


# Real files


def outcome(path: Path) -> Reason | list[Reason]:
    try:
        return [note.reason for note in check(read_header(path), SIDE)]
    except Refused as refused:
        return refused.reason


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DIAGNijmegen__cxr.dcm", []),
        ("Enet4__RG1_J2KI.dcm", []),
        ("Enet4__RG1_JLSN", []),
        ("pypi_pydicom_data__RG1_UNCI.dcm", []),
        ("pypi_pydicom_data__RG1_J2KR.dcm", []),
        ("pydicom__966_fixed.dcm", []),
        ("Spoksonat__cxr.dcm", [Reason.VIEW_BLANK]),
        ("pydicom__JPEG2KLossless_1s_1f_u_16_16.dcm", [Reason.BODY_PART_BLANK, Reason.VIEW_BLANK]),
        ("pydicom__chrJapMulti.dcm", Reason.NO_PIXELS),
        ("pydicom__chrJapMultiExplicitIR6.dcm", Reason.NO_PIXELS),
        ("pydicom__chrKoreanMulti.dcm", Reason.NO_PIXELS),
        ("Spoksonat__photo.dcm", Reason.NOT_RADIOGRAPHY),
    ],
)
def test_real_chest_files(chest_dicom: Path, name: str, expected: Reason | list[Reason]) -> None:
    assert outcome(chest_dicom / name) == expected


def test_real_files_that_are_no_chest_radiographs(ood_dicom: Path) -> None:
    found = {path.name: outcome(path) for path in ood_dicom.iterdir() if path.suffix != ".csv"}
    assert {name: seen for name, seen in found.items() if "RG" in name and seen is not Reason.NOT_CHEST} == {}
    assert {name: seen for name, seen in found.items() if "CT" in name and seen is not Reason.NOT_RADIOGRAPHY} == {}


def test_no_hostile_file_is_assessed(hostile_dicom: Path) -> None:
    assert not [path.name for path in hostile_dicom.iterdir() if not isinstance(outcome(path), Reason)]


def test_directories_are_no_images(hostile_dicom: Path) -> None:
    for name in ("pydicom__DICOMDIR-bigEnd", "pydicom__DICOMDIR-empty.dcm"):
        assert outcome(hostile_dicom / name) is Reason.NOT_AN_IMAGE
