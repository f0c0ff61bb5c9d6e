"""The meaning of the cells in publishers' tables.

References
----------
Irvin et al. 2019 (four answers of a labeller: present, absent, uncertain, not mentioned).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, unique
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from candor.study.errors import DataError
from candor.study.findings import NO_FINDING, Finding, finding_named


@unique
class Mark(Enum):
    """A source's label of one finding on one picture."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    UNMENTIONED = "unmentioned"  # counts as absent, as in CheXpert's baseline
    UNKNOWN = "unknown"  # nobody looked for it


_MARKS: Final = {1.0: Mark.PRESENT, 0.0: Mark.ABSENT, -1.0: Mark.UNCERTAIN}

OLDEST_YEARS: Final = 120
"""A greater age is taken as unknown: ChestX-ray14's first table has ages up to 414."""


def mark_of(cell: str, blank: Mark) -> Mark:
    """Read the label in a cell: 1, 0 or -1, with or without a decimal point, or blank.

    Parameters
    ----------
    cell
        The cell's text.
    blank
        What a blank cell means.

    Raises
    ------
    DataError
        It holds something else.
    """
    if not cell.strip():
        return blank
    try:
        return _MARKS[float(cell)]
    except (KeyError, ValueError):
        raise DataError(f"unknown label {cell!r}; a label is 1, 0, -1 (uncertain) or blank") from None


_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)([YMWD]?)")
_A_YEAR: Final = {"": 1.0, "Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}


def years(cell: str) -> float | None:
    """Read an age in years, or a number with DICOM's unit (``058Y``, ``010M``); None if it is missing or impossible.

    References
    ----------
    DICOM PS3.5 6.2 (AS).
    """
    found = _AGE.fullmatch(cell.strip().upper())
    if found is None:
        return None
    age = float(found[1]) / _A_YEAR[found[2]]
    return age if age <= OLDEST_YEARS else None


def sex_of(cell: str) -> str:
    """Return ``F``, ``M`` or empty, from a letter or a word."""
    return {"F": "F", "M": "M"}.get(cell.strip().upper()[:1], "")


def view_of(cell: str) -> str:
    """Return ``PA``, ``AP``, ``LL`` or empty, from the ways that tables write it ("AP Supine", "LATERAL", "L")."""
    words = re.split(r"[^A-Z]+", cell.strip().upper())
    names = {"PA": "PA", "AP": "AP"} | dict.fromkeys(("LL", "RL", "L", "LATERAL"), "LL")
    return names.get(words[0], "")


def parse_labels(text: str) -> frozenset[Finding]:
    """Read ChestX-ray14's ``A|B|C``; "No Finding" is the empty set.

    Raises
    ------
    DataError
        A label is not a finding.
    """
    return frozenset(finding_named(label) for label in text.split("|") if label.strip() != NO_FINDING)


@lru_cache(maxsize=1024)  # ChestX-ray14 has 836 combinations on 112,120 images
def marks_of_labels(text: str) -> Mapping[Finding, Mark]:
    """Read ``A|B|C``; findings that are not named are absent."""
    found = parse_labels(text)
    return MappingProxyType({finding: Mark.PRESENT if finding in found else Mark.ABSENT for finding in Finding})
