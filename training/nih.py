"""Read NIH ChestX-ray14: a table of images with labels, patients and the official split.

References
----------
Wang et al. 2017, NIH Clinical Center.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.errors import DataError
from cxr.findings import NO_FINDING, Finding, finding_named
from training.splits import Subset, subset_of


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One picture with what is known of it."""

    name: str
    path: Path
    patient: str
    findings: frozenset[Finding]
    subset: Subset


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Pictures in a fixed order, with their labels as an array."""

    images: tuple[LabelledImage, ...]
    findings: tuple[Finding, ...]

    def labels(self) -> NDArray[np.float32]:
        """``(images, findings)`` float32, 1 where the finding is labelled."""
        rows = [[finding in image.findings for finding in self.findings] for image in self.images]
        return np.asarray(rows, np.float32).reshape(len(self.images), len(self.findings))

    def patients(self) -> NDArray[np.str_]:
        """``(images,)``: whose picture each is."""
        return np.asarray([image.patient for image in self.images], dtype=np.str_)

    def only(self, *subsets: Subset) -> Dataset:
        """Keep the pictures of some sets."""
        return Dataset(tuple(image for image in self.images if image.subset in subsets), self.findings)

    def one_image_a_patient(self) -> Dataset:
        """Keep each patient's first picture by name: independent draws for an exact test."""
        first: dict[str, LabelledImage] = {}
        for image in sorted(self.images, key=lambda image: image.name):
            first.setdefault(image.patient, image)
        return Dataset(tuple(first.values()), self.findings)


def read_nih(folder: Path, findings: Sequence[Finding] = tuple(Finding)) -> Dataset:
    """Read ``images.csv`` and find the pictures under ``images/``.

    Raises
    ------
    DataError
        The table or a picture is missing, a label is unknown, or a patient stands in both official splits.
    """
    table = folder / "images.csv"
    if not table.is_file():
        raise DataError(f"{table} is not there; give the folder that holds images.csv and images/")
    with table.open(newline="") as lines:
        images = tuple(_labelled(row, folder / "images") for row in csv.DictReader(lines))
    _check(images, table)
    return Dataset(images, tuple(findings))


def _labelled(row: dict[str, str], folder: Path) -> LabelledImage:
    patient = row["patient_id"]
    return LabelledImage(
        name=row["image"],
        path=folder / f"{Path(row['image']).stem}.jpg",
        patient=patient,
        findings=parse_labels(row["labels"]),
        subset=subset_of(patient, official_test=row["split"] == "test"),
    )


def parse_labels(text: str) -> frozenset[Finding]:
    """Read ChestX-ray14's ``A|B|C``; "No Finding" is the empty set."""
    return frozenset(finding_named(label) for label in text.split("|") if label != NO_FINDING)


def _check(images: Sequence[LabelledImage], table: Path) -> None:
    missing = [image.path.name for image in images if not image.path.is_file()]
    if missing:
        raise DataError(f"{len(missing)} pictures of {table.name} are not there, the first is {missing[0]}")
    official: dict[str, bool] = {}
    for image in images:
        in_test = image.subset not in (Subset.TRAIN, Subset.VALIDATION)
        if official.setdefault(image.patient, in_test) != in_test:
            raise DataError(f"patient {image.patient} of {table.name} stands in train_val and in test")


def prevalence(table: Path, findings: Iterable[Finding] = tuple(Finding)) -> dict[Finding, float]:
    """Share of images with each finding in the whole label table (``labels_all.csv.gz``), in [0, 1].

    Raises
    ------
    DataError
        The table is missing or empty.
    """
    if not table.is_file():
        raise DataError(f"{table} is not there; it states the prevalence of the whole data set")
    counts: Counter[Finding] = Counter()
    total = 0
    with gzip.open(table, "rt", newline="") as lines:
        for row in csv.DictReader(lines):
            counts.update(parse_labels(row["Finding Labels"]))
            total += 1
    if not total:
        raise DataError(f"{table} has no rows")
    return {finding: counts[finding] / total for finding in findings}
