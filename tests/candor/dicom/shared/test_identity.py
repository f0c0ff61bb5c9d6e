"""Whose results they are: fingerprints, carried attributes, dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from candor.dicom.shared.identity import (
    IDENTITY,
    can_be_referenced,
    carry_character_set,
    carry_over,
    case_fingerprint,
    fingerprint,
    outcome,
    referenced_request,
    reportable_images,
    stamp,
)
from candor.study.case import CaseImage
from candor.study.reasons import Reason
from candor.study.result import Note
from tests.cases import TIME, assessed, case_of, header_of, refused

# The tests put values into headers that pydicom warns of.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

TOKYO = timezone(timedelta(hours=9))


def carried(source: Dataset, *, image: bool = False) -> Dataset:
    target = Dataset()
    carry_over(target, source, image=image)
    return target


def encoded(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> Dataset:
    file = BytesIO()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(file, enforce_file_format=True)
    file.seek(0)
    return dcmread(file)


def item(**values: str) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


ISSUER = item(UniversalEntityID="1.2.3", UniversalEntityIDType="ISO")
OTHER_ID = item(PatientID="4711", TypeOfPatientID="TEXT")
ORDER = item(RequestedProcedureID="P1", RequestedProcedureDescription="Chest")


class TestFingerprint:
    def test_same_instance_has_the_same_however_encoded(self) -> None:
        header = header_of()
        implicit = encoded(header_of(), ImplicitVRLittleEndian)
        assert fingerprint(implicit, "00") == fingerprint(encoded(header), "00") == fingerprint(header, "00")

    def test_is_a_sha256_in_hexadecimal(self) -> None:
        assert len(bytes.fromhex(fingerprint(Dataset(), ""))) == 32

    def test_other_pixels_have_another(self) -> None:
        assert fingerprint(header_of(), "00") != fingerprint(header_of(), "01")

    @pytest.mark.parametrize("keyword", IDENTITY)
    def test_every_identity_attribute_counts(self, keyword: str) -> None:
        changed = header_of()
        other = {"DA": "19700101", "TM": "0102", "AS": "001Y", "CS": "F", "UI": "1.2.3"}
        setattr(changed, keyword, other.get(dictionary_VR(keyword), "+0200"))
        assert fingerprint(changed, "00") != fingerprint(header_of(), "00")

    def test_other_attributes_do_not_count(self) -> None:
        assert fingerprint(header_of(StationName="X"), "00") == fingerprint(header_of(), "00")

    @pytest.mark.parametrize(
        "change",
        [
            {"IssuerOfPatientID": "OTHER"},
            {"IssuerOfPatientIDQualifiersSequence": [ISSUER]},
            {"IssuerOfAccessionNumberSequence": [ISSUER]},
            {"OtherPatientIDsSequence": [OTHER_ID]},
            {"RequestAttributesSequence": [ORDER]},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_what_is_carried_of_sequences_counts(self, change: dict[str, Any]) -> None:
        assert fingerprint(header_of(**change), "00") != fingerprint(header_of(), "00")

    @pytest.mark.parametrize("keyword", [*IDENTITY, "RequestAttributesSequence", "OtherPatientIDsSequence"])
    def test_any_header_has_one(self, keyword: str) -> None:
        broken = header_of(RequestedProcedureID="P1")
        broken.pop(keyword, None)
        broken[keyword] = DataElement(tag_for_keyword(keyword), "OB", b"\xff")
        assert len(fingerprint(broken, "")) == 64

    def test_values_that_are_no_text_count_as_missing(self) -> None:
        broken = header_of()
        broken.add_new("PatientID", "UN", b"\xff")
        assert fingerprint(broken, "00") == fingerprint(header_of(PatientID=None), "00")


class TestCaseFingerprint:
    def test_names_and_order_of_the_files_make_no_difference(self) -> None:
        one, two = header_of(seed="1"), header_of(seed="2")
        expected = case_fingerprint(case_of(assessed(one, "a"), assessed(two, "b")))
        assert case_fingerprint(case_of(assessed(two, "x"), assessed(one, "y"))) == expected

    def test_a_late_image_makes_another(self) -> None:
        early = case_of(assessed(header_of(seed="1")))
        late = case_of(assessed(header_of(seed="1")), refused(header_of(seed="2"), Reason.NO_PIXELS))
        assert case_fingerprint(early) != case_fingerprint(late)

    def test_an_image_refused_before_decoding_counts_with_its_identity(self) -> None:
        before = case_of(refused(header_of(), Reason.NO_PIXELS))
        after = case_of(refused(header_of(PatientName="Other^Name"), Reason.NO_PIXELS))
        assert case_fingerprint(before) != case_fingerprint(after)

    def test_own_results_that_come_back_make_no_difference(self) -> None:
        alone = case_of(assessed(header_of(seed="1")))
        returned = case_of(assessed(header_of(seed="1")), refused(header_of(seed="2"), Reason.OWN_RESULT))
        assert case_fingerprint(alone) == case_fingerprint(returned)
        assert [image.name for image in reportable_images(returned)] == ["a.dcm"]

    def test_files_without_a_header_count(self) -> None:
        one = case_of(refused(None, Reason.UNREADABLE))
        two = case_of(refused(None, Reason.UNREADABLE), refused(None, Reason.UNREADABLE, name="c"))
        assert case_fingerprint(one) != case_fingerprint(two)


class TestOutcome:
    def test_tells_refusals_deferrals_and_notices_apart(self) -> None:
        plain, noticed, deferred, failed = (case_of(assessed(header_of())) for _ in range(4))
        deferred.images[0].deferrals.append(Note(Reason.INVERTED))
        noticed.images[0].notices.append(Note(Reason.LOSSY))
        failed.images[0].refuse(Reason.PROCESSING_FAILED, "")
        assert len({outcome(case) for case in (plain, noticed, deferred, failed)}) == 4


class TestCanBeReferenced:
    def test_an_instance_of_the_study(self) -> None:
        header = header_of()
        assert can_be_referenced(assessed(header), header.StudyInstanceUID)
        assert not can_be_referenced(assessed(header), "1.2.3")

    @pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
    def test_not_without_each_uid(self, keyword: str) -> None:
        header = header_of()
        study = header.StudyInstanceUID
        delattr(header, keyword)
        assert not can_be_referenced(assessed(header), study)

    def test_not_without_a_header(self) -> None:
        assert not can_be_referenced(CaseImage("a", Path("a")), "")


class TestCarryOver:
    def test_patient_and_study_are_the_sources(self) -> None:
        source = header_of(TimezoneOffsetFromUTC="+0200")
        target = carried(source)
        for keyword in ("PatientName", "PatientID", "IssuerOfPatientID", "PatientAge", "AccessionNumber", "StudyID"):
            assert target[keyword].value == source[keyword].value
        assert target.StudyInstanceUID == source.StudyInstanceUID
        assert target.TimezoneOffsetFromUTC == "+0200"

    def test_type_2_is_empty_and_type_3_is_missing_where_the_source_has_none(self) -> None:
        source = Dataset()
        source.StudyInstanceUID = "1.2.3"
        target = carried(source)
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "AccessionNumber"):
            assert target[keyword].value in ("", None)
        assert not {"PatientAge", "IssuerOfPatientID", "IssuerOfAccessionNumberSequence"} & set(target.dir())

    @pytest.mark.parametrize(
        ("keyword", "value"),
        [
            ("AccessionNumber", "d14a028c2a3a2bc9476102bb288234c4"),
            ("PatientBirthDate", "1970.01.01"),
            ("StudyDate", "20200101-20200131"),
            ("PatientSex", "X"),
            ("StudyTime", "25"),
            ("PatientID", "with\ttab"),
            ("PatientID", ["two", "values"]),
        ],
    )
    def test_what_is_not_valid_is_left_empty(self, keyword: str, value: str) -> None:
        source = header_of()
        source[keyword].value = value
        assert not carried(source)[keyword].value

    @pytest.mark.parametrize(("keyword", "value"), [("PatientAge", "60"), ("TimezoneOffsetFromUTC", "CET")])
    def test_type_3_that_is_not_valid_is_left_out(self, keyword: str, value: str) -> None:
        assert keyword not in carried(header_of(**{keyword: value}))

    def test_other_patient_ids_that_are_complete_are_carried(self) -> None:
        complete, incomplete = Dataset(), Dataset()
        complete.PatientID, complete.TypeOfPatientID = "4711", "TEXT"
        incomplete.PatientID = "4712"
        target = carried(header_of(OtherPatientIDsSequence=[complete, incomplete]))
        assert [item.PatientID for item in target.OtherPatientIDsSequence] == ["4711"]
        assert "OtherPatientIDsSequence" not in carried(header_of(OtherPatientIDsSequence=[incomplete]))

    def test_a_report_has_no_anatomy(self) -> None:
        target = carried(header_of())
        assert "BodyPartExamined" not in target
        assert "PatientOrientation" not in target

    def test_an_image_has_the_sources_anatomy(self) -> None:
        target = carried(header_of(), image=True)
        assert target.BodyPartExamined == "CHEST"
        assert target.PatientOrientation == ["L", "F"]
        assert target.BurnedInAnnotation == "NO"
        assert "Laterality" not in target

    def test_an_image_of_a_source_that_states_no_anatomy(self) -> None:
        target = carried(header_of(BodyPartExamined="", PatientOrientation=None), image=True)
        assert target.PatientOrientation == target.Laterality == ""
        assert "BodyPartExamined" not in target

    def test_the_history_of_compression_is_carried_whole(self) -> None:
        lossy = {"LossyImageCompressionRatio": ["2", "10"], "LossyImageCompressionMethod": ["A", "B"]}
        target = carried(header_of(LossyImageCompression="01", **lossy), image=True)
        assert target.LossyImageCompressionRatio == [2, 10]
        assert target.LossyImageCompressionMethod == ["A", "B"]
        assert "LossyImageCompressionRatio" not in carried(header_of(**lossy), image=True)


class TestCharacterSet:
    def test_undeclared_latin_is_declared_and_keeps_its_bytes(self) -> None:
        source = encoded(header_of(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^J"))
        del source.SpecificCharacterSet
        target = carried(source)
        assert target.SpecificCharacterSet == "ISO_IR 100"
        assert target.PatientName.encode(["latin-1"]) == b"M\xfcller^J"

    def test_a_set_that_nobody_knows_becomes_utf_8(self) -> None:
        assert carried(header_of(SpecificCharacterSet="KLINGON")).SpecificCharacterSet == "ISO_IR 192"

    @pytest.mark.parametrize("declared", [None, "", "ISO_IR 6"])
    def test_nothing_declared_becomes_latin_1(self, declared: str | None) -> None:
        assert carried(header_of(SpecificCharacterSet=declared)).SpecificCharacterSet == "ISO_IR 100"

    @pytest.mark.parametrize(
        "declared", [["ISO_IR 192", "ISO 2022 IR 87"], ["", "GB18030"], ["ISO_IR 100", "ISO 2022 IR 126"], ["", ""]]
    )
    def test_sets_that_cannot_stand_together_become_utf_8(self, declared: list[str]) -> None:
        expected = "ISO_IR 100" if not any(declared) else "ISO_IR 192"
        assert carried(header_of(SpecificCharacterSet=declared)).SpecificCharacterSet == expected

    @pytest.mark.parametrize("declared", [["", "ISO 2022 IR 87"], ["ISO 2022 IR 100", "ISO 2022 IR 126"], "GB18030"])
    def test_sets_that_can_are_kept(self, declared: list[str] | str) -> None:
        assert carried(header_of(SpecificCharacterSet=declared)).SpecificCharacterSet == declared

    @pytest.mark.parametrize("keyword", ["PatientName", "StudyDescription", "IssuerOfPatientID"])
    def test_a_text_beyond_the_declared_set_makes_it_utf_8(self, keyword: str) -> None:
        header = header_of(SpecificCharacterSet="ISO_IR 100", **{keyword: "Θώρακας"})
        assert carried(header).SpecificCharacterSet == "ISO_IR 192"

    def test_words_find_the_set_before_there_is_an_object(self) -> None:
        words = Dataset()
        carry_character_set(words, header_of(SpecificCharacterSet="ISO_IR 126"))
        assert list(words.dir()) == ["SpecificCharacterSet"]

    @pytest.mark.parametrize("name", ["chrJapMulti", "chrJapMultiExplicitIR6", "chrKoreanMulti"])
    def test_multi_byte_names_keep_their_bytes(self, chest_dicom: Path, name: str) -> None:
        source = dcmread(chest_dicom / f"pydicom__{name}.dcm")
        target = carried(source)
        assert target.SpecificCharacterSet == source.SpecificCharacterSet
        assert target.PatientName == source.PatientName
        assert target.PatientName.original_string == source.PatientName.original_string


class TestReferencedRequest:
    def test_none_without_an_order(self) -> None:
        assert referenced_request(header_of()) is None

    def test_from_the_request_attributes(self) -> None:
        request = Dataset()
        request.RequestedProcedureID, request.RequestedProcedureDescription = "P1", "Chest"
        item = referenced_request(header_of(RequestAttributesSequence=[request]))
        assert item is not None
        assert (item.RequestedProcedureID, item.RequestedProcedureDescription) == ("P1", "Chest")
        assert (item.AccessionNumber, len(item.ReferencedStudySequence)) == ("A0", 0)
        assert item.StudyInstanceUID == header_of().StudyInstanceUID

    def test_from_the_top_level(self) -> None:
        item = referenced_request(header_of(RequestedProcedureID="P2", RequestAttributesSequence=[Dataset()]))
        assert item is not None
        assert item.RequestedProcedureID == "P2"


class TestStamp:
    def test_in_the_targets_own_offset(self) -> None:
        target = Dataset()
        target.TimezoneOffsetFromUTC = "-0430"
        stamp(target, TIME)
        assert (target.ContentDate, target.ContentTime) == ("20260101", "223405.678901")
        assert (target.SeriesDate, target.InstanceCreationDate) == ("20260101", "20260101")

    def test_else_in_the_zone_of_the_time_and_without_an_offset(self) -> None:
        target = Dataset()
        stamp(target, TIME.astimezone(TOKYO))
        assert (target.SeriesDate, target.SeriesTime) == ("20260102", "120405.678901")
        assert target.InstanceCreationTime == target.ContentTime == "120405.678901"
        assert "TimezoneOffsetFromUTC" not in target
        assert "DateOfSecondaryCapture" not in target

    def test_a_secondary_capture(self) -> None:
        target = Dataset()
        target.DateOfSecondaryCapture = target.TimeOfSecondaryCapture = ""
        stamp(target, TIME)
        assert (target.DateOfSecondaryCapture, target.TimeOfSecondaryCapture) == ("20260102", "030405.678901")

    def test_needs_a_time_zone(self) -> None:
        with pytest.raises(ValueError, match="time zone"):
            stamp(Dataset(), datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None))
