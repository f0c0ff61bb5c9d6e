"""The sets of pictures on which the checks are measured, with what is known of each patient."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from candor.picture.quality import ADULT
from training.data.readers.cells import view_of
from training.data.readers.read import read_dataset, read_rows
from training.data.readers.tables import read_table
from training.data.splits import Subset

CHILD_AGE: Final = "004Y"
"""What a header of the paediatric set states: its patients were one to five years old (Kermany et al. 2018)."""

LATERAL: Final = "LL"

_PATIENT: Final = re.compile(r"person\d+|IM-\d+")


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture.

    Parameters
    ----------
    age
        As Patient's Age (0010,1010) states it; empty where it does not.
    """

    path: Path
    patient: str
    age: str = ""


def nih_adults(folder: Path) -> list[Picture]:
    """List the adults among the official test pictures of ChestX-ray14 that are not reduced to 128 pixels."""
    return [
        Picture(image.path, image.patient, f"{int(image.age):03d}Y")
        for image in read_dataset(folder).main_part().only(Subset.UNSEEN).images
        if image.age is not None and image.age >= ADULT
    ]


def kermany(folder: Path, age: str) -> list[Picture]:
    """List the pictures of children, with this age in each header."""
    return [Picture(path, patient_of(path.stem), age) for path in sorted((folder / "images").iterdir())]


def patient_of(name: str) -> str:
    """Take the patient from the name of a child's picture, as ``person12_virus_3`` or ``IM-0115-0001``.

    Raises
    ------
    ValueError
        The name has none.
    """
    found = _PATIENT.search(name)
    if found is None:
        raise ValueError(f"{name} names no patient; it should hold person<number> or IM-<number>")
    return found[0]


def hannover(folder: Path) -> list[Picture]:
    """List the frontal pictures of the other hospital, which tells no ages."""
    return [Picture(row.path, row.patient) for row in read_rows(folder, "hannover") if row.view in ("PA", "AP")]


def covid(folder: Path, views: Collection[str], without: Collection[str] = ()) -> list[Picture]:
    """List the pictures of the COVID-19 image data collection, whose patients are adults where an age is stated.

    Parameters
    ----------
    folder
        The collection.
    views
        Which to list: ``PA``, ``AP``, ``LL`` (:data:`LATERAL`).
    without
        Names without suffix of pictures to leave out: some are Hannover's.
    """
    rows = read_table(folder / "metadata.csv", ["image", "patientid", "view"])
    pictures = {
        row["image"]: Picture(path, row["patientid"], "050Y")
        for row in rows
        if view_of(row["view"]) in views and (path := folder / "images" / row["image"]).stem not in without
    }
    return list(pictures.values())  # some rows are there twice
