"""Compare the bundle with radiologists: the same pictures against mined labels and against radiologists' reads.

Five radiologists read each picture. ``experts_labels.csv`` is the majority of three of them. The other two had no part
in it, so they can be measured against it as the bundle is.

References
----------
Nabulsi et al. 2021, Scientific Reports (the reads).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.study.errors import DataError
from candor.study.findings import Finding
from training.data.readers.tables import Cells, read_table
from training.measure.evaluation.figures import answers, ranking_compared
from training.measure.evaluation.sample import Record, Sample, by_finding
from training.statistics.decisions import count
from training.statistics.metrics import Floats

LABELS: Final = "experts_labels.csv"
READS: Final = "experts_readers.csv"

IN_THE_MAJORITY: Final = frozenset({"4343882785", "4343883593", "4343883996"})
"""Readers whose majority is ``experts_labels.csv``; measured against it, they would look too good."""

FEWEST_POSITIVES: Final = 10
"""A finding with fewer positives, mined or by the majority, is left out of the means and of the plot.

So is one of fewer positive patients than :data:`.sample.FEWEST_PATIENTS`.
"""

_ANSWERS: Final = {"YES": 1.0, "NO": 0.0}


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """The radiologists' answers on a sample's pictures.

    Parameters
    ----------
    majority
        ``(images, findings)``: 1, 0, or NaN where nobody read the picture.
    others
        The same for each reader outside the majority, by the reader's number.
    """

    majority: Floats
    others: Mapping[str, Floats]

    @property
    def read(self) -> NDArray[np.bool_]:
        """Whether each picture was read: ``(images,)``."""
        return np.asarray(~np.isnan(self.majority).any(axis=1), np.bool_)


def read_reads(folder: Path, sample: Sample) -> Reads | None:
    """Read both tables for a sample's pictures; None if one of them is missing, or neither has these pictures.

    Parameters
    ----------
    folder
        May hold ``experts_labels.csv`` and ``experts_readers.csv``.
    sample
        The pictures and findings to read, in this order.

    Raises
    ------
    DataError
        A table is damaged or lacks a column, or an answer is neither YES nor NO.
    """
    if not ((folder / LABELS).is_file() and (folder / READS).is_file()):
        return None
    columns = ["Image ID", *(_column(finding) for finding in sample.findings)]
    majority = _aligned(read_table(folder / LABELS, columns), sample)
    rows = read_table(folder / READS, [*columns, "Reader ID"])
    others = sorted({row["Reader ID"] for row in rows} - IN_THE_MAJORITY)
    reads = Reads(majority, {r: _aligned([row for row in rows if row["Reader ID"] == r], sample) for r in others})
    return reads if reads.read.any() else None


def _column(finding: Finding) -> str:
    return finding.label.replace("_", " ")


def _aligned(rows: Sequence[Cells], sample: Sample) -> Floats:
    """Return a table's answers in the sample's order: ``(images, findings)``, NaN where it has no row."""
    by_name = {row["Image ID"]: row for row in rows}
    unread = [float("nan")] * len(sample.findings)
    table = [
        [_answer(by_name[image.name], finding) for finding in sample.findings] if image.name in by_name else unread
        for image in sample.images
    ]
    return np.asarray(table, np.float64).reshape(len(sample.images), len(sample.findings))


def _answer(row: Cells, finding: Finding) -> float:
    cell = row[_column(finding)]
    if cell not in _ANSWERS:
        raise DataError(f"a reader's answer on {finding.label} of {row['Image ID']} is {cell!r}; it must be YES or NO")
    return _ANSWERS[cell]


def beside_readers(sample: Sample, reads: Reads, thresholds: Floats) -> Record:
    """Measure the same pictures against the mined labels and against the majority, and measure the other readers.

    Parameters
    ----------
    sample
        Held-out pictures with mined labels.
    reads
        What radiologists said of them.
    thresholds
        ``(images, findings)`` calibrated probabilities from other patients.

    Returns
    -------
    ``compared``, the findings that the means are of: those with enough positives by both. ``mined`` and ``majority``
    with ``ranking`` and ``answers``. ``mined_as_reader``, the mined labels as if they were a reader's own. And
    ``readers`` by number.
    """
    read = reads.read
    against = {"mined": sample, "majority": sample.labelled(reads.majority)}
    parts = [part.take(read) for part in against.values()]
    enough = [((part.labels > 0).sum(axis=0) >= FEWEST_POSITIVES) & ~part.few for part in parts]
    common = np.all(enough, axis=0)
    record: Record = {"compared": [f.label for f, kept in zip(sample.findings, common, strict=True) if kept]}
    for name, part in against.items():
        figures = ranking_compared(part.take(read), common)
        record[name] = {"ranking": figures, "answers": answers(part.take(read), thresholds[read])}
    truth = against["majority"].take(read)
    readers = {number: _reader(truth, given[read]) for number, given in reads.others.items()}
    return record | {"mined_as_reader": _reader(truth, sample.labels[read]), "readers": readers}


def _reader(truth: Sample, given: Floats) -> Record:
    """Measure sensitivity, specificity and F1 of one reader; pictures that the reader did not read are left out."""
    weights = truth.weights()
    read = truth.labelled(np.where(np.isnan(given), np.nan, truth.labels))
    labels = np.where(read.few, np.nan, read.labels)
    once, drawn = count(labels, given > 0), count(labels, given > 0, weights)
    columns = {
        name: by_finding(getattr(once, name), getattr(drawn, name)) for name in ("sensitivity", "specificity", "f1")
    }
    return {
        finding.label: {"positives": int((read.labels[:, k] > 0).sum())} | {n: c[k].json for n, c in columns.items()}
        for k, finding in enumerate(truth.findings)
    }
