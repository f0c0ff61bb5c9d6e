"""Selecting by headers: synthetic ones for each rule, real ones for the whole."""

from __future__ import annotations

from dataclasses import replace
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
from candor.study.selection import DEFAULT_WORDS
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
        ("LLD", [], ["L", "F"], Reason.DECUBITUS),
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


# The table of words: what modalities write


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *((word, []) for word in ("CHEST PA", "CHEST_PA", "PORT CHEST", "W CHEST", "THORAX PA", "TORACE", "BRUSTKORB")),
        *((word, []) for word in ("POUMON", "Tórax", "Thorax a.p.", "KLATKA PIERSIOWA", "ГРУДНАЯ КЛЕТКА", "胸部")),
        *((word, [Reason.BODY_PART_BLANK]) for word in ("UNKNOWN", "PORTABLE", "XXCHESTXX", "???", "", "PIERSIOWA")),
        *((word, Reason.NOT_CHEST) for word in ("SKULL", "KNEE", "CHEST ABDOMEN", "RIBS", "T-SPINE", "Schädel")),
        *((word, Reason.NOT_CHEST) for word in ("EXTREMITY", "THORACIC SPINE", "L.SPINE", "BREAST", "HÜFTE", "GENOU")),
        *((word, Reason.NOT_HUMAN) for word in ("CANINE", "CANINE THORAX", "Feline chest")),
    ],
)
def test_a_body_part_is_found_by_its_words(word: str, expected: Any) -> None:
    header = radiograph_dataset(BodyPartExamined=word, AnatomicRegionSequence=[])
    assert outcome_of(header) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *((word, []) for word in ("PA ERECT", "AP SUPINE", "P.A.", "A-P", "P A", "pa", "AP_PORTABLE", "FRONTAL")),
        *((word, []) for word in ("Postero-Anterior", "antéro postérieur", "正面")),
        *((word, [Reason.VIEW_BLANK]) for word in ("PORTABLE", "UNKNOWN", "ERECT", "", "APPA")),
        *((word, Reason.NOT_FRONTAL) for word in ("LL", "L.L.", "RL", "LATERAL", "L LAT", "PA/LAT", "AP LORDOTIC")),
        *((word, Reason.NOT_FRONTAL) for word in ("Seitlich", "PERFIL", "OBLIQUE", "MLO", "側面")),
        *((word, Reason.DECUBITUS) for word in ("LLD", "RLD", "AP DECUB", "LEFT LATERAL DECUBITUS", "Seitenlage")),
    ],
)
def test_a_view_is_found_by_its_words(word: str, expected: Any) -> None:
    header = radiograph_dataset(ViewPosition=word, ViewCodeSequence=[], PatientOrientation="")
    assert outcome_of(header) == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"Modality": "XR"}, []),
        ({"Modality": "?"}, []),
        ({"Modality": "OT"}, Reason.NOT_RADIOGRAPHY),
        ({"Modality": "PX"}, Reason.NOT_RADIOGRAPHY),
        ({"PresentationIntentType": "Presentation"}, []),
        ({"PresentationIntentType": "for_processing"}, Reason.FOR_PROCESSING),
        ({"PresentationIntentType": "RAW"}, Reason.FOR_PROCESSING),
        ({"PatientSpeciesDescription": "Homo sapiens"}, []),
        ({"PatientSpeciesDescription": "UNKNOWN"}, []),
        ({"PatientSpeciesDescription": "-"}, []),
        ({"PatientSpeciesDescription": "CANINE"}, Reason.NOT_HUMAN),
        ({"PatientSpeciesDescription": "Vicugna pacos"}, Reason.NOT_HUMAN),
        ({"PatientSpeciesCodeSequence": codes(("SRT", "L-80700"))}, Reason.NOT_HUMAN),
        ({"PatientSpeciesCodeSequence": codes(("SCT", "337915000"))}, []),
        ({"PatientSpeciesCodeSequence": codes(("99X", "1"))}, []),
        ({"QualityControlImage": "NO"}, []),
        ({"QualityControlImage": "YES"}, Reason.QUALITY_CONTROL),
        ({"QualityControlImage": "BOTH"}, Reason.QUALITY_CONTROL),
        ({"ImageType": ["DERIVED", "PRIMARY", "BONE_SUPPRESSED"]}, Reason.SUBTRACTED),
        ({"ImageType": ["DERIVED", "PRIMARY", "DUAL_ENERGY"]}, Reason.SUBTRACTED),
        ({"ImageType": ["DERIVED", "PRIMARY", "SOFT_TISSUE"]}, Reason.SUBTRACTED),
        ({"DerivationDescription": "Dual-energy subtraction"}, Reason.SUBTRACTED),
        ({"AcquisitionDeviceProcessingDescription": "Chest, bone suppression"}, Reason.SUBTRACTED),
        ({"ImageType": ["DERIVED", "SECONDARY"], "SeriesDescription": "CXR Bone Suppressed"}, Reason.SUBTRACTED),
        ({"ImageType": ["ORIGINAL", "PRIMARY"], "SeriesDescription": "CXR Bone Suppressed"}, []),
        ({"ImageType": ["DERIVED", "PRIMARY", "POST_PROCESSED"]}, []),
        ({"PatientPosition": "HFDL"}, Reason.DECUBITUS),
    ],
)
def test_what_else_the_words_say(attributes: dict[str, Any], expected: Any) -> None:
    assert outcome_of(radiograph_dataset(**attributes)) == expected


