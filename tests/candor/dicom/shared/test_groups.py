"""The groups that a header states."""

from __future__ import annotations

from pydicom import Dataset

from candor.dicom.shared.groups import header_groups


def test_a_header_states_groups_or_not() -> None:
    header = Dataset()
    assert header_groups(header) == {}
    header.ViewPosition, header.PatientSex, header.PatientAge = "PA ", "m", "061Y"
    assert header_groups(header) == {"view": "PA", "sex": "M", "age": "60 and over"}
    header.ViewPosition = ["AP", "LL"]
    header.PatientAge = "unknown"
    header.PatientBirthDate, header.StudyDate = "20000101", "20200101"
    assert header_groups(header) == {"view": "AP", "sex": "M", "age": "under 40"}
