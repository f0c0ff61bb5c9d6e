"""Attributes of a source as its results may carry them: only what the Value Representation allows (PS3.5 6.2).

Real files hold hashes where a date belongs and names of 56 characters where 16 fit. Such a value would make a
result invalid as well.
"""

from __future__ import annotations

import re
from typing import Final

from pydicom import Dataset, config
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.valuerep import validate_value

_DATE: Final = re.compile(r"\d{8}")
_ALLOWED: Final = {
    "PatientSex": re.compile("[MFO]"),
    "PatientBirthDate": _DATE,
    "StudyDate": _DATE,
    "TimezoneOffsetFromUTC": re.compile(r"[+-](0\d|1[0-4])[0-5]\d"),
    "BurnedInAnnotation": re.compile("YES|NO"),
    "LossyImageCompression": re.compile("00|01"),
}
"""Where the attribute allows less than its Value Representation, which for dates takes the ranges of a query too."""

_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")


def all_values(source: Dataset, keyword: str) -> list[str]:
    """Give an attribute's values as text, valid or not; [] where it is missing or no text."""
    value = source.get(keyword)
    if value is None or isinstance(value, bytes):
        return []
    return [str(part) for part in value] if isinstance(value, MultiValue) else [str(value)]


def valid_values(source: Dataset, keyword: str) -> list[str]:
    """Give an attribute's values as text; [] where one of them is empty or not valid."""
    values = all_values(source, keyword)
    return values if all(value and _is_valid(keyword, value) for value in values) else []


def valid_text(source: Dataset, keyword: str) -> str:
    """Give a single-valued attribute's text; "" where it is missing, multi-valued or not valid."""
    values = valid_values(source, keyword)
    return values[0] if len(values) == 1 else ""


def carry(target: Dataset, source: Dataset, keyword: str) -> None:
    """Copy one single-valued attribute, or set it empty where the source has no valid value."""
    # The element's value, not its text: a person's name keeps the bytes that the source wrote.
    setattr(target, keyword, source[keyword].value if valid_text(source, keyword) else "")


def carry_where_valid(target: Dataset, source: Dataset, keyword: str) -> None:
    """Copy one attribute with all its values, and leave it out where the source has no valid ones."""
    values = valid_values(source, keyword)
    if values:
        setattr(target, keyword, values if len(values) > 1 else values[0])


def plain(sentence: str) -> str:
    """Put a sentence of our own into ASCII, which every Specific Character Set can hold."""
    return sentence.encode("ascii", "replace").decode("ascii")


def _is_valid(keyword: str, value: str) -> bool:
    if _CONTROL_CHARACTER.search(value) or (keyword in _ALLOWED and not _ALLOWED[keyword].fullmatch(value)):
        return False
    try:
        validate_value(dictionary_VR(keyword), value, config.RAISE)
    except ValueError:
        return False
    return True
