"""Measure a bundle on patients that the classifier never saw; write ``evaluation.json``, the report and its plots.

All is measured on the UNSEEN patients, by the official test list or by hash: the network saw none of them. Calibration,
gate and thresholds were fitted to them, and are measured out of fold (:mod:`training.gate.out_of_fold`).

References
----------
Efron 1979 (bootstrap), here of patients. Guo et al. 2017 (expected calibration error).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.decide.percentiles import quantiles_of
from candor.model.bundle import PERCENTILES, Bundle, load_bundle
from training.bundles.leakage import unseen_part
from training.data.dataset import Dataset
from training.data.splits import FOLDS
from training.gate.out_of_fold import Answers, answers_out_of_fold
from training.measure.evaluation.figures import (
    answers,
    calibration,
    calibration_against_floor,
    ranking,
    youden_out_of_fold,
)
from training.measure.evaluation.gallery import draw
from training.measure.evaluation.localisation import localisation, maps_of, read_boxes
from training.measure.evaluation.populations import groups, modes
from training.measure.evaluation.radiologists import beside_readers, read_reads
from training.measure.evaluation.report import REPORT, write_report
from training.measure.evaluation.sample import RESAMPLES, SEED, Record, Sample, sample_of
from training.predictions.fold_heads import logits_out_of_fold
from training.predictions.predict import predict
from training.predictions.table import with_logits
from training.records import Occasion, write_json

EVALUATION: Final = Path("models", "evaluation.json")
"""Path of the figures in a bundle."""


def evaluate(bundle: Bundle, dataset: Dataset, occasion: Occasion, folder: Path | None = None) -> Record:
    """Measure ranking, calibration, answers and localisation, and write figures, report and plots into the bundle.

    Parameters
    ----------
    bundle
        A calibrated bundle with a gate; its folder gets the files.
    dataset
        Data of the bundle's findings, in the bundle's order.
    occasion
        Date and command, for the record.
    folder
        May hold the radiologists' reads (``experts_*.csv``) and boxes (``boxes.csv``); without them the bundle is not
        compared with those.

    Raises
    ------
    DataError
        The data set has no UNSEEN patient or too few of them, some of them trained the network, or a table of the
        radiologists cannot be used.
    BundleError
        The bundle does not say who trained it.
    """
    part = unseen_part(bundle, dataset)
    outputs = predict(bundle, part)
    logits = logits_out_of_fold(bundle, part, outputs)
    answered = answers_out_of_fold(bundle, with_logits(part, logits, part.source))
    sample = sample_of(part, logits, answered.probabilities)
    thresholds = youden_out_of_fold(sample)
    reads = None if folder is None else read_reads(folder, sample)
    _write_percentiles(bundle, sample)
    record: Record = {
        "bundle_sha256": load_bundle(bundle.root).sha256,
        **occasion.facts,
        "data": dataset.source,
        "held_out_by": "official list" if dataset.split.needs_lists else "hash",
        "resamples": RESAMPLES,
        "folds": FOLDS,
        "unseen": {
            **ranking(sample),
            "groups": groups(sample),
            "modes": modes(sample),
            "calibration": calibration(sample),
            "calibration_error": calibration_against_floor(sample),
            "answers": answers(sample, thresholds),
            "decisions": _decisions(sample, answered),
        },
        "readers": None if reads is None else beside_readers(sample, reads, thresholds),
        "localisation": None if folder is None else _localisation(folder, sample, outputs.activation),
    }
    write_json(bundle.root / EVALUATION, record)
    (bundle.root / REPORT).parent.mkdir(exist_ok=True)
    draw((bundle.root / REPORT).parent, sample, reads, record)
    write_report(bundle.root, record)
    return record


def _write_percentiles(bundle: Bundle, sample: Sample) -> None:
    """Write ``percentiles.json``: the quantiles of each finding's logits over the UNSEEN patients' pictures.

    The file is part of the bundle's hash, so it names neither date nor command.
    """
    pictures = f"{len(sample.images)} pictures of {len(set(sample.patients))} unseen patients"
    columns = zip(sample.findings, sample.logits.T, strict=True)
    spread = {finding.label: [round(q, 6) for q in quantiles_of(logits).tolist()] for finding, logits in columns}
    record = {"description": pictures, "weights_sha256": bundle.weights_sha256, "findings": spread}
    write_json(bundle.root / PERCENTILES, record)


def _localisation(folder: Path, sample: Sample, activation: NDArray[np.float32]) -> Record | None:
    boxes = read_boxes(folder, sample)
    return None if boxes is None else localisation(sample, boxes, maps_of(activation, boxes), RESAMPLES, SEED)


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
    return {
        finding.label: {name: int(which[:, k].sum()) for name, which in counts.items()}
        for k, finding in enumerate(sample.findings)
    }
