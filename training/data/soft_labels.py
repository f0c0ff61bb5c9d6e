"""Soft labels: probabilities from another classifier, or from several readers, mixed into the training labels.

Their source must not have learned from the patients of gate, calibration and test. Otherwise its knowledge of them
would come back through its answers on the training pictures, and the figures of the evaluation would be too good.

References
----------
Hinton et al. 2015 (distillation: a mixture of the label and a teacher's probability as target). Saerens et al. 2002
(prior shift, equation 4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.study.errors import DataError
from candor.study.findings import Finding, finding_named
from training.data.dataset import Dataset
from training.data.readers.records import first_few
from training.data.readers.tables import Cells, read_table
from training.data.shares import shares

Floats = NDArray[np.float64]

NAME: Final = "Image Index"
PREFIX: Final = "prob_"


@dataclass(frozen=True, slots=True, eq=False)
class SoftLabels:
    """Probabilities of findings, as a table gives them.

    Parameters
    ----------
    findings
        The table's columns; other findings keep their labels.
    rows
        For each picture's name ``(findings,)`` float64 in [0, 1].
    prevalences
        ``(findings,)``: each column's mean, the prevalence at which the probabilities were made.
    sha256
        Hash of the file.
    """

    source: Path
    findings: tuple[Finding, ...]
    rows: Mapping[str, Floats]
    prevalences: Floats
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Softened:
    """The targets of the loss in place of the labels.

    Parameters
    ----------
    targets
        ``(images, findings)`` float32 in [0, 1], NaN where the label is NaN.
    images
        Number of pictures that are in the table.
    """

    targets: NDArray[np.float32]
    images: int
    sha256: str

    @property
    def facts(self) -> dict[str, object]:
        """For ``train.json``."""
        return {"sha256": self.sha256, "images": self.images}


def read_soft_labels(path: Path) -> SoftLabels:
    """Read a CSV table, plain or gzipped: ``Image Index``, and ``prob_<Finding>`` for some findings.

    Raises
    ------
    DataError
        The table cannot be read, has another column, names a picture twice, or holds something that is not a
        probability; or a finding is 0 or 1 on all pictures, so that its prevalence cannot be shifted.
    """
    table = read_table(path, [NAME])
    columns = [column for column in table[0] if column != NAME]
    findings = tuple(_finding(column, path) for column in columns)
    if not findings:
        raise DataError(f"{path} has no column {PREFIX}<Finding>; give probabilities of at least one finding")
    rows = {cells[NAME]: _probabilities(cells, columns, path) for cells in table}
    if len(rows) < len(table):
        raise DataError(f"{path} has {len(table)} rows for {len(rows)} pictures; keep one row of each")
    prevalences = np.mean(list(rows.values()), axis=0)
    flat = [column for column, share in zip(columns, prevalences, strict=True) if not 0 < share < 1]
    if flat:
        raise DataError(f"{path}: {first_few(flat)} is 0 or 1 for all pictures; leave such a column out")
    return SoftLabels(path, findings, rows, prevalences, hashlib.sha256(path.read_bytes()).hexdigest())


def _finding(column: str | None, path: Path) -> Finding:
    # csv files the surplus cells of a long line under None.
    if column is None or not column.startswith(PREFIX):
        known = f"{NAME} and {PREFIX}<Finding>"
        raise DataError(f"{path} has the unknown column {column or 'without a name'}; its columns are {known}")
    try:
        return finding_named(column.removeprefix(PREFIX))
    except DataError as error:
        raise DataError(f"{path}, column {column}: {error}") from None


def _probabilities(cells: Cells, columns: Sequence[str], path: Path) -> Floats:
    try:
        found = np.asarray([cells[column] for column in columns], np.float64)
    except ValueError:
        found = np.full(len(columns), np.nan)
    if not ((found >= 0) & (found <= 1)).all():  # NaN too
        raise DataError(f"{path}: the row of {cells[NAME]} holds a value that is not a probability from 0 to 1")
    return found


def softened(soft: SoftLabels, learning: Dataset, weight: float) -> Softened:
    """Mix the labels of the training pictures with the table's probabilities: ``(1 - weight) y + weight p'``.

    ``p'`` is the table's probability, shifted from the table's prevalence to the share of positives among these
    pictures: otherwise a table made where a finding is rare would say nearly everywhere that it is absent. A picture or
    a finding that is not in the table keeps its label. So does a label that is NaN, since a policy left it out.

    Parameters
    ----------
    soft
        The table.
    learning
        The TRAIN pictures only: validation and test need true labels.
    weight
        Weight of the probabilities, in [0, 1].

    Raises
    ------
    DataError
        The table has none of these pictures, or none of their findings.
    """
    labels = learning.labels()
    here = [position for position, image in enumerate(learning.images) if image.name in soft.rows]
    both = [finding for finding in soft.findings if finding in learning.findings]
    if not (here and both):
        lacking = "findings" if here else "training pictures"
        raise DataError(f"{soft.source} has none of the {lacking}; give a table made from these data")
    ours = [learning.findings.index(finding) for finding in both]
    theirs = [soft.findings.index(finding) for finding in both]
    given = np.stack([soft.rows[learning.images[position].name] for position in here])[:, theirs]
    shifted = prior_shifted(given, soft.prevalences[theirs], shares(labels)[ours])
    targets = labels.copy()
    at = np.ix_(here, ours)
    targets[at] = (1 - weight) * labels[at] + weight * shifted
    return Softened(targets, len(here), soft.sha256)


def prior_shifted(probabilities: Floats, before: Floats, after: Floats) -> Floats:
    """Shift probabilities from one prevalence to another; 0 and 1 stay.

    Parameters
    ----------
    probabilities
        ``(n, findings)`` in [0, 1].
    before, after
        ``(findings,)`` in (0, 1): the prevalences.
    """
    present, absent = probabilities * after / before, (1 - probabilities) * (1 - after) / (1 - before)
    return np.asarray(present / (present + absent), np.float64)
