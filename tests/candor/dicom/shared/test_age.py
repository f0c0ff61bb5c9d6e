"""The patient's age, from headers as they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from candor.dicom.shared.age import OLDEST, completed_years


def header(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("stated", "years"),
    [
        ("065Y", 65),
        ("017Y", 17),
        ("018Y", 18),
        ("215M", 17),
        ("216M", 18),
        ("051W", 0),
        ("053W", 1),
        ("003D", 0),
        ("000Y", 0),
        ("65Y", 65),
        ("65 y ", 65),
        ("121Y", None),
        ("-05Y", None),
        ("65", None),
        ("Y065", None),
        ("06.5Y", None),
        ("", None),
    ],
)
def test_stated_ages(stated: str, years: int | None) -> None:
    assert completed_years(header(PatientAge=stated)) == years


@pytest.mark.parametrize(
    ("birth", "day", "years"),
    [
        ("20080102", "20260101", 17),
        ("20080101", "20260101", 18),
        ("20080229", "20260228", 17),
        ("20080229", "20260301", 18),
        ("2008.01.01", "2026.01.01", 18),
        ("20260102", "20260101", None),  # not yet born
        ("18990101", "20260101", None),  # a placeholder
        ("19060102", "20260101", 119),
        ("20081301", "20260101", None),
        ("20080101", "20260631", None),
        ("", "20260101", None),
        ("20080101", "", None),
        ("unknown", "20260101", None),
    ],
)
def test_ages_between_dates(birth: str, day: str, years: int | None) -> None:
    assert completed_years(header(PatientBirthDate=birth, StudyDate=day)) == years


def test_the_stated_age_goes_before_the_dates() -> None:
    assert completed_years(header(PatientAge="030Y", PatientBirthDate="20200101", StudyDate="20260101")) == 30
    assert completed_years(header(PatientAge="?", PatientBirthDate="20200101", StudyDate="20260101")) == 6


@pytest.mark.parametrize("keyword", ["StudyDate", "AcquisitionDate", "SeriesDate", "ContentDate"])
def test_any_date_of_the_examination_will_do(keyword: str) -> None:
    assert completed_years(header(PatientBirthDate="20000101", **{keyword: "20260101"})) == 26


def test_the_first_date_that_can_be_read_counts() -> None:
    dates = {"StudyDate": "20269999", "AcquisitionDate": "20250101", "ContentDate": "20260101"}
    assert completed_years(header(PatientBirthDate="20000101", **dates)) == 25


def test_a_header_that_says_nothing_gives_no_age() -> None:
    assert completed_years(Dataset()) is None


@given(st.text(max_size=6), st.text(max_size=10), st.text(max_size=10))
def test_nothing_that_stands_there_raises(age: str, birth: str, day: str) -> None:
    years = completed_years(header(PatientAge=age, PatientBirthDate=birth, StudyDate=day))
    assert years is None or 0 <= years <= OLDEST
