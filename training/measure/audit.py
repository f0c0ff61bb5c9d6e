"""Audit a gate: its risk and cost, whether it keeps its promises, whom it defers, and its team with a reader.

Everything is measured out of fold: each image is answered by a calibration and thresholds that were fitted to the
patients of the other folds. Those of a bundle are fitted to all UNSEEN patients, and fitted again without each fold.

References
----------
Geifman and El-Yaniv 2017. Traub et al. 2024. Madras et al. 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.decide.calibration import sigmoid
from candor.decide.gate import Thresholds
from candor.decide.heatmap_spread import spread
from candor.model.bundle import Bundle
from candor.model.onnx_engine import OnnxEngine
from training.bundles.leakage import unseen_part
from training.data.augmentation import PRESETS, Augmentation, augment
from training.data.dataset import Dataset
from training.data.pictures import as_radiograph, network_input, read_picture
from training.data.readers import read_dataset
from training.gate.fit import fit_pairs
from training.gate.guarantee import Promise
from training.gate.out_of_fold import answers_out_of_fold, called_each
from training.gate.thresholds import gate_groups
from training.measure.evaluation.radiologists import Reads
from training.measure.evaluation.sample import SEED, Record
from training.measure.selective.figures import audit
from training.measure.selective.promises import promise_record
from training.measure.selective.reader_team import simulated_reader
from training.measure.selective.sources import audited, radiologists, read_answers, read_signal, readers_of
from training.measure.selective.team_intervals import calibrated, cross_fitted, team_record
from training.measure.selective.verdict import verdict
from training.predictions.cross_fitting import out_of_fold
from training.predictions.fold_heads import logits_out_of_fold
from training.predictions.predict import predict
from training.predictions.table import Predictions, read_predictions, with_logits
from training.records import Occasion
from training.statistics.metrics import Floats
from training.statistics.risk import Bools

LEARNED: Final = "learned"
"""Name of the signal that gets a verdict; see :func:`training.measure.selective.verdict.verdict`."""

FEWEST_IN_VIEW: Final = 50
"""AP pictures are measured separately only if there are at least this many."""

DEGRADED: Final = PRESETS["poor-equipment"] or Augmentation()
"""Changes that degrade pictures: movement, other tones, blur and noise."""


@dataclass(frozen=True, slots=True)
class Extras:
    """Optional inputs of an audit, besides the model's answers.

    Parameters
    ----------
    experts
        Folder with the radiologists' reads of ChestX-ray14, ``experts_*.csv``.
    readers
        Table of readers' answers; see :func:`training.measure.selective.sources.read_answers`.
    simulated
        Sensitivity and specificity of a simulated reader, each in [0, 1].
    signals
        Tables of uncertainties by name; one named "learned" gets a verdict.
    shifted
        Other data by name: tables of predictions or, for a bundle, folders of data sets too.
    """

    experts: Path | None = None
    readers: Path | None = None
    simulated: tuple[float, float] | None = None
    signals: Mapping[str, Path] = field(default_factory=dict)
    shifted: Mapping[str, Path] = field(default_factory=dict)


def audit_predictions(predictions: Predictions, extras: Extras, promise: Promise, occasion: Occasion) -> Record:
    """Audit the gate that would be fitted to a model's predictions.

    Parameters
    ----------
    predictions
        Of patients in at least two folds.
    extras
        Readers, signals and other data to measure with; each is optional.
    promise
        The promise to which the thresholds are fitted.
    occasion
        Date and command, for the record.

    Raises
    ------
    DataError
        A table cannot be used, there are too few patients, or those of all other folds have no known label of some
        finding.
    """

    def answer(rest: Bools, fold: Bools) -> Floats:
        fit = predictions.take(rest)
        said = calibrated(fit.labels, fit.logits, predictions.logits[fold])
        groups = gate_groups(predictions.take(fold).groups)
        return np.stack([said, *called_each(said, _pairs(fit, promise), groups)], axis=-1)

    answers = out_of_fold(predictions.patients, answer)
    probabilities, absent, present = answers[..., 0], answers[..., 1] > 0, answers[..., 2] > 0
    parts = _view_alone(predictions, probabilities)
    for name, table in extras.shifted.items():
        other = read_predictions(table, None, predictions.findings)
        parts[name] = other, calibrated(predictions.labels, predictions.logits, other.logits)
    return {
        **occasion.facts,
        "model": predictions.source,
        "fitted": f"calibration and thresholds: {predictions.description}, out of fold",
        "promise": promise.text,
        **_measured(predictions, probabilities, _signals(predictions, extras)),
        "promises": promise_record(
            predictions.findings,
            predictions.labels,
            absent,
            present,
            _pairs(predictions, promise),
            predictions.patients,
        ),
        "shifted": {name: audit(audited(*part)) for name, part in parts.items()},
        "teams": _teams(predictions, extras),
    }


def _pairs(fit: Predictions, promise: Promise) -> list[Thresholds]:
    return fit_pairs(calibrated(fit.labels, fit.logits, fit.logits), fit, promise)


def audit_bundle(bundle: Bundle, dataset: Dataset, extras: Extras, occasion: Occasion) -> Record:
    """Audit a bundle's own gate.

    Parameters
    ----------
    bundle
        A calibrated bundle with a gate.
    dataset
        Data of the bundle's findings, in the bundle's order.
    extras
        Readers, signals and other data to measure with; each is optional.
    occasion
        Date and command, for the record.

    Raises
    ------
    DataError
        The data set has no UNSEEN patient or too few of them, or a table cannot be used.
    """
    part = unseen_part(bundle, dataset)
    outputs = predict(bundle, part)
    measured = with_logits(part, logits_out_of_fold(bundle, part, outputs), part.source)
    answers = answers_out_of_fold(bundle, measured)
    probabilities = answers.probabilities
    signals = {"heatmap spread": spread(outputs.activation)[..., 0]} | _signals(measured, extras)
    parts = _view_alone(measured, probabilities)
    degraded = with_logits(part, _degraded_logits(bundle, part), "spoilt pictures")
    parts["poor equipment"] = degraded, answers_out_of_fold(bundle, measured, degraded.logits).probabilities
    for name, place in extras.shifted.items():
        other = _shifted(bundle, name, place)
        parts[name] = other, _fitted_probabilities(bundle, other)
    pairs = [bundle.gate.thresholds[finding] for finding in bundle.findings]
    return {
        **occasion.facts,
        "model": f"bundle {bundle.sha256[:12]}",
        "fitted": bundle.calibration.description,
        "promise": bundle.gate.description,
        **_measured(measured, probabilities, signals),
        "promises": promise_record(
            measured.findings, measured.labels, answers.absent, answers.present, pairs, measured.patients
        ),
        "shifted": {name: audit(audited(*part)) for name, part in parts.items()},
        "teams": _teams(measured, extras),
    }


def _degraded_logits(bundle: Bundle, dataset: Dataset) -> NDArray[np.float32]:
    """Classify the pictures degraded as by poor equipment, ``(images, findings)``; the same at every call."""
    engine, rng = OnnxEngine(bundle.graph), np.random.default_rng(SEED)
    found = []
    for image in dataset.images:
        picture = augment(as_radiograph(read_picture(image.path)), DEGRADED, rng)
        found.append(engine.run(network_input(picture, bundle.input)[np.newaxis]).logits)
    return np.concatenate(found)


def _fitted_probabilities(bundle: Bundle, predictions: Predictions) -> Floats:
    """Calibrate at the prevalence of the fit, which is that of these pictures, and not at the clinic's."""
    return sigmoid(bundle.calibration.log_odds(predictions.logits))


