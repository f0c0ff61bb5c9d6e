"""Read NIH ChestX-ray14, in the publisher's layout and in that of our shared selection.

All 14 findings are the vocabulary's own; every picture is labelled for all of them.

References
----------
Wang et al. 2017, NIH Clinical Center. The tables of 2017 and 2020 differ in labels, ages and the name of the sex.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from candor.study.errors import DataError
from candor.study.findings import Finding
from training.data.readers.cells import Mark, marks_of_labels, parse_labels, sex_of, view_of, years
from training.data.readers.records import Row
from training.data.readers.tables import Cells, listed_names, read_table
from training.data.splits import Listed

NAME: Final = "NIH ChestX-ray14"

SHARED_COLUMNS: Final = ("image", "patient_id", "labels", "split")
"""Columns of ``images.csv``; ``split`` is ``train_val`` or ``test``. ``age``, ``sex`` and ``view`` are optional."""

TABLES: Final = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
"""The publisher's tables, the corrected one first."""

COLUMNS: Final = ("Image Index", "Finding Labels", "Patient ID")
LISTS: Final = {Listed.TRAIN_VAL: "train_val_list.txt", Listed.TEST: "test_list.txt"}


SMALL: Final = "small"
"""Folder and part of the pictures that were reduced to 64 and 128 pixels."""


def shared_rows(folder: Path) -> tuple[Path, list[Row]]:
    """Read ``images.csv``, whose pictures are ``images/<image>.jpg``, and the same of the folder ``small``, if there.

    Raises
    ------
    DataError
        The table cannot be read, or a row cannot be used.
    """
    table = folder / "images.csv"
    if not table.is_file():
        raise DataError(f"{table} is not there; give the folder that holds images.csv and images/")
    small = folder / SMALL / table.name
    rows = [_shared_row(cells, table) for cells in read_table(table, SHARED_COLUMNS)]
    if small.is_file():
        rows += [_shared_row(cells, small, SMALL) for cells in read_table(small, SHARED_COLUMNS)]
    return table, rows


def _shared_row(cells: Cells, table: Path, part: str = "") -> Row:
    name, patient, labels, split = (cells[column] for column in SHARED_COLUMNS)
    if not (name and patient and labels) or split not in ("train_val", "test"):
        raise DataError(f"{table}: the row of {name} is incomplete; all must be there, split train_val or test")
    return Row(
        name=name,
        path=table.parent / "images" / f"{Path(name).stem}.jpg",
        patient=patient,
        marks=_marks(labels, f"{table}, {name}"),
        listed=Listed(split),
        age=years(cells.get("age", "")),
        sex=sex_of(cells.get("sex", "")),
        view=view_of(cells.get("view", "")),
        part=part,
    )


def published_rows(folder: Path) -> tuple[Path, list[Row]]:
    """Read the publisher's table, official lists and ``images_001/images/`` to ``images_012/images/``.

    Raises
    ------
    DataError
        A table, list or picture is missing, or an image is on no list.
    """
    table = next((folder / name for name in TABLES if (folder / name).is_file()), folder / TABLES[0])
    lists = {name: listed for listed, file in LISTS.items() for name in listed_names(folder / file)}
    pictures = {path.name: path for place in _picture_folders(folder) for path in place.iterdir()}
    return table, [_published_row(cells, table, lists, pictures) for cells in read_table(table, COLUMNS)]


def _picture_folders(folder: Path) -> list[Path]:
    """Find the folders of the unpacked archives: one for each, or one for all."""
    return [place for place in (*sorted(folder.glob("images_*/images")), folder / "images") if place.is_dir()]


def _published_row(cells: Cells, table: Path, lists: dict[str, Listed], pictures: dict[str, Path]) -> Row:
    name, labels, patient = (cells[column] for column in COLUMNS)
    if name not in lists:
        raise DataError(
            f"{table} has {name}, which is on neither {' nor '.join(LISTS.values())}; fetch the lists again"
        )
    return Row(
        name=name,
        path=pictures.get(name, table.parent / "images" / name),
        patient=patient,
        marks=_marks(labels, f"{table}, {name}"),
        listed=lists[name],
        age=years(cells.get("Patient Age", "")),
        sex=sex_of(cells.get("Patient Sex") or cells.get("Patient Gender", "")),
        view=view_of(cells.get("View Position", "")),
    )


def _marks(labels: str, where: str) -> Mapping[Finding, Mark]:
    try:
        return marks_of_labels(labels)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def label_table(folder: Path) -> Path:
    """Find the label table of all 112,120 images: ``labels_all.csv.gz``, or the publisher's own."""
    every = folder / "labels_all.csv.gz"
    return next((path for path in (every, *(folder / name for name in TABLES)) if path.is_file()), every)


def prevalence(table: Path, findings: Iterable[Finding] = tuple(Finding)) -> dict[Finding, float]:
    """Return each finding's share of the images in the whole label table, in (0, 1).

    Parameters
    ----------
    table
        The table's path, see :func:`label_table`.
    findings
        The findings to count.

    Raises
    ------
    DataError
        The table is missing, damaged or empty, or a finding is in no row or in all.
    """
    if not table.is_file():
        raise DataError(f"{table} is not there; it states the prevalence of the whole data set")
    labels = [parse_labels(cells["Finding Labels"]) for cells in read_table(table, ["Finding Labels"])]
    counts = Counter(finding for found in labels for finding in found)
    shares = {finding: counts[finding] / max(len(labels), 1) for finding in findings}
    for finding, share in shares.items():
        if not 0 < share < 1:
            raise DataError(f"{table} gives {finding.label} a prevalence of {share:g}; take a table that has both")
    return shares
