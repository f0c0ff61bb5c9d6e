"""Predictions with labels: one table for everything that is fitted to a model's answers or measured on them.

``predictions.csv``, gzipped where its name ends in ``.gz``, has one line for each image::

    image,patient,sex,age,view,Effusion,Effusion_logit,Edema,Edema_logit

A finding's own column is its label: 1, 0, or blank where it is unknown (-1, uncertain, counts as unknown). Its score is
the network's own, before any calibration: ``<Finding>_logit``, or ``<Finding>_probability`` in [0, 1]. Sex, age in
years (or ``age group``) and view are optional.

Two other layouts are read as well: that of the published CheXNet (``Image Index``, ``prob_<Finding>``), and the
application's ``results.json``, whose images are named by their SOP Instance UID. Labels and patients may come from a
separate table: ``image``, ``patient`` and a column for each finding, or ChestX-ray14's ``Image Index``,
``Finding Labels``, ``Patient ID``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.model.bundle import Model
from candor.study.errors import DataError
from candor.study.findings import Finding
from candor.words.results_json import read_results
from training.data.dataset import Dataset
from training.data.groups import AGES, ATTRIBUTES
from training.data.readers.cells import Mark, mark_of, marks_of_labels, sex_of, view_of, years
from training.data.readers.tables import Cells, read_table
from training.predictions.fold_heads import logits_out_of_fold
from training.predictions.predict import predict

Floats = NDArray[np.float64]
Names = NDArray[np.str_]

CLIP: Final = 1e-7
"""Probabilities are kept at least this far from 0 and 1, where log-odds are infinite."""

AGE_GROUP: Final = "age group"
_IMAGE: Final = ("image", "Image Index")
_PATIENT: Final = ("patient", "patient_id", "Patient ID")
_SEX: Final = ("sex", "Patient Sex", "Patient Gender")
_AGE: Final = ("age", "Patient Age")
_VIEW: Final = ("view", "View Position")
_LABELS: Final = ("labels", "Finding Labels")


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """A network's logits for images, with their labels.

    Parameters
    ----------
    source
        The data's name: a data set, a site or a file.
    images, patients
        ``(images,)``; each image occurs once.
    labels
        ``(images, findings)``: 1 present, 0 absent, NaN unknown.
    logits
        ``(images, findings)``, of the network, before calibration.
    groups
        ``sex``, ``age group`` and ``view``, ``(images,)`` each, if the source has them; empty where unknown.
    """

    source: str
    findings: tuple[Finding, ...]
    images: Names
    patients: Names
    labels: Floats
    logits: Floats
    groups: Mapping[str, Names] = field(default_factory=dict)

    @property
    def description(self) -> str:
        """The data's name with the numbers of images and patients."""
        return f"{self.source}, {len(self.images):,} images of {len(np.unique(self.patients)):,} patients"

    def take(self, mask: NDArray[np.bool_]) -> Predictions:
        """Keep the images where ``(images,)`` is true."""
        return replace(
            self,
            images=self.images[mask],
            patients=self.patients[mask],
            labels=self.labels[mask],
            logits=self.logits[mask],
            groups={name: values[mask] for name, values in self.groups.items()},
        )

    def halves(self, seed: int) -> tuple[Predictions, Predictions]:
        """Divide the patients in two at random; all of a patient's images go together."""
        patients = np.unique(self.patients)
        first = np.random.default_rng(seed).permutation(patients)[: len(patients) // 2]
        mask = np.isin(self.patients, first)
        return self.take(mask), self.take(~mask)


def predictions_of(model: Model, dataset: Dataset, source: str = "the data set") -> Predictions:
    """Run a bundle's network over a data set of its findings; a head refitted to its patients answers out of fold.

    Parameters
    ----------
    model
        The bundle whose graph runs.
    dataset
        Data of the bundle's findings, in the bundle's order.
    source
        The data's name.

    Raises
    ------
    BundleError, DataError, Refused
        As for :func:`training.predictions.predict.predict`.
    """
    return with_logits(dataset, logits_out_of_fold(model, dataset, predict(model, dataset)), source)


def with_logits(dataset: Dataset, logits: NDArray[np.float32], source: str) -> Predictions:
    """Combine logits with a data set's labels, patients and groups.

    Parameters
    ----------
    dataset
        Pictures and findings, in the order of the logits.
    logits
        ``(images, findings)``, before calibration.
    source
        The data's name.
    """
    return Predictions(
        source=source,
        findings=dataset.findings,
        images=np.asarray([image.name for image in dataset.images], np.str_),
        patients=dataset.patients(),
        labels=dataset.labels().astype(np.float64),
        logits=logits.astype(np.float64),
        groups={
            AGE_GROUP if name == "age" else name: np.asarray([group(image) for image in dataset.images], np.str_)
            for name, group in ATTRIBUTES.items()
        },
    )


def read_predictions(table: Path, labels: Path | None = None, findings: Sequence[Finding] | None = None) -> Predictions:
    """Read a table of predictions; see the module for its layouts.

    Parameters
    ----------
    table
        The predictions: ``.csv``, ``.csv.gz``, or a ``results.json``.
    labels
        The table of labels and patients, if they are not in ``table``; images without a row in it are left out.
    findings
        The findings to read, in this order; None takes every finding that has a score.

    Raises
    ------
    DataError
        A column is missing, a score is not a number, an image occurs twice, or no image has a label.
    """
    rows = _of_results(table) if table.suffix == ".json" else read_table(table, ())
    header = rows[0].keys()
    image = _column(table, header, _IMAGE)
    _require_each_once(table, rows, image)
    scores = _score_columns(table, header, findings)
    if labels is None:
        truth_table, truths = table, rows
    else:
        truths, rows = _joined(table, rows, image, labels)
        truth_table = labels
    return Predictions(
        source=table.name,
        findings=tuple(scores),
        images=np.asarray([cells[image] for cells in rows], np.str_),
        patients=_patients(truth_table, truths),
        labels=_labels(truth_table, truths, tuple(scores)),
        logits=np.stack([_logits(table, rows, image, column) for column in scores.values()], axis=1),
        groups=_groups(truths),
    )


def _of_results(table: Path) -> list[Cells]:
    """Read the logits of every image in a ``results.json``; its images are named by their SOP Instance UID."""
    rows = [
        {"image": image.sop_instance_uid} | {f"{answer.finding}_logit": str(answer.logit) for answer in image.findings}
        for study in read_results(table).studies
        for image in study.images
    ]
    if not rows:
        raise DataError(f"{table} holds no image that was assessed; run the application over the site's cases")
    return rows


def _named(header: Iterable[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in set(header)), None)


def _column(table: Path, header: Iterable[str], names: Sequence[str]) -> str:
    column = _named(header, names)
    if column is None:
        raise DataError(f"{table} has no column {names[0]} (or {', '.join(names[1:])}); add it, or give --labels")
    return column


def _score_columns(table: Path, header: Iterable[str], findings: Sequence[Finding] | None) -> dict[Finding, str]:
    """Find the column that holds each finding's score."""
    names = set(header)
    columns = {
        finding: column
        for finding in Finding
        for column in (f"{finding.label}_logit", f"{finding.label}_probability", f"prob_{finding.label}")
        if column in names
    }
    if findings is None:
        findings = tuple(columns)
    missing = [finding.label for finding in findings if finding not in columns]
    if missing:
        raise DataError(f"{table} has no score of {', '.join(missing)}; add {missing[0]}_logit or _probability")
    if not columns:
        raise DataError(f"{table} has no score of any finding; add columns such as {next(iter(Finding)).label}_logit")
    return {finding: columns[finding] for finding in findings}


def _joined(table: Path, rows: list[Cells], image: str, labels: Path) -> tuple[list[Cells], list[Cells]]:
    """Join predictions and labels by image: the rows of the label table and of the predictions, in one order."""
    truths = read_table(labels, ())
    key = _column(labels, truths[0], _IMAGE)
    _require_each_once(labels, truths, key)
    by_image = {cells[key]: cells for cells in truths}
    kept = [cells for cells in rows if cells[image] in by_image]
    if not kept:
        raise DataError(f"{labels} has no image of {table} (such as {rows[0][image]!r}); give the table of its labels")
    return [by_image[cells[image]] for cells in kept], kept


def _require_each_once(table: Path, rows: list[Cells], column: str) -> None:
    seen: set[str] = set()
    for number, cells in enumerate(rows, start=1):
        name = cells[column]
        if not name or name in seen:
            problem = "occurs twice" if name else "has no name"
            raise DataError(f"{table}, row {number}: the image {name!r} {problem}; keep each image once")
        seen.add(name)


def _patients(table: Path, rows: list[Cells]) -> Names:
    column = _column(table, rows[0], _PATIENT)
    blank = next((number for number, cells in enumerate(rows, start=1) if not cells[column]), None)
    if blank is not None:
        raise DataError(f"{table}, row {blank}: {column} is blank; a patient's images must be known to stay together")
    return np.asarray([cells[column] for cells in rows], np.str_)


def _labels(table: Path, rows: list[Cells], findings: tuple[Finding, ...]) -> Floats:
    """Read labels ``(images, findings)`` from one column of names, or one for each finding; NaN without a column."""
    named = _named(rows[0], _LABELS)
    try:
        marks = [
            marks_of_labels(cells[named])
            if named
            else {f: mark_of(cells.get(f.label, ""), Mark.UNKNOWN) for f in findings}
            for cells in rows
        ]
    except DataError as error:
        raise DataError(f"{table}: {error}") from None
    values = {Mark.PRESENT: 1.0, Mark.ABSENT: 0.0}
    known = np.asarray([[values.get(found[f], np.nan) for f in findings] for found in marks], np.float64)
    if np.isnan(known).all():
        raise DataError(f"{table} has no label of {', '.join(f.label for f in findings)}; add the columns, or --labels")
    return known


def _logits(table: Path, rows: list[Cells], image: str, column: str) -> Floats:
    """Read one finding's scores as log-odds."""
    try:
        scores = np.asarray([cells[column] for cells in rows], np.float64)
    except ValueError:
        scores = np.asarray([_number(cells[column]) for cells in rows], np.float64)
    is_logit = column.endswith("_logit")
    usable = np.isfinite(scores) if is_logit else (scores >= 0) & (scores <= 1)
    if not usable.all():
        bad = rows[int(np.argmin(usable))]
        wanted = "a finite number" if is_logit else "a probability from 0 to 1"
        raise DataError(f"{table}, image {bad[image]}: {column} is {bad[column]!r}, not {wanted}; correct the row")
    if is_logit:
        return scores
    clipped = np.clip(scores, CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped) - np.log1p(-clipped), np.float64)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def _groups(rows: list[Cells]) -> dict[str, Names]:
    found: dict[str, Names] = {}
    readers: tuple[tuple[str, Sequence[str], Callable[[str], str]], ...] = (
        ("sex", _SEX, sex_of),
        (AGE_GROUP, (AGE_GROUP,), str.strip),
        (AGE_GROUP, _AGE, _age_group),
        ("view", _VIEW, view_of),
    )
    for name, columns, read in readers:
        column = _named(rows[0], columns)
        if column is not None and name not in found:
            found[name] = np.asarray([read(cells[column]) for cells in rows], np.str_)
    return found


def _age_group(cell: str) -> str:
    age = years(cell)
    return "" if age is None else next(name for name, (low, high) in AGES.items() if low <= age < high)
