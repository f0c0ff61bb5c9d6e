"""The inputs of an audit: predictions, signals in tables, radiologists' reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from candor.study.errors import DataError
from candor.study.findings import Finding
from training.data.dataset import LabelledImage
from training.data.readers.tables import Cells, read_table
from training.data.splits import Subset
from training.measure.evaluation.radiologists import Reads, read_reads
from training.measure.evaluation.sample import Sample
from training.measure.selective.figures import Audited
from training.predictions.table import Predictions
from training.statistics.metrics import Floats

MEAN_READER = "either reader"
"""A reader who is drawn anew for each question from those outside the majority: the mean of their answers."""


def audited(predictions: Predictions, probabilities: Floats, signals: Mapping[str, Floats] | None = None) -> Audited:
    """Combine predictions with calibrated probabilities and signals.

    Parameters
    ----------
    predictions
        Give labels, patients and groups.
    probabilities
        ``(images, findings)``, calibrated on other patients.
    signals
        Further uncertainties by name, ``(images, findings)``; None is none.
    """
    return Audited(
        predictions.description,
        predictions.findings,
        predictions.patients,
        predictions.labels,
        probabilities,
        predictions.groups,
        signals or {},
    )


def read_answers(table: Path, images: NDArray[np.str_], findings: Sequence[Finding]) -> dict[str, Floats]:
    """Read a table of numbers for images and findings: readers' answers, or a signal.

    Parameters
    ----------
    table
        CSV with ``image`` and a column for each finding, or ``value`` for one number for all of an image's findings. A
        ``reader`` column separates several readers. A blank cell is unknown.
    images
        ``(images,)`` names to look up; other rows are left out.
    findings
        Columns to read, in this order.

    Returns
    -------
    For each reader (``reader`` where there is no such column) ``(images, findings)``, NaN where unknown.

    Raises
    ------
    DataError
        The table cannot be read, lacks the columns or the images, or a cell is not a number.
    """
    rows = read_table(table, ["image"])
    if "value" not in rows[0] and not any(finding.label in rows[0] for finding in findings):
        raise DataError(f"{table} has neither a column of a finding nor value; add {findings[0].label}")
    place = {name: k for k, name in enumerate(images.tolist())}
    found: dict[str, Floats] = {}
    for cells in rows:
        if cells["image"] in place:
            answers = found.setdefault(cells.get("reader", "reader"), np.full((len(images), len(findings)), np.nan))
            answers[place[cells["image"]]] = [_number(table, cells, finding) for finding in findings]
    if not found:
        raise DataError(f"{table} has none of the {len(images)} images; give the table that belongs to them")
    return found


def _number(table: Path, cells: Cells, finding: Finding) -> float:
    cell = cells.get("value") or cells.get(finding.label, "")
    try:
        return float(cell) if cell else float("nan")
    except ValueError:
        raise DataError(f"{table}, image {cells['image']}: {cell!r} is not a number; correct the row") from None


def read_signal(table: Path, images: NDArray[np.str_], findings: Sequence[Finding]) -> Floats:
    """Read an uncertainty for every answer: ``(images, findings)``.

    Parameters
    ----------
    table, images, findings
        As for :func:`read_answers`.

    Raises
    ------
    DataError
        As for :func:`read_answers`, or an answer has no uncertainty.
    """
    (signal, *others) = read_answers(table, images, findings).values()
    if others or np.isnan(signal).any():
        raise DataError(f"{table} must have one uncertainty for each finding of every image; fill the gaps")
    return signal


def radiologists(folder: Path, predictions: Predictions) -> Reads | None:
    """Read the radiologists' reads of ChestX-ray14; see :func:`training.measure.evaluation.radiologists.read_reads`.

    Parameters
    ----------
    folder
        May hold ``experts_*.csv``.
    predictions
        The images and findings to read, in this order.
    """
    images = [
        LabelledImage(name, Path(name), patient, frozenset(), Subset.UNSEEN)
        for name, patient in zip(predictions.images.tolist(), predictions.patients.tolist(), strict=True)
    ]
    none = np.full_like(predictions.labels, np.nan)
    return read_reads(folder, Sample(tuple(images), predictions.findings, none, none, none))


def readers_of(reads: Reads) -> dict[str, Floats]:
    """Return P("yes") of each reader outside the majority, by name, and of one of them at random."""
    readers = {f"reader {number}": given for number, given in reads.others.items()}
    return readers | {MEAN_READER: np.mean(list(readers.values()), axis=0)}
