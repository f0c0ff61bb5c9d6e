"""Where an audit's arrays come from: predictions, signals in tables, radiologists' reads."""

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
from training.measure.evaluation.readers import Reads, read_reads
from training.measure.evaluation.sample import Sample
from training.measure.selective.figures import Audited
from training.predictions.table import Predictions
from training.statistics.metrics import Floats

MEAN_READER = "either reader"
"""One of the readers outside the majority, drawn anew for each question: the mean of their answers."""


def audited(predictions: Predictions, probabilities: Floats, signals: Mapping[str, Floats] | None = None) -> Audited:
    """Put calibrated probabilities, and signals where there are any, beside what the predictions know."""
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
        ``image`` and a column for each finding; ``value`` is one number for all of an image's findings; a ``reader``
        column tells several apart. Blank is not known.

    Returns
    -------
    By reader (``reader`` where there is no such column), ``(images, findings)``, NaN not known.

    Raises
    ------
    DataError
        The table cannot be read, has no column that is asked for, or a cell is no number.
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
        raise DataError(f"{table}, image {cells['image']}: {cell!r} is no number; correct the row") from None


def read_signal(table: Path, images: NDArray[np.str_], findings: Sequence[Finding]) -> Floats:
    """Read an uncertainty for every answer; see :func:`read_answers`.

    Raises
    ------
    DataError
        As there, or an answer has none.
    """
    (signal, *others) = read_answers(table, images, findings).values()
    if others or np.isnan(signal).any():
        raise DataError(f"{table} must have one uncertainty for each finding of every image; fill the gaps")
    return signal


def radiologists(folder: Path, predictions: Predictions) -> Reads | None:
    """Read ChestX-ray14's radiologists for these images; see :func:`training.measure.evaluation.readers.read_reads`."""
    images = [
        LabelledImage(name, Path(name), patient, frozenset(), Subset.TEST)
        for name, patient in zip(predictions.images.tolist(), predictions.patients.tolist(), strict=True)
    ]
    none = np.full_like(predictions.labels, np.nan)
    return read_reads(folder, Sample(tuple(images), predictions.findings, none, none, none))


def readers_of(reads: Reads) -> dict[str, Floats]:
    """Give the readers outside the majority by number, and one of them at random: P("yes")."""
    readers = {f"reader {number}": given for number, given in reads.others.items()}
    return readers | {MEAN_READER: np.mean(list(readers.values()), axis=0)}
