"""The pictures that the orientation check learns from or is measured on, with their licences.

Only pictures whose licence lets anyone use what was learned from them are used for training: those of ChestX-ray14 are
free with attribution, the others' rows must say CC BY or CC0. The collection of COVID-19 images gives most of its rows,
and all its lateral views, for non-commercial use only: they are measured on and never learned from. So the
orientation check sees no real lateral view in training;
:func:`training.checks.orientation.examples.from_the_side` makes similar ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.pictures import as_radiograph, read_picture
from training.data.readers import nih
from training.data.readers.cells import view_of
from training.data.readers.tables import read_table
from training.data.splits import OFFICIAL, Subset, unit_hash

STORED_SIDE: Final = 128
"""Side in pixels of stored pictures: a third more than the orientation check sees, as a reserve for augmentation."""

NIH: Final = "free with attribution"
FREE: Final = frozenset({NIH, "CC0", "CC BY", "CC BY 3.0", "CC BY 4.0"})
"""Licences that ask for no more than attribution."""

HELD_OUT: Final = 0.2
"""Share of the patients of each set without official lists who are for measuring only."""

LATERAL: Final = "LL"

_CHILD: Final = re.compile(r"person\d+_[a-z]+|IM-\d+")  # bacterial_person1001_bacteria_2932, normal_IM-0115-0001


@dataclass(frozen=True, slots=True)
class Source:
    """One picture to learn from or to measure on.

    Parameters
    ----------
    data
        The name of its data set.
    licence
        As its publisher states it.
    subset
        The set that its patient belongs to.
    view
        ``PA``, ``AP``, ``LL`` (lateral) or empty.
    age
        Years; None if unknown.
    """

    path: Path
    data: str
    licence: str
    patient: str
    subset: Subset
    view: str
    age: float | None = None

    @property
    def teaches(self) -> bool:
        """Whether the orientation check may learn from it."""
        return self.subset is Subset.TRAIN and self.licence in FREE and self.view in ("PA", "AP")


def nih_sources(folder: Path) -> list[Source]:
    """Return ChestX-ray14 by its official lists: the training list to learn from, the test list for the limits."""
    return [
        Source(
            path=row.path,
            data=nih.NAME,
            licence=NIH,
            patient=row.patient,
            subset=OFFICIAL.subset(row.patient, row.listed),
            view=row.view or "PA",  # all its pictures are frontal
            age=row.age,
        )
        for row in nih.shared_rows(folder)[1]
    ]


def covid_sources(folder: Path) -> list[Source]:
    """Return the COVID-19 image data collection, each row under its own licence.

    A patient without a picture that may be learned from is measured on.
    """
    rows = read_table(folder / "metadata.csv", ["image", "patientid", "view", "license"])
    taught = {row["patientid"] for row in rows if row["license"] in FREE and _subset(row["patientid"]) is Subset.TRAIN}
    return [
        Source(
            path=folder / "images" / row["image"],
            data="COVID-19 image data collection",
            licence=row["license"],
            patient=row["patientid"],
            subset=Subset.TRAIN if row["patientid"] in taught else Subset.UNSEEN,
            view=view_of(row["view"]),
        )
        for row in rows
    ]


def hannover_sources(folder: Path) -> list[Source]:
    """Return one hospital's COVID-19 patients, all frontal; rows whose picture is missing are left out."""
    rows = read_table(folder / "metadata.csv", ["patient_id", "image_id", "projection"])
    sources = [
        Source(
            path=folder / "images" / f"{row['image_id']}.jpg",
            data="Hannover",
            licence="CC BY 3.0",
            patient=row["patient_id"],
            subset=_subset(row["patient_id"]),
            view=view_of(row["projection"]),
        )
        for row in rows
    ]
    return [source for source in sources if source.path.is_file()]


def kermany_sources(folder: Path) -> list[Source]:
    """Return children's frontal radiographs; the names of the files identify the patients."""
    return [
        Source(
            path=folder / "images" / row["image"],
            data="Kermany",
            licence="CC BY 4.0",
            patient=_child(row["image"]),
            subset=_subset(_child(row["image"])),
            view="AP",
        )
        for row in read_table(folder / "labels.csv", ["image"])
    ]


def each_once(sources: Iterable[Source]) -> list[Source]:
    """Keep the first picture of each file name: some of Hannover's are in the COVID-19 collection too."""
    first: dict[str, Source] = {}
    for source in sources:
        first.setdefault(source.path.stem, source)
    return list(first.values())


def stored(source: Source) -> NDArray[np.float32]:
    """Read a picture, squeezed to ``(STORED_SIDE, STORED_SIDE)`` float32 in [0, 1].

    Raises
    ------
    DataError
        It cannot be decoded.
    """
    pixels = as_radiograph(read_picture(source.path)).pixels
    return np.asarray(cv2.resize(pixels, (STORED_SIDE, STORED_SIDE), interpolation=cv2.INTER_AREA), np.float32)


def _child(name: str) -> str:
    found = _CHILD.search(name)
    return found[0] if found else name


def _subset(patient: str) -> Subset:
    return Subset.UNSEEN if unit_hash(patient) < HELD_OUT else Subset.TRAIN
