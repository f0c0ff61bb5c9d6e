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
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxr.errors import DataError
from cxr.findings import NO_FINDING, Finding, finding_named
from training.splits import RULE, SEED, Subset, subset_of

COLUMNS: Final = ("image", "patient_id", "labels", "split")
"""What ``images.csv`` must have; ``split`` is ``train_val`` or ``test``."""


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

    def splits(self) -> dict[str, object]:
        """Which patients are in which set, and by what rule, for ``splits.json``."""
        sets = {subset.value: sorted(set(self.only(subset).patients().tolist())) for subset in Subset}
        return {"rule": RULE, "seed": SEED, "patients": sets}


def read_nih(folder: Path, findings: Sequence[Finding] = tuple(Finding)) -> Dataset:
    """Read ``images.csv`` and find the pictures under ``images/``.

    Parameters
    ----------
    folder
        Holds ``images.csv`` and ``images/<image>.jpg``.
    findings
        The columns of the labels.

    Raises
    ------
    DataError
        The table or a picture is missing, a row cannot be used, or a patient stands in both official splits.
    """
    table = folder / "images.csv"
    if not table.is_file():
        raise DataError(f"{table} is not there; give the folder that holds images.csv and images/")
    with table.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        absent = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if absent:
            raise DataError(f"{table} has no column {', '.join(absent)}; it needs {', '.join(COLUMNS)}")
        images = tuple(_labelled(row, table) for row in reader)
    _check(images, table)
    return Dataset(images, tuple(findings))


def _labelled(row: dict[str, str], table: Path) -> LabelledImage:
    name, patient, labels, split = (row[column] for column in COLUMNS)
    if not (name and patient and labels) or split not in ("train_val", "test"):
        raise DataError(f"{table}: the row of {name} is incomplete; all must be there, split train_val or test")
    return LabelledImage(
        name=name,
        path=table.parent / "images" / f"{Path(name).stem}.jpg",
        patient=patient,
        findings=parse_labels(labels),
        subset=subset_of(patient, official_test=split == "test"),
    )


def parse_labels(text: str) -> frozenset[Finding]:
    """Read ChestX-ray14's ``A|B|C``; "No Finding" is the empty set."""
    return frozenset(finding_named(label) for label in text.split("|") if label != NO_FINDING)


def _check(images: Sequence[LabelledImage], table: Path) -> None:
    missing = [image.path.name for image in images if not image.path.is_file()]
    if missing:
        raise DataError(f"{len(missing)} pictures of {table} are not there, the first is {missing[0]}; fetch them")
    official: dict[str, bool] = {}
    for image in images:
        in_test = image.subset not in (Subset.TRAIN, Subset.VALIDATION)
        if official.setdefault(image.patient, in_test) != in_test:
            raise DataError(f"{table}: a patient stands in train_val and in test ({image.name}); correct the split")


def prevalence(table: Path, findings: Iterable[Finding] = tuple(Finding)) -> dict[Finding, float]:
    """Share of images with each finding in the whole label table (``labels_all.csv.gz``), in (0, 1).

    Raises
    ------
    DataError
        The table is missing, damaged or empty, or a finding stands in no row or in all.
    """
    try:
        with gzip.open(table, "rt", newline="", encoding="utf-8") as lines:
            labels = [parse_labels(row["Finding Labels"]) for row in csv.DictReader(lines)]
    except FileNotFoundError as error:
        raise DataError(f"{table} is not there; it states the prevalence of the whole data set") from error
    except (OSError, EOFError, KeyError) as error:
        raise DataError(f"{table} is no gzipped table with a column 'Finding Labels'; fetch it again") from error
    counts = Counter(finding for found in labels for finding in found)
    shares = {finding: counts[finding] / max(len(labels), 1) for finding in findings}
    for finding, share in shares.items():
        if not 0 < share < 1:
            raise DataError(f"{table} gives {finding.label} a prevalence of {share:g}; take a table that has both")
    return shares
