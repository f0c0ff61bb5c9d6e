"""The patient's age at the examination, from a header that may hold anything."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from pydicom import Dataset

from candor.dicom.shared.attributes import text

OLDEST: Final = 120
"""Years: a higher age is a placeholder, such as that from a birth date of 1900-01-01."""

_AGE: Final = re.compile(r"([0-9]{1,3}) *([DWMY])")
_A_YEAR: Final = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}
_DATES: Final = ("StudyDate", "AcquisitionDate", "SeriesDate", "ContentDate")
_DATE: Final = re.compile(r"([0-9]{4})[.]?([0-9]{2})[.]?([0-9]{2})")  # dots: ACR-NEMA's, PS3.5 table 6.2-1


def completed_years(header: Dataset) -> int | None:
    """Return the patient's age at the examination, in completed years.

    Patient's Age (0010,1010) is used where it is valid, because it was stated for this study. Otherwise the age is the
    time from Patient's Birth Date (0010,0030) to the date of the study, acquisition, series or content, whichever is
    the first of these in the header.

    Returns
    -------
    Completed years, 0 to ``OLDEST``; None where the header does not state it.

    References
    ----------
    DICOM PS3.5 table 6.2-1 (AS, DA), PS3.3 C.7.2.2 (Patient Study Module).
    """
    stated = _AGE.fullmatch(text(header, "PatientAge"))
    years = int(int(stated[1]) / _A_YEAR[stated[2]]) if stated else _between_dates(header)
    return years if years is not None and 0 <= years <= OLDEST else None


def _between_dates(header: Dataset) -> int | None:
    birth = _date(header, "PatientBirthDate")
    day = next((found for found in (_date(header, keyword) for keyword in _DATES) if found), None)
    if birth is None or day is None:
        return None
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def _date(header: Dataset, keyword: str) -> date | None:
    stated = _DATE.match(text(header, keyword))
    if stated is None:
        return None
    try:
        return date(*(int(part) for part in stated.groups()))
    except ValueError:  # the 31st of June
        return None
