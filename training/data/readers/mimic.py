"""Read MIMIC-CXR-JPG: labels by study, split and view by image, pictures under ``files/``.

The labels are those of CheXpert's labeller, see :mod:`training.data.readers.chexpert`. Age and sex are in MIMIC-IV, not
here. Pictures of the few studies without labels are left out. The tables may be gzipped, as published, or unpacked.

References
----------
Johnson et al. 2019 (MIMIC-CXR-JPG 2.0.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from candor.study.errors import DataError
from candor.study.findings import Finding
from training.data.readers.cells import Mark, view_of
from training.data.readers.chexpert import OBSERVATIONS, marks, refuse_unknown_columns
from training.data.readers.records import Row
from training.data.readers.tables import read_table
from training.data.splits import Listed

LISTS: Final = {"train": Listed.TRAIN, "validate": Listed.VALIDATION, "test": Listed.TEST}
STUDY: Final = ("subject_id", "study_id")

Key = tuple[str, str]
"""Patient and study."""


def _table(folder: Path, name: str) -> Path:
    """Return the path of one of the tables: gzipped as published, else unpacked."""
    published = folder / f"mimic-cxr-2.0.0-{name}.csv.gz"
    unpacked = published.with_suffix("")
    return unpacked if unpacked.is_file() and not published.is_file() else published


def rows(folder: Path) -> tuple[Path, list[Row]]:
    """Join the three tables.

    Raises
    ------
    DataError
        A table is missing, lacks a column or has an unknown one, or a row cannot be read.
    """
    split = _table(folder, "split")
    labelled, views = _labels(_table(folder, "chexpert")), _views(_table(folder, "metadata"))
    found = []
    for cells in read_table(split, ("dicom_id", *STUDY, "split")):
        name, key = cells["dicom_id"], (cells["subject_id"], cells["study_id"])
        if key not in labelled:
            continue
        if cells["split"] not in LISTS or name not in views:
            raise DataError(f"{split}: {name} is in no known split or not in the metadata; fetch the tables again")
        path = _picture(folder, key, name)
        found.append(Row(name, path, key[0], labelled[key], LISTS[cells["split"]], view=views[name], study=key[1]))
    return split, found


def _picture(folder: Path, key: Key, name: str) -> Path:
    """Return the path of a picture: ``files/p10/p10000032/s50414267/<dicom_id>.jpg``."""
    patient, study = key
    return folder / "files" / f"p{patient[:2]}" / f"p{patient}" / f"s{study}" / f"{name}.jpg"


def _labels(path: Path) -> dict[Key, Mapping[Finding, Mark]]:
    every = read_table(path, (*STUDY, *OBSERVATIONS))
    refuse_unknown_columns(path, every[0], STUDY)
    return {
        (cells["subject_id"], cells["study_id"]): marks(cells, f"{path}, study {cells['study_id']}") for cells in every
    }


def _views(path: Path) -> dict[str, str]:
    return {
        cells["dicom_id"]: view_of(cells["ViewPosition"]) for cells in read_table(path, ("dicom_id", "ViewPosition"))
    }
