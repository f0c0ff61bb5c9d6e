"""The cases that the answer for a study is fitted to: pictures with the network's outputs, and what is abnormal.

Where radiologists read a picture, their normal or abnormal counts. Elsewhere the labels do: a picture without any
finding is normal. The labels were mined from reports and miss what the report leaves out, so they count less.

References
----------
Nabulsi et al. 2021, Scientific Reports (the reads).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.decide.study_answer import Inputs
from candor.model.bundle import Model
from candor.study.errors import DataError
from training.data.dataset import Dataset
from training.data.groups import ATTRIBUTES
from training.data.readers.tables import read_table
from training.measure.evaluation.radiologists import LABELS
from training.predictions.fold_heads import logits_out_of_fold
from training.predictions.predict import predict

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Names = NDArray[np.str_]

ABNORMAL: Final = "Abnormal"
"""Column of the reads: YES or NO."""


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """Pictures that the network never saw.

    Parameters
    ----------
    source
        Name of the data.
    patients
        ``(images,)``.
    labelled
        ``(images,)``: 1 where a finding is labelled as present, 0 where none is, NaN where it is not known.
    read
        ``(images,)``: 1 abnormal, 0 normal by the radiologists, NaN where none read the picture.
    inputs
        ``(images, channels)`` features and ``(images, findings)`` logits.
    groups
        Sex, age group and view of each picture, ``(images,)``; "" where not known.
    """

    source: str
    patients: Names
    labelled: Floats
    read: Floats
    inputs: Mapping[Inputs, Floats]
    groups: Mapping[str, Names]

    @property
    def abnormal(self) -> Floats:
        """``(images,)``: 1 abnormal, 0 normal, NaN not known; by the radiologists where they read the picture."""
        return np.where(np.isnan(self.read), self.labelled, self.read)

    @property
    def truth(self) -> Floats:
        """``(images,)``: the radiologists' answers alone; the labels where there is no read at all."""
        return self.labelled if np.isnan(self.read).all() else self.read

    @property
    def truth_name(self) -> str:
        """What :attr:`truth` is, in words."""
        return "the labels" if np.isnan(self.read).all() else "the radiologists' reads"


def cases_of(model: Model, dataset: Dataset, folder: Path | None = None) -> Cases:
    """Run a bundle's network over a data set, and join the reads.

    Parameters
    ----------
    model
        The bundle whose graph runs.
    dataset
        Pictures of patients that the network never saw, with labels of the bundle's findings.
    folder
        May hold ``experts_labels.csv``.

    Raises
    ------
    DataError
        The table of the reads is damaged, or nothing is known of any picture.
    """
    outputs = predict(model, dataset)
    logits = logits_out_of_fold(model, dataset, outputs)
    cases = Cases(
        source=dataset.source,
        patients=dataset.patients(),
        labelled=any_label(dataset.labels()),
        read=_reads(None if folder is None else folder / LABELS, [image.name for image in dataset.images]),
        inputs={"features": outputs.features.astype(np.float64), "logits": logits.astype(np.float64)},
        groups={
            name: np.asarray([group(image) for image in dataset.images], np.str_) for name, group in ATTRIBUTES.items()
        },
    )
    if len(np.unique(cases.truth[~np.isnan(cases.truth)])) < 2:
        raise DataError("the pictures are all normal or all abnormal, or not known; give data with both")
    return cases


def any_label(labels: NDArray[np.floating]) -> Floats:
    """Return whether each picture shows any finding: ``(images,)``, NaN where it may show one.

    Parameters
    ----------
    labels
        ``(images, findings)``: 1 present, 0 absent, NaN unknown.
    """
    unknown = np.isnan(labels).any(axis=1)
    present = (labels > 0).any(axis=1)
    return np.asarray(np.where(present, 1.0, np.where(unknown, np.nan, 0.0)), np.float64)


def _reads(table: Path | None, images: list[str]) -> Floats:
    read = {"YES": 1.0, "NO": 0.0}
    answers: dict[str, float] = {}
    for row in read_table(table, ["Image ID", ABNORMAL]) if table is not None and table.is_file() else ():
        if row[ABNORMAL] not in read:
            raise DataError(f"{table}: {ABNORMAL} of {row['Image ID']} is {row[ABNORMAL]!r}; it must be YES or NO")
        answers[row["Image ID"]] = read[row[ABNORMAL]]
    return np.asarray([answers.get(name, np.nan) for name in images], np.float64)