@pytest.mark.parametrize("code", [("SCT", "102536004"), ("SCT", "102535000"), ("SRT", "F-10319")])
@pytest.mark.parametrize("is_view", [True, False])
def test_a_decubitus_view_is_known_by_its_codes(code: tuple[str, str], is_view: bool) -> None:
    outer, inner = (
        ("ViewCodeSequence", "ViewModifierCodeSequence")
        if is_view
        else ("PatientOrientationCodeSequence", "PatientOrientationModifierCodeSequence")
    )
    (item,) = codes(("SCT", "399348003") if is_view else ("SCT", "102538003"))
    setattr(item, inner, codes(code))
    assert refusal(**{outer: [item]}) is Reason.DECUBITUS


def test_a_site_has_its_own_words() -> None:
    ours = replace(DEFAULT_WORDS, chest=("BRYST",), other_body_parts=("CHEST",))
    assert check(radiograph_dataset(BodyPartExamined="Bryst"), SIDE, ours) == ()
    with pytest.raises(Refused, match='Body Part Examined is "CHEST"'):
        check(radiograph_dataset(AnatomicRegionSequence=[]), SIDE, ours)


@pytest.mark.parametrize(
    ("keyword", "value", "shown"),
    [
        ("BodyPartExamined", "SKULL", "SKULL"),
        ("ViewPosition", "L LAT", "L LAT"),
        ("Modality", "MG", "MG"),
        ("BodyPartExamined", 'KNEE <b>"x"</b>\n{1}', "KNEE ?b??x??/b? ?1?"),
        ("BodyPartExamined", "KNEE " + "9" * 60, "KNEE 999999999999999999999999..."),
    ],
)
def test_a_refusal_shows_the_value_within_bounds(keyword: str, value: str, shown: str) -> None:
    refused = image("a.dcm", **{keyword: value, "AnatomicRegionSequence": [], "ViewCodeSequence": []})
    select([refused], SIDE)
    assert refused.refusal
    assert refused.refusal.value == shown
    assert f'is "{shown}"' in refused.refusal.detail
    assert len(shown) <= 32


def test_a_value_that_is_not_known_is_shown() -> None:
    unknown = image("a.dcm", BodyPartExamined="PORTABLE X", AnatomicRegionSequence=[])
    select([unknown], SIDE)
    (note,) = unknown.notices
    assert (note.reason, note.value) == (Reason.BODY_PART_BLANK, "PORTABLE X")
    assert note.detail == 'Body Part Examined is "PORTABLE X", which is not known'


def outcome_of(header: Dataset) -> Reason | list[Reason]:
    try:
        return [note.reason for note in check(header, SIDE)]
    except Refused as refused:
        return refused.reason


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
