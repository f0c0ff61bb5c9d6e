"""Read a plain table of your own pictures.

``path`` (from the table's folder) and ``patient`` are required, and either ``labels`` (``A|B``, or ``No Finding``) or
one column for each finding (1, 0, -1 uncertain, blank unknown). ``age`` (years), ``sex``, ``view``, ``study``,
``site``, ``disease`` and ``split`` (train, validation, test, or train_val) are optional. Findings without a column are
unknown; with ``labels`` all 14 are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from candor.study.errors import DataError
from candor.study.findings import Finding, finding_named
from training.data.readers.cells import Mark, mark_of, marks_of_labels, sex_of, view_of, years
from training.data.readers.records import Row
from training.data.readers.tables import Cells, read_table
from training.data.splits import Listed

NEEDED: Final = ("path", "patient")
OPTIONAL: Final = ("labels", "age", "sex", "view", "study", "site", "disease", "split")


def table_of(folder: Path) -> Path | None:
    """Find the table: the file itself, or the only CSV file of the folder; None if there is none or several."""
    if folder.is_file():
        return folder if folder.suffix == ".csv" else None
    tables = sorted(folder.glob("*.csv"))
    return tables[0] if len(tables) == 1 else None


def rows(folder: Path) -> tuple[Path, list[Row]]:
    """Read the table.

    Raises
    ------
    DataError
        There is no table or more than one, a column is missing or names no finding, or a row cannot be read.
    """
    table = table_of(folder)
    if table is None:
        raise DataError(f"{folder} must be a table that ends in .csv, or hold exactly one; give the table itself")
    every = read_table(table, NEEDED)
    columns = _finding_columns(table, every[0])
    return table, [_row(cells, table, columns) for cells in every]


def _finding_columns(table: Path, cells: Cells) -> dict[str, Finding]:
    """Return the finding of each column that is one.

    Raises
    ------
    DataError
        A column is unknown, two are the same finding, or there are no labels or two kinds of them.
    """
    try:
        columns = {column: finding_named(column) for column in cells if column not in (*NEEDED, *OPTIONAL)}
    except DataError as error:
        raise DataError(f"{table}: {error}; other columns are {', '.join((*NEEDED, *OPTIONAL))}") from None
    if len(set(columns.values())) < len(columns):
        raise DataError(f"{table} names a finding in two columns of {', '.join(columns)}; keep one")
    if bool(columns) == ("labels" in cells):
        raise DataError(f"{table} needs either a column labels or a column for each finding, and not both")
    return columns


def _row(cells: Cells, table: Path, columns: dict[str, Finding]) -> Row:
    name, patient = cells["path"], cells["patient"]
    if not (name and patient):
        raise DataError(f"{table}: the row of {name or 'a patient'} lacks its path or its patient; complete it")
    try:
        return Row(
            name=name,
            path=table.parent / name,
            patient=patient,
            marks=_marks(cells, columns),
            listed=_listed(cells.get("split", "")),
            age=years(cells.get("age", "")),
            sex=sex_of(cells.get("sex", "")),
            view=view_of(cells.get("view", "")),
            study=cells.get("study", ""),
            site=cells.get("site", ""),
            disease=cells.get("disease", ""),
        )
    except DataError as error:
        raise DataError(f"{table}, {name}: {error}") from None


def _marks(cells: Cells, columns: dict[str, Finding]) -> Mapping[Finding, Mark]:
    if columns:
        return {finding: mark_of(cells[column], Mark.UNKNOWN) for column, finding in columns.items()}
    return marks_of_labels(cells["labels"]) if cells["labels"] else {}


def _listed(split: str) -> Listed:
    try:
        return Listed(split)
    except ValueError:
        known = ", ".join(listed.value for listed in Listed if listed.value)
        raise DataError(f"unknown split {split!r}; it is one of {known}, or blank") from None
