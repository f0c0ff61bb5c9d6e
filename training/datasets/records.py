"""From a publisher's rows to a data set: what all readers share.

References
----------
Irvin et al. 2019 (four answers of a labeller: present, absent, uncertain, not mentioned).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Final

from cxr.errors import DataError
from cxr.findings import Finding
from training.datasets.dataset import Dataset, LabelledImage
from training.datasets.policy import Policy
from training.splits import Listed, Split


@unique
class Mark(Enum):
    """What a source says of one finding on one picture."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    UNMENTIONED = "unmentioned"  # counts as absent, as in CheXpert's baseline
    UNKNOWN = "unknown"  # nobody looked for it


_MARKS: Final = {1.0: Mark.PRESENT, 0.0: Mark.ABSENT, -1.0: Mark.UNCERTAIN}

OLDEST_YEARS: Final = 120
"""ChestX-ray14's first table has ages up to 414; beyond this an age is taken as not known."""


@dataclass(frozen=True, slots=True)
class Row:
    """One picture as its source describes it; a finding without a mark is unknown."""

    name: str
    path: Path
    patient: str
    marks: Mapping[Finding, Mark]
    listed: Listed = Listed.NOWHERE
    age: float | None = None
    sex: str = ""
    view: str = ""
    site: str = ""
    disease: str = ""

    def of(self, finding: Finding) -> Mark:
        """Look up what the source says of a finding."""
        return self.marks.get(finding, Mark.UNKNOWN)

    def decided(self, findings: Iterable[Finding]) -> bool:
        """Whether there is anything but uncertainty: no picture is kept for its hedges alone."""
        marks = {self.of(finding) for finding in findings}
        certain = bool(marks & {Mark.PRESENT, Mark.ABSENT})
        return certain or (Mark.UNCERTAIN not in marks and Mark.UNMENTIONED in marks)


def mark_of(cell: str, blank: Mark) -> Mark:
    """Read a cell: 1, 0, -1, as whole numbers or with a point, or nothing.

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
    """Read an age: years, or a number with DICOM's unit (``058Y``, ``010M``); None where it is none or impossible.

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
    """``F``, ``M`` or empty, from a letter or a word."""
    return {"F": "F", "M": "M"}.get(cell.strip().upper()[:1], "")


def view_of(cell: str) -> str:
    """``PA``, ``AP``, ``LL`` or empty, from the many ways to say it ("AP Supine", "LATERAL", "L")."""
    words = re.split(r"[^A-Z]+", cell.strip().upper())
    names = {"PA": "PA", "AP": "AP", "LL": "LL", "L": "LL", "LATERAL": "LL"}
    return names.get(words[0], "")


def assemble(rows: Sequence[Row], table: Path, findings: Sequence[Finding], policy: Policy, split: Split) -> Dataset:
    """Check the rows, leave out those whose labels are all uncertain or unknown, and divide the patients.

    Parameters
    ----------
    table
        Stands in the errors.

    Raises
    ------
    DataError
        There is no row, a picture is missing or stands in two rows, a patient in two lists, the split needs lists
        and there are none, or no picture has a label of these findings.
    """
    _check_pictures(rows, table)
    if split.needs_lists:
        _check_lists(rows, table, split)
    kept = [row for row in rows if row.decided(findings)]
    if not kept:
        names = ", ".join(finding.label for finding in findings)
        raise DataError(f"{table} labels no picture for any of {names}; ask for findings that it has")
    return Dataset(tuple(_labelled(row, findings, split) for row in kept), tuple(findings), policy, split)


def _labelled(row: Row, findings: Sequence[Finding], split: Split) -> LabelledImage:
    by_mark: dict[Mark, set[Finding]] = {mark: set() for mark in Mark}
    for finding in Finding:
        by_mark[row.of(finding)].add(finding)
    return LabelledImage(
        name=row.name,
        path=row.path,
        patient=row.patient,
        findings=frozenset(by_mark[Mark.PRESENT]),
        subset=split.subset(row.patient, row.listed),
        age=row.age,
        sex=row.sex,
        view=row.view,
        uncertain=frozenset(by_mark[Mark.UNCERTAIN]),
        unknown=frozenset(by_mark[Mark.UNKNOWN]),
        site=row.site,
        disease=row.disease,
    )


def _check_pictures(rows: Sequence[Row], table: Path) -> None:
    missing = [row.path.name for row in rows if not row.path.is_file()]
    if missing:
        raise DataError(f"{len(missing)} pictures of {table} are not there, the first is {missing[0]}; fetch them")
    twice = [name for name, count in Counter(row.name for row in rows).items() if count > 1]
    if twice:
        raise DataError(f"{table}: {len(twice)} pictures stand in several rows, the first is {twice[0]}; keep one row")


def _check_lists(rows: Sequence[Row], table: Path, split: Split) -> None:
    listed: dict[str, Listed] = {}
    for row in rows:
        if row.listed not in split.shares:
            raise DataError(f"{table} puts {row.name} on no official list; choose a split by hash, as 70-15-15")
        first = listed.setdefault(row.patient, row.listed)
        if first is not row.listed:
            both = " and in ".join(sorted((first.value, row.listed.value), reverse=True))
            raise DataError(f"{table}: a patient stands in {both} ({row.name}); correct the split")
