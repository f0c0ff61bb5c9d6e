"""Measure a bundle on patients that the network never saw; write ``evaluation.json``, the report and its plots.

Of the data set that trained the network these are the UNSEEN patients, by the official test list or by hash; of another
data set, all patients. Calibration and gate are measured out of fold where they were fitted to these patients
(:mod:`training.gate.out_of_fold`). No file of the bundle's hash is written.

References
----------
Efron 1979 (bootstrap), here of patients. Guo et al. 2017 (expected calibration error).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.model.bundle import Bundle
from training.bundles.leakage import from_elsewhere, unseen_part
from training.data.dataset import Dataset
from training.data.splits import FOLDS
from training.gate.evidence import missed_shares
from training.gate.out_of_fold import Answers, answers_out_of_fold
from training.gate.thresholds import gate_groups
from training.measure.evaluation.figures import (
    answers,
    calibration,
    calibration_against_floor,
    ranking,
    youden_out_of_fold,
)
from training.measure.evaluation.gallery import draw
from training.measure.evaluation.localisation import Box, localisation, maps_of, read_boxes
from training.measure.evaluation.populations import groups, modes
from training.measure.evaluation.radiologists import Reads, beside_readers, read_reads
from training.measure.evaluation.report import REPORT, write_report
from training.measure.evaluation.sample import RESAMPLES, SEED, Record, Sample, sample_of
from training.predictions.cross_fitting import require_folds
from training.predictions.fold_heads import logits_out_of_fold
from training.predictions.predict import predict
from training.predictions.table import Predictions, with_logits
from training.records import Occasion, write_json

EVALUATION: Final = Path("models", "evaluation.json")
"""Path of the figures in a bundle."""


def evaluate(
    bundle: Bundle, dataset: Dataset, occasion: Occasion, folder: Path | None = None, out: Path | None = None
) -> Record:
    """Measure ranking, calibration, answers and localisation, and write figures, report and plots.

    Everything that can be refused is checked before the network runs.

    Parameters
    ----------
    bundle
        The bundle. Without a calibration the figures that need one are left out.
    dataset
        Data of the bundle's findings, in the bundle's order.
    occasion
        Date and command, for the record.
    folder
        May hold the radiologists' reads (``experts_*.csv``) and boxes (``boxes.csv``); without them the bundle is not
        compared with those.
    out
        Folder that gets ``models/evaluation.json``, the report and its plots in ``docs``; None for the bundle's.

    Raises
    ------
    DataError
        The data set has no unseen patient or too few of them, some of them trained the network, or a table of the
        radiologists cannot be used.
    BundleError
        The bundle does not say who trained it.
    """
    part, root = unseen_part(bundle, dataset), out or bundle.root
    require_folds(part.patients())
    beside = _Beside.read(folder, part)
    for file in (EVALUATION, REPORT):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
    outputs = predict(bundle, part)
    activation, logits = outputs.activation, logits_out_of_fold(bundle, part, outputs)
    predictions = with_logits(part, logits, part.source)
    answered = answers_out_of_fold(bundle, predictions)
    sample = sample_of(part, logits, answered.probabilities)
    record: Record = {
        "bundle_sha256": bundle.sha256,
        **occasion.facts,
        "data": dataset.source,
        "held_out_by": _held_out_by(bundle, dataset),
        "calibrated": bundle.calibration.origin is not None,
        "fitted_here": answered.fitted_here,
        "resamples": RESAMPLES,
        "folds": FOLDS,
        **_figures(sample, answered, activation, beside, calibrated=bundle.calibration.origin is not None),
        "gate": None if bundle.calibration.origin is None else _gate(predictions, answered),
    }
    write_json(root / EVALUATION, record)
    draw((root / REPORT).parent, sample, beside.reads, record)
    write_report(root, record)
    return record


@dataclass(frozen=True, slots=True)
class _Beside:
    """What radiologists said of the pictures, read before the network runs."""

    reads: Reads | None = None
    boxes: list[Box] | None = None

    @classmethod
    def read(cls, folder: Path | None, part: Dataset) -> _Beside:
        if folder is None:
            return cls()
        nothing = np.zeros((len(part.images), len(part.findings)))
        pictures = Sample(part.images, part.findings, nothing, nothing, nothing)
        return cls(read_reads(folder, pictures), read_boxes(folder, pictures))


def _held_out_by(bundle: Bundle, dataset: Dataset) -> str:
    if from_elsewhere(bundle, dataset):
        return "another data set"
    return "official list" if dataset.split.needs_lists else "hash"


def _figures(
    sample: Sample, answered: Answers, activation: NDArray[np.float32], beside: _Beside, *, calibrated: bool
) -> Record:
    thresholds = youden_out_of_fold(sample)
    reads, boxes = beside.reads, beside.boxes
    maps = None if boxes is None else maps_of(activation, boxes)
    return {
        "unseen": {
            **ranking(sample),
            "groups": groups(sample),
            "modes": modes(sample),
            "answers": answers(sample, thresholds),
            "calibration": calibration(sample) if calibrated else None,
            "calibration_error": calibration_against_floor(sample) if calibrated else None,
            "decisions": _decisions(sample, answered) if calibrated else None,
        },
        "readers": None if reads is None else beside_readers(sample, reads, thresholds),
        "localisation": None if boxes is None or maps is None else localisation(sample, boxes, maps, RESAMPLES, SEED),
    }


def _decisions(sample: Sample, answered: Answers) -> Record:
    """Count the gate's answers on pictures with a known label, at the prevalence that the bundle assumes."""
    known, positive = ~np.isnan(sample.labels), sample.labels > 0
    absent, present = answered.absent & known, answered.present & known
    counts = {
        "images": known,
        "positives": positive,
        "absent": absent,
        "missed": absent & positive,
        "present": present,
        "present_and_positive": present & positive,
        "deferred": known & ~absent & ~present,
    }
    patients = sample.positive_patients.tolist()
    return {
        finding.label: {name: int(which[:, k].sum()) for name, which in counts.items()}
        | {"positive_patients": patients[k]}
        for k, finding in enumerate(sample.findings)
    }


def _gate(predictions: Predictions, answered: Answers) -> Record:
    """Measure how much the gate answers, and what it misses: over all findings, of all patients and in each group."""
    some, groups = answered.absent | answered.present, gate_groups(predictions.groups)
    missed = missed_shares(predictions.labels, answered.absent, predictions.patients, groups)
    return {
        "answered": float(some.mean()),
        "pictures_with_an_answer": float(some.any(axis=1).mean()),
        "missed": {
            name or "all": {"positives": of.positives, "share": None if of.share is None else of.share.json}
            for name, of in missed.items()
        },
    }
