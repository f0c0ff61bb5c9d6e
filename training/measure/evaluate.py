"""Measure a bundle on patients that the classifier never saw; write ``evaluation.json``, the report and its plots.

There are two sets. The first is all pictures that were held out, by the official test list or by hash: the classifier
saw none of them, and AUC does not depend on calibration or gate. The second is the TEST patients, to whom nothing at
all was fitted: only they can judge calibration and decisions.

References
----------
Efron 1979 (bootstrap), here of patients. Guo et al. 2017 (expected calibration error).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.decide.gate import Thresholds
from candor.decide.percentiles import quantiles_of
from candor.model.bundle import PERCENTILES, Bundle, load_bundle
from candor.study.errors import DataError
from candor.study.result import Decision
from training.bundles.leakage import require_unseen
from training.data.dataset import Dataset
from training.data.splits import Subset
from training.measure.evaluation.figures import answers, calibration, ranking
from training.measure.evaluation.gallery import draw
from training.measure.evaluation.localisation import localisation, maps_of, read_boxes
from training.measure.evaluation.populations import groups, modes
from training.measure.evaluation.radiologists import beside_readers, read_reads
from training.measure.evaluation.report import REPORT, write_report
from training.measure.evaluation.sample import RESAMPLES, SEED, Record, Sample, sample_of
from training.predictions.predict import predict
from training.records import Occasion, write_json
from training.statistics.decisions import youden_thresholds
from training.statistics.metrics import Floats

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
        The data set has no TEST patient, patients who trained the network are among those to be measured, or a table
        of the radiologists cannot be used.
    BundleError
        The bundle does not say who trained it.
    """
    seen_by_none = dataset.only(Subset.GATE, Subset.CALIBRATION, Subset.TEST)
    if not seen_by_none.only(Subset.TEST).images:
        raise DataError(
            "no picture belongs to a test patient; give a data set with official test patients, or a split by hash, as "
            "70-15-15"
        )
    require_unseen(bundle, seen_by_none)
    logits, activation, _ = predict(bundle, seen_by_none)
    official = sample_of(bundle, seen_by_none, logits)
    test, fitted = (official.take(official.within(subset)) for subset in (Subset.TEST, Subset.CALIBRATION))
    thresholds = youden_thresholds(fitted.labels, fitted.probabilities)
    reads = None if folder is None else read_reads(folder, official)
    _write_percentiles(bundle, test)
    record: Record = {
        "bundle_sha256": load_bundle(bundle.root).sha256,
        **occasion.facts,
        "data": dataset.source,
        "held_out_by": "official list" if dataset.split.needs_lists else "hash",
        "resamples": RESAMPLES,
        "official_test": ranking(official) | {"groups": groups(official), "modes": modes(official)},
        "test": ranking(test) | _only_of_test(bundle, test, logits[official.within(Subset.TEST)], thresholds),
        "readers": None if reads is None else beside_readers(official, reads, thresholds),
        "localisation": None if folder is None else _localisation(folder, official, activation),
    }
    write_json(bundle.root / EVALUATION, record)
    (bundle.root / REPORT).parent.mkdir(exist_ok=True)
    draw((bundle.root / REPORT).parent, official, test, reads, record)
    write_report(bundle.root, record)
    return record


def _write_percentiles(bundle: Bundle, test: Sample) -> None:
    """Write ``percentiles.json``: the quantiles of each finding's logits over the TEST patients' pictures.

    The file is part of the bundle's hash, so it names neither date nor command.
    """
    pictures = f"{len(test.images)} pictures of {len(set(test.patients))} test patients"
    columns = zip(test.findings, test.logits.T, strict=True)
    spread = {finding.label: [round(q, 6) for q in quantiles_of(logits).tolist()] for finding, logits in columns}
    record = {"description": pictures, "weights_sha256": bundle.weights_sha256, "findings": spread}
    write_json(bundle.root / PERCENTILES, record)


def _only_of_test(bundle: Bundle, test: Sample, logits: NDArray[np.float32], thresholds: Floats) -> Record:
    """Return the figures that need patients to whom nothing was fitted."""
    return {
        "calibration": calibration(test),
        "answers": answers(test, thresholds),
        "decisions": _decisions(bundle, logits, test.labels),
    }


def _localisation(folder: Path, sample: Sample, activation: NDArray[np.float32]) -> Record | None:
    boxes = read_boxes(folder, sample)
    return None if boxes is None else localisation(sample, boxes, maps_of(activation, boxes), RESAMPLES, SEED)


def _decisions(bundle: Bundle, logits: NDArray[np.float32], labels: Floats) -> Record:
    """Count the gate's answers on pictures with a known label, at the prevalence that the bundle assumes."""
    probabilities, known = bundle.calibration.probabilities(logits), ~np.isnan(labels)
    return {
        finding.label: _decision_counts(pair, probabilities[known[:, k], k], labels[known[:, k], k] > 0)
        for k, (finding, pair) in enumerate(bundle.gate.thresholds.items())
    }


def _decision_counts(pair: Thresholds, probabilities: Floats, labels: NDArray[np.bool_]) -> Record:
    """Count one finding's answers on ``(images,)`` probabilities, and how many of them were wrong."""
    decisions = np.asarray([pair.decide(p)[0].value for p in probabilities], np.str_)
    absent, present = decisions == Decision.ABSENT.value, decisions == Decision.PRESENT.value
    return {
        "images": len(labels),
        "positives": int(labels.sum()),
        "absent": int(absent.sum()),
        "missed": int((absent & labels).sum()),
        "present": int(present.sum()),
        "present_and_positive": int((present & labels).sum()),
        "deferred": int((~absent & ~present).sum()),
    }
