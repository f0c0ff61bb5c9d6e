"""Read NIH ChestX-ray14, as its publisher ships it and as our shared selection lays it out.

All 14 findings are the vocabulary's own; every picture is labelled for all of them.

References
----------
Wang et al. 2017, NIH Clinical Center. The tables of 2017 and 2020 differ in labels, ages and the name of the sex.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cxr.errors import DataError
from cxr.findings import NO_FINDING, Finding, finding_named
from training.datasets.records import Mark, Row, sex_of, view_of, years
from training.datasets.tables import Cells, read_table
from training.splits import Listed

SHARED_COLUMNS: Final = ("image", "patient_id", "labels", "split")
"""What ``images.csv`` must have; ``split`` is ``train_val`` or ``test``; ``age``, ``sex``, ``view`` may be there."""

TABLES: Final = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
"""The publisher's tables, the corrected one first."""

COLUMNS: Final = ("Image Index", "Finding Labels", "Patient ID")
LISTS: Final = {Listed.TRAIN_VAL: "train_val_list.txt", Listed.TEST: "test_list.txt"}


def parse_labels(text: str) -> frozenset[Finding]:
    """Read ChestX-ray14's ``A|B|C``; "No Finding" is the empty set."""
    return frozenset(finding_named(label) for label in text.split("|") if label.strip() != NO_FINDING)


def shared_rows(folder: Path) -> tuple[Path, list[Row]]:
    """Read ``images.csv``, whose pictures are ``images/<image>.jpg``.

    Raises
    ------
    DataError
        The table cannot be read, or a row cannot be used.
    """
    table = folder / "images.csv"
    if not table.is_file():
        raise DataError(f"{table} is not there; give the folder that holds images.csv and images/")
    return table, [_shared_row(cells, table) for cells in read_table(table, SHARED_COLUMNS)]


def _shared_row(cells: Cells, table: Path) -> Row:
    name, patient, labels, split = (cells[column] for column in SHARED_COLUMNS)
    if not (name and patient and labels) or split not in ("train_val", "test"):
        raise DataError(f"{table}: the row of {name} is incomplete; all must be there, split train_val or test")
    return Row(
        name=name,
        path=table.parent / "images" / f"{Path(name).stem}.jpg",
        patient=patient,
        marks=_marks(labels),
        listed=Listed(split),
        age=years(cells.get("age", "")),
        sex=sex_of(cells.get("sex", "")),
        view=view_of(cells.get("view", "")),
    )


def _marks(labels: str) -> dict[Finding, Mark]:
    found = parse_labels(labels)
    return {finding: Mark.PRESENT if finding in found else Mark.ABSENT for finding in Finding}


def prevalence(table: Path, findings: Iterable[Finding] = tuple(Finding)) -> dict[Finding, float]:
    """Share of images with each finding in the whole label table (``labels_all.csv.gz``), in (0, 1).

    Raises
    ------
    DataError
        The table is missing, damaged or empty, or a finding stands in no row or in all.
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
