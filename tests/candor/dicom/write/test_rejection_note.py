"""Rejection notes: what an archive reads in them, and that independent validators take them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage

from candor.dicom.check.templates import missing_rows
from candor.dicom.shared.file import write
from candor.dicom.write.rejection_note import Rejection, build_rejection_note, rejection_note_uid
from candor.study.errors import ReportError
from candor.study.result_object import ResultObject
from tests.cases import PROVENANCE, TIME, header_of
from tests.validators import pixelmed_errors, skip_without_validators, validation_errors

OVERLAY = ResultObject("sc", "sc-1.dcm", "1.2.3.1", SecondaryCaptureImageStorage, "1.2.3.91")
REPORT = ResultObject("sr", "sr.dcm", "1.2.3.2", Comprehensive3DSRStorage, "1.2.3.92")
EXPLANATION = "Withdrawn by the site."


def note_file(folder: Path, rejection: Rejection = Rejection.PATIENT_SAFETY, time: datetime = TIME) -> Path:
    path = folder / f"{rejection.name}.dcm"
    write(build_rejection_note(header_of(), [REPORT, OVERLAY], rejection, EXPLANATION, PROVENANCE, time), path)
    return path


@pytest.mark.parametrize(
    ("rejection", "code"),
    [
        (Rejection.PATIENT_SAFETY, "113037"),
        (Rejection.QUALITY, "113001"),
        (Rejection.INCORRECT_WORKLIST_ENTRY, "113038"),
        (Rejection.RETENTION_EXPIRED, "113039"),
    ],
)
def test_the_title_is_the_reason(tmp_path: Path, rejection: Rejection, code: str) -> None:
    title = dcmread(note_file(tmp_path, rejection)).ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == (code, "DCM")


def test_only_the_title_that_asks_for_a_reason_has_one(tmp_path: Path) -> None:
    """TID 2010 row 3 and CID 7011."""
    reasons = {
        rejection: [
            item.ConceptCodeSequence[0].CodeValue
            for item in dcmread(note_file(tmp_path, rejection)).ContentSequence
            if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == "113011"
        ]
        for rejection in Rejection
    }
    assert reasons == {each: ["111220"] if each is Rejection.QUALITY else [] for each in Rejection}


@pytest.mark.parametrize("rejection", Rejection)
def test_the_mandatory_rows_are_there(tmp_path: Path, rejection: Rejection) -> None:
    assert missing_rows(dcmread(note_file(tmp_path, rejection))) == []


def test_every_rejected_object_is_named_in_the_content_and_in_the_evidence(tmp_path: Path) -> None:
    note = dcmread(note_file(tmp_path))
    named = {
        (item.ValueType, item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in note.ContentSequence
        if "ReferencedSOPSequence" in item
    }
    assert named == {("IMAGE", "1.2.3.1"), ("COMPOSITE", "1.2.3.2")}
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    evidence = {
        (series.SeriesInstanceUID, item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert study.StudyInstanceUID == header_of().StudyInstanceUID
    assert evidence == {
        ("1.2.3.91", SecondaryCaptureImageStorage, "1.2.3.1"),
        ("1.2.3.92", Comprehensive3DSRStorage, "1.2.3.2"),
    }


def test_the_note_is_the_patients_and_the_studys(tmp_path: Path) -> None:
    note, source = dcmread(note_file(tmp_path)), header_of()
    for keyword in ("PatientName", "PatientID", "IssuerOfPatientID", "StudyInstanceUID", "AccessionNumber"):
        assert note[keyword].value == source[keyword].value, keyword
    assert "BodyPartExamined" not in note  # a document has no anatomy
    assert note.SeriesInstanceUID not in {"1.2.3.91", "1.2.3.92"}  # a rejection note has a series of its own


def test_the_note_answers_to_the_order_of_its_source() -> None:
    source = header_of(RequestedProcedureID="RP1")
    note = build_rejection_note(source, [REPORT], Rejection.QUALITY, EXPLANATION, PROVENANCE, TIME)
    assert note.ReferencedRequestSequence[0].RequestedProcedureID == "RP1"


def test_one_uid_for_one_rejection() -> None:
    uid = rejection_note_uid([REPORT, OVERLAY], Rejection.QUALITY)
    assert uid == rejection_note_uid([OVERLAY, REPORT], Rejection.QUALITY)
    assert uid != rejection_note_uid([OVERLAY], Rejection.QUALITY)
    assert uid != rejection_note_uid([REPORT, OVERLAY], Rejection.PATIENT_SAFETY)


def test_the_same_rejection_at_the_same_time_gives_the_same_bytes(tmp_path: Path) -> None:
    first, again, later = (tmp_path / name for name in ("first", "again", "later"))
    for folder in (first, again, later):
        folder.mkdir()
    same = note_file(first).read_bytes()
    assert note_file(again).read_bytes() == same
    assert note_file(later, time=datetime(2026, 1, 3, tzinfo=UTC)).read_bytes() != same


def test_nothing_to_reject_is_no_note() -> None:
    with pytest.raises(ReportError, match="at least one result"):
        build_rejection_note(header_of(), [], Rejection.QUALITY, EXPLANATION, PROVENANCE, TIME)


def test_independent_validators_take_the_notes(tmp_path: Path) -> None:
    skip_without_validators()
    files = [note_file(tmp_path, rejection) for rejection in Rejection]
    assert validation_errors(files) == []
    assert pixelmed_errors(files) == []
