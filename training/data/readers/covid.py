"""Read the COVID-19 image data collection: ``metadata.csv`` and ``images/``.

Its column ``finding`` holds a diagnosis of the patient, not what the picture shows: a patient with COVID-19 may have a
normal radiograph. It is kept as ``disease``. Only two diagnoses map to findings: one that contains "pneumonia" is that
finding, and "No Finding" is the absence of all 14. Everything else is unknown. CT slices are left out.

A picture may be in two rows under two patients, since the collection counts some published cases twice. It is kept
once, and the two are taken as one patient, so that no split can separate them.

References
----------
Cohen et al. 2020, SCHEMA.md of ieee8023/covid-chestxray-dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from candor.study.errors import DataError
from candor.study.findings import NO_FINDING, Finding
from training.data.readers.cells import Mark, sex_of, view_of, years
from training.data.readers.records import Row
from training.data.readers.tables import Cells, read_table

COLUMNS: Final = ("patientid", "sex", "age", "finding", "view", "location")
FILE: Final = ("filename", "image")
"""The column of the picture's name, in the publisher's table and in our shared selection."""

FINDINGS: Final = (Finding.PNEUMONIA,)
NO_DIAGNOSIS: Final = ("", "todo", "unknown")
NO_RADIOGRAPH: Final = ("ct", "axial", "coronal")
"""Values of ``modality``, or of ``view`` in older versions, that mark a CT slice."""


def rows(folder: Path) -> tuple[Path, list[Row]]:
    """Read the table, each picture once.

    Raises
    ------
    DataError
        The table is missing or lacks a column, or a row names no picture.
    """
    table = folder / "metadata.csv"
    every = read_table(table, COLUMNS)
    radiographs = [cells for cells in every if not _is_ct(cells)]
    patients = one_patient_a_picture([(_file(cells, table), cells["patientid"]) for cells in radiographs])
    once = {_file(cells, table): cells for cells in reversed(radiographs)}
    return table, [_row(name, cells, folder, patients) for name, cells in reversed(once.items())]


def _is_ct(cells: Cells) -> bool:
    return any(cells.get(column, "").strip().lower() in NO_RADIOGRAPH for column in ("modality", "view"))


def _file(cells: Cells, table: Path) -> str:
    name = next((cells[column] for column in FILE if cells.get(column)), "")
    if not name or not cells["patientid"]:
        raise DataError(f"{table}: a row lacks its patientid or its {' or '.join(FILE)}; complete it or take it out")
    return name


def one_patient_a_picture(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Merge patients who share a picture.

    Parameters
    ----------
    pairs
        Picture and patient of each row.

    Returns
    -------
    For each patient the one who represents all merged patients.
    """
    parent = {patient: patient for _, patient in pairs}

    def first(patient: str) -> str:
        while parent[patient] != patient:
            patient = parent[patient]
        return patient

    owner: dict[str, str] = {}
    for picture, patient in pairs:
        parent[first(patient)] = first(owner.setdefault(picture, patient))
    return {patient: first(patient) for patient in parent}


def _row(name: str, cells: Cells, folder: Path, patients: dict[str, str]) -> Row:
    disease = cells["finding"].strip()
    return Row(
        name=name,
        path=folder / (cells.get("folder") or "images") / name,
        patient=patients[cells["patientid"]],
        marks=_marks(disease),
        age=years(cells["age"]),
        sex=sex_of(cells["sex"]),
        view=view_of(cells["view"]),
        site=cells["location"].strip().strip("?"),
        disease="" if disease.lower() in NO_DIAGNOSIS else disease,
    )


def _marks(disease: str) -> dict[Finding, Mark]:
    if disease == NO_FINDING:
        return dict.fromkeys(Finding, Mark.ABSENT)
    return {Finding.PNEUMONIA: Mark.PRESENT} if "pneumonia" in disease.lower() else {}
