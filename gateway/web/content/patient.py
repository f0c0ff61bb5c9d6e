"""Whose study it is: read from the received files when a page is made, and kept nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from candor.dicom.read.file import read_header
from candor.study.errors import Refused


@dataclass(frozen=True, slots=True)
class Patient:
    """What a person needs to see that it is the right study; each "" where the file does not say."""

    name: str
    identifier: str
    birth_date: str
    sex: str
    study_date: str
    description: str
    accession: str


def patient_of(paths: Iterable[Path]) -> Patient | None:
    """Read the patient from the first file that can be read; None where none can."""
    for path in paths:
        try:
            header = read_header(path)
        except Refused:
            continue
        return Patient(
            name=_person(_value(header, "PatientName")),
            identifier=_value(header, "PatientID"),
            birth_date=_date(_value(header, "PatientBirthDate")),
            sex=_value(header, "PatientSex"),
            study_date=_date(_value(header, "StudyDate")),
            description=_value(header, "StudyDescription"),
            accession=_value(header, "AccessionNumber"),
        )
    return None


def _value(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip()


def _person(name: str) -> str:
    """Write a PN as people do: ``"Family, Given Middle"``, then the name in other scripts (PS3.5 6.2)."""
    alphabetic, *others = name.split("=")
    groups = [_ordered(alphabetic), *(" ".join(group.replace("^", " ").split()) for group in others)]
    return " = ".join(group for group in groups if group)


def _ordered(group: str) -> str:
    family, _, rest = group.partition("^")
    given = " ".join(part for part in rest.split("^")[:2] if part)
    return f"{family}, {given}" if family and given else family or given


def _date(value: str) -> str:
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if len(value) == 8 and value.isdigit() else value
