"""Read the COVID-19 image repository of Hannover Medical School: ``metadata.csv`` and ``images/``.

All its patients had COVID-19, and nobody labelled what the pictures show: every finding is unknown. So it is not a data
set to learn findings from. It is data of another hospital, to measure whether a network tells hospitals apart.

References
----------
Winther et al. 2020 (github.com/ml-workgroup/covid-19-image-repository), CC BY 3.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from training.data.readers.cells import sex_of, view_of, years
from training.data.readers.records import Row
from training.data.readers.tables import Cells, read_table

COLUMNS: Final = ("patient_id", "image_id", "sex", "age", "projection")
SITE: Final = "Hannover"
DISEASE: Final = "COVID-19"


def recognises(folder: Path) -> bool:
    """Return whether a folder has this layout, and not another one with a table of the same name."""
    table = folder / "metadata.csv"
    if not table.is_file():
        return False
    with table.open(encoding="utf-8-sig", errors="replace") as lines:
        return "image_id" in lines.readline()


def rows(folder: Path) -> tuple[Path, list[Row]]:
    """Read the table; rows whose picture is missing are left out.

    Raises
    ------
    DataError
        The table is missing or lacks a column.
    """
    table = folder / "metadata.csv"
    every = [_row(cells, folder) for cells in read_table(table, COLUMNS)]
    return table, [row for row in every if row.path.is_file()]


def _row(cells: Cells, folder: Path) -> Row:
    name = f"{cells['image_id']}.jpg"
    return Row(
        name=name,
        path=folder / "images" / name,
        patient=cells["patient_id"],
        marks={},
        age=years(cells["age"]),
        sex=sex_of(cells["sex"]),
        view=view_of(cells["projection"]),
        site=SITE,
        disease=DISEASE,
    )
