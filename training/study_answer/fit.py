"""Fit a bundle's answer for the study, and measure it out of fold.

What the bundle gets is fitted to all patients that the network never saw. The figures are those of the same procedure
without a fifth of the patients, on that fifth: the choice of the recipe, the score and the thresholds. The thresholds
come from scores out of fold, since scores of the fit's own patients would promise too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from candor.decide.percentiles import POINTS
from candor.decide.study_answer import RuleOut, StudyModel
from candor.model.bundle import STUDY_ANSWER, Model
from training.bundles.leakage import unseen_part
from training.data.dataset import Dataset
from training.data.readers import nih
from training.data.readers.cells import parse_labels
from training.data.readers.tables import read_table
from training.gate.guarantee import Promise
from training.gate.thresholds import first_miss_too_many
from training.records import Occasion, write_json
from training.statistics.patient_auc import Owners, patient_auc
from training.study_answer.cases import Bools, Cases, Floats, cases_of
from training.study_answer.figures import Measured, Record, figures
from training.study_answer.report import REPORT, page
from training.study_answer.score import CrossFit


@dataclass(frozen=True, slots=True)
class Options:
    """What is fitted.

    Parameters
    ----------
    max_missed
        The promises: largest shares of the abnormal that may be called unremarkable, in (0, 1).
    confidence
        Of each promise, in (0, 1).
    prevalence
        Share of abnormal studies that the priority assumes; None for that of the data set's label table, or of the
        patients of the fit where there is none.
    """

    max_missed: tuple[float, ...] = (0.05, 0.10)
    confidence: float = 0.90
    prevalence: float | None = None


def fit_study_answer(model: Model, dataset: Dataset, folder: Path, options: Options, occasion: Occasion) -> Record:
    """Fit ``study_answer.json``, and write it and its page into the bundle.

    Parameters
    ----------
    model
        The bundle.
    dataset
        A data set with patients that the network never saw.
    folder
        Of the data set; it may hold the radiologists' reads.
    options
        The promises and the prevalence.
    occasion
        Date and command, written into the file.

    Returns
    -------
    The figures out of fold.

    Raises
    ------
    DataError
        The data set has no patient that the network never saw, or too little is known of them.
    BundleError
        The bundle does not say who trained it.
    """
    cases = cases_of(model, unseen_part(model, dataset), folder)
    prevalence = options.prevalence or _prevalence(nih.label_table(folder), cases)
    cross = CrossFit(cases)
    fitted = _fit(cross, options, prevalence, _description(cases, occasion))
    record = figures(cases, measured(cross, options, prevalence))
    write_json(model.root / STUDY_ANSWER, _as_json(model, fitted, cross, record, occasion))
    (model.root / REPORT).parent.mkdir(exist_ok=True)
    (model.root / REPORT).write_text(page(record, fitted, occasion))
    return record


def measured(cross: CrossFit, options: Options, prevalence: float) -> Measured:
    """Apply the whole procedure out of fold.

    Parameters
    ----------
    cross
        The cases, with their folds.
    options, prevalence
        As for the fit.
    """
    count = len(cross.folds)
    scores, priorities = np.empty(count), np.empty(count)
    ruled_out = {share: np.zeros(count, np.bool_) for share in options.max_missed}
    for fold in np.unique(cross.folds).tolist():
        here = cross.folds == fold
        model = _fit(cross, options, prevalence, "", left_out=fold)
        scores[here] = cross.fit(cross.choose(fold), [fold]).of(cross.cases)[here]
        priorities[here] = [model.priority(score) for score in scores[here].tolist()]
        for promise in model.rule_outs:
            if promise.threshold is not None:
                ruled_out[promise.max_missed][here] = scores[here] <= promise.threshold
    return Measured(scores, priorities, ruled_out, options.confidence)


def _fit(
    cross: CrossFit, options: Options, prevalence: float, description: str, left_out: int | None = None
) -> StudyModel:
    """Fit everything to the patients outside a fold; None leaves out nobody."""
    cases, recipe = cross.cases, cross.choose(left_out)
    scores = cross.scores(recipe, left_out)
    score = cross.fit(recipe, () if left_out is None else [left_out])
    known = ~np.isnan(scores) & ~np.isnan(cases.truth)
    truth, owner = cases.truth[known] > 0, np.unique(cases.patients[known], return_inverse=True)[1]
    rule_outs = tuple(
        RuleOut(share, options.confidence, rule_out_threshold(scores[known], truth, owner, share, options.confidence))
        for share in options.max_missed
    )
    normal, abnormal = (_quantiles(cases, scores, cases.abnormal == truth) for truth in (0, 1))
    views = frozenset(cases.groups["view"][known].tolist()) - {""}
    return StudyModel(
        recipe.inputs, score.weights, score.intercept, normal, abnormal, prevalence, rule_outs, views, description
    )


def rule_out_threshold(
    scores: Floats, abnormal: Bools, owner: Owners, max_missed: float, confidence: float
) -> float | None:
    """Return the highest score up to which a study may be called unremarkable.

    The bound is that of the gate (:func:`training.gate.thresholds.first_miss_too_many`): all pictures of an abnormal
    patient count, and the patients are independent.

    Parameters
    ----------
    scores, abnormal
        ``(images,)``: the score, higher where an abnormality is likelier, and whether there is one.
    owner
        ``(images,)``: the patient as a number from 0 up.
    max_missed, confidence
        The promise, in (0, 1).

    Returns
    -------
    One of ``scores``; None where the patients support none, or the AUC does not surely lie above that which the gate
    asks for.
    """
    if patient_auc(scores, abnormal, owner).low <= Promise().min_auc:
        return None
    ceiling = first_miss_too_many(scores[abnormal], owner[abnormal], max_missed, confidence)
    below = scores[scores < (-np.inf if ceiling is None else ceiling)]
    return float(below.max()) if len(below) else None


def _quantiles(cases: Cases, scores: Floats, rows: Bools) -> Floats:
    """Return the quantiles of the scores; every patient counts alike."""
    used = rows & ~np.isnan(scores)
    _, owner, pictures = np.unique(cases.patients[used], return_inverse=True, return_counts=True)
    shares = np.linspace(0, 1, POINTS)
    weights = 1 / pictures[owner]
    return np.asarray(np.quantile(scores[used], shares, weights=weights, method="inverted_cdf"), np.float64)


def _prevalence(table: Path, cases: Cases) -> float:
    """Return the share of abnormal pictures in the data set's label table; without one, among the patients."""
    if table.is_file():
        found = [bool(parse_labels(row["Finding Labels"])) for row in read_table(table, ["Finding Labels"])]
        return float(np.mean(found))
    known = ~np.isnan(cases.abnormal)
    patients = np.unique(cases.patients[known], return_inverse=True)[1]
    return float(np.mean(np.bincount(patients, cases.abnormal[known]) / np.bincount(patients)))