def _shifted(bundle: Bundle, name: str, place: Path) -> Predictions:
    if not place.is_dir():
        return read_predictions(place, None, bundle.findings)
    dataset = read_dataset(place, findings=bundle.findings)
    return with_logits(dataset, predict(bundle, dataset).logits, name)


def _measured(measured: Predictions, probabilities: Floats, signals: Mapping[str, Floats]) -> Record:
    record: Record = {"audit": audit(audited(measured, probabilities, signals))}
    if LEARNED in signals:
        judged = verdict(measured.labels, probabilities, signals[LEARNED], measured.patients, SEED)
        record["verdict"] = {"active": judged.active, "text": judged.text, "figures": judged.figures}
    return record


def _signals(measured: Predictions, extras: Extras) -> dict[str, Floats]:
    return {name: read_signal(table, measured.images, measured.findings) for name, table in extras.signals.items()}


def _view_alone(measured: Predictions, probabilities: Floats) -> dict[str, tuple[Predictions, Floats]]:
    """Return the AP pictures, of patients who could not stand, if there are enough and not all pictures are AP."""
    ap = measured.groups.get("view", np.full(len(measured.images), "")) == "AP"
    if ap.sum() < FEWEST_IN_VIEW or ap.all():
        return {}
    return {"AP alone": (measured.take(ap), probabilities[ap])}


def _teams(predictions: Predictions, extras: Extras) -> Record:
    """Measure the team with each kind of reader that is given."""
    record: Record = {}
    operated = cross_fitted(predictions.labels, predictions.logits, predictions.patients)

    def measure(truth: Floats, readers: Mapping[str, Floats], mask: Bools, source: str) -> Record:
        return team_record(
            predictions.findings,
            predictions.patients[mask],
            truth[mask],
            operated.take(mask),
            {name: answers[mask] for name, answers in readers.items()},
            source,
        )

    reads: Reads | None = None if extras.experts is None else radiologists(extras.experts, predictions)
    if reads is not None:
        source = "images of ChestX-ray14 read by radiologists; the truth is the majority of three others"
        record["radiologists"] = measure(reads.majority, readers_of(reads), reads.read, source)
    if extras.readers is not None:
        readers = read_answers(extras.readers, predictions.images, predictions.findings)
        read = np.any([~np.isnan(answers).all(axis=1) for answers in readers.values()], axis=0)
        record["readers"] = measure(predictions.labels, readers, read, f"images read in {extras.readers.name}")
    if extras.simulated is not None:
        sensitivity, specificity = extras.simulated
        name = f"sensitivity {sensitivity:g}, specificity {specificity:g}"
        simulated = {name: simulated_reader(predictions.labels, sensitivity, specificity)}
        everything = np.ones(len(predictions.images), np.bool_)
        record["simulated"] = measure(predictions.labels, simulated, everything, "all images, with a simulated reader")
    return record
