"""Read CheXpert, ``train.csv``, ``valid.csv`` and their pictures; and its labels, which MIMIC-CXR has too.

Seven of the labeller's fourteen observations are findings here; the rest are left out, each for a reason below. The
seven findings that the labeller does not know are unknown, never absent. A blank means "not mentioned" and counts as
absent. ``valid.csv`` was read by three radiologists and is held out: the official split divides its patients among
gate, calibration and test. There are only 200 of them, so a gate is better fitted with the split 70-15-15.

References
----------
Irvin et al. 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from candor.study.errors import DataError
from candor.study.findings import Finding
from training.data.readers.cells import Mark, mark_of, sex_of, view_of, years
from training.data.readers.records import Row
from training.data.readers.tables import Cells, read_table
from training.data.splits import Listed

OBSERVATIONS: Final[Mapping[str, Finding]] = MappingProxyType(
    {
        "Atelectasis": Finding.ATELECTASIS,
        "Cardiomegaly": Finding.CARDIOMEGALY,
        "Consolidation": Finding.CONSOLIDATION,
        "Edema": Finding.EDEMA,
        "Pleural Effusion": Finding.EFFUSION,
        "Pneumonia": Finding.PNEUMONIA,
        "Pneumothorax": Finding.PNEUMOTHORAX,
    }
)
"""The labeller's observations that are findings."""

LEFT_OUT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "No Finding": "says only that no other observation is present or uncertain",
        "Enlarged Cardiomediastinum": "wider than cardiomegaly, which has its own column",
        "Lung Opacity": "the parent of edema, consolidation, pneumonia, atelectasis and lesion; no infiltration",
        "Lung Lesion": "a mass or a nodule, and which is not said",
        "Pleural Other": "thickening or anything else of the pleura but effusion",
        "Fracture": "not of the lungs, pleura or heart",
        "Support Devices": "not a finding",
    }
)
"""The labeller's observations that are not findings here, and why."""

FINDINGS: Final = tuple(finding for finding in Finding if finding in OBSERVATIONS.values())
"""The findings that CheXpert and MIMIC-CXR label, in the vocabulary's order."""

FACTS: Final = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")
LISTS: Final = {Listed.TRAIN_VAL: "train.csv", Listed.TEST: "valid.csv"}


def rows(folder: Path) -> tuple[Path, list[Row]]:
    """Read both tables.

    Parameters
    ----------
    folder
        Holds ``train.csv`` and ``valid.csv``; it may have any name.

    Raises
    ------
    DataError
        A table is missing, lacks a column or has an unknown one, or a row cannot be read.
    """
    return folder / "train.csv", [row for listed, name in LISTS.items() for row in _rows_of(folder / name, listed)]


def _rows_of(table: Path, listed: Listed) -> list[Row]:
    every = read_table(table, (*FACTS, *OBSERVATIONS))
    refuse_unknown_columns(table, every[0], FACTS)
    return [_row(cells, table, listed) for cells in every]


def refuse_unknown_columns(table: Path, cells: Cells, facts: tuple[str, ...]) -> None:
    """Refuse a table with an observation that is neither a finding nor left out on purpose.

    Parameters
    ----------
    table
        The table's path, for the error.
    cells
        Its first row; the keys are the columns.
    facts
        Columns that are not observations.

    Raises
    ------
    DataError
        Names the columns.
    """
    unknown = [column for column in cells if column not in {*facts, *OBSERVATIONS, *LEFT_OUT}]
    if unknown:
        raise DataError(f"{table} has unknown labels {', '.join(map(str, unknown))}; take the publisher's own table")


def marks(cells: Cells, where: str) -> dict[Finding, Mark]:
    """Read the labeller's answers in a row: 1, 0, -1 or blank.

    Parameters
    ----------
    cells
        A row with all of :data:`OBSERVATIONS`.
    where
        Table and row, for the error.

    Raises
    ------
    DataError
        A cell holds something else.
    """
    try:
        return {finding: mark_of(cells[name], Mark.UNMENTIONED) for name, finding in OBSERVATIONS.items()}
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _row(cells: Cells, table: Path, listed: Listed) -> Row:
    inside = Path(*Path(cells["Path"]).parts[1:])  # the first part names the archive, which may be unpacked elsewhere
    if len(inside.parts) != 4:
        raise DataError(
            f"{table}: {cells['Path']!r} is not a path like CheXpert-v1.0-small/train/patient/study/view.jpg"
        )
    return Row(
        name=inside.as_posix(),
        path=table.parent / inside,
        patient=inside.parts[1],
        marks=marks(cells, f"{table}, {inside.as_posix()}"),
        listed=listed,
        age=years(cells["Age"]),
        sex=sex_of(cells["Sex"]),
        view=view_of(cells["AP/PA"] or cells["Frontal/Lateral"]),
        study="/".join(inside.parts[1:3]),
    )