def _description(cases: Cases, occasion: Occasion) -> str:
    read = int(np.count_nonzero(~np.isnan(cases.read)))
    labelled = int(np.count_nonzero(np.isnan(cases.read) & ~np.isnan(cases.labelled)))
    reads = f"{read:,} images read by radiologists and " if read else ""
    patients = len(np.unique(cases.patients))
    return (
        f"any abnormality: fitted to {reads}{labelled:,} images by their labels, of {patients:,} patients of "
        f"{cases.source} ({occasion.day})"
    )


def _as_json(model: Model, fitted: StudyModel, cross: CrossFit, record: Record, occasion: Occasion) -> Record:
    recipe = cross.choose()
    return {
        "description": fitted.description,
        "weights_sha256": model.weights_sha256,
        **occasion.facts,
        "data": cross.cases.source,
        "inputs": fitted.inputs,
        "label_weight": recipe.label_weight,
        "inverse_penalty": recipe.inverse_penalty,
        "assumed_prevalence": round(fitted.prevalence, 4),
        "views": sorted(fitted.views),
        "rule_out": [
            {"max_missed": r.max_missed, "confidence": r.confidence, "threshold": r.threshold} for r in fitted.rule_outs
        ],
        "measured": record,
        "intercept": fitted.intercept,
        "weights": [float(f"{weight:.7g}") for weight in fitted.weights.tolist()],
        "normal": [round(score, 4) for score in fitted.normal.tolist()],
        "abnormal": [round(score, 4) for score in fitted.abnormal.tolist()],
    }
