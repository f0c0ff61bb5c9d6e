"""The figures of the answer for the study, all out of fold, with intervals from a bootstrap of patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from training.statistics.metrics import aucs, interval, patient_weights
from training.study_answer.cases import Bools, Cases, Floats

RESAMPLES: Final = 1000
FEWEST: Final = 20
"""A group with fewer abnormal or normal pictures is not measured."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The answers out of fold, ``(images,)`` each.

    Parameters
    ----------
    scores
        The scores, in log-odds.
    priorities
        The worklist's priorities, 0 to 100.
    ruled_out
        Whether a picture is ruled out, by the share that the promise allows.
    confidence
        Of the promises.
    """

    scores: Floats
    priorities: Floats
    ruled_out: Mapping[float, Bools]
    confidence: float


def figures(cases: Cases, found: Measured) -> Record:
    """Return the figures against the radiologists' reads, or against the labels where there is no read.

    Parameters
    ----------
    cases
        The pictures, each taken as a study of its own.
    found
        The answers out of fold.
    """
    known = ~np.isnan(cases.truth)
    truth, weights = cases.truth[known] > 0, patient_weights(cases.patients[known], RESAMPLES, seed=0)
    labelled = ~np.isnan(cases.labelled)
    return {
        "against": cases.truth_name,
        "images": int(known.sum()),
        "patients": len(np.unique(cases.patients[known])),
        "abnormal": int(truth.sum()),
        "resamples": RESAMPLES,
        "auc": _auc(truth, found.scores[known], weights),
        "auc_by_labels": _auc(
            cases.labelled[labelled] > 0,
            found.scores[labelled],
            patient_weights(cases.patients[labelled], RESAMPLES, seed=0),
        ),
        "rule_out": [
            {
                "max_missed": share,
                "confidence": found.confidence,
                "normal_ruled_out": _share(ruled_out[known], ~truth, weights),
                "abnormal_missed": _missed(cases, ruled_out, known, weights),
                "groups": _groups(cases, ruled_out, known),
            }
            for share, ruled_out in found.ruled_out.items()
        ],
        "worklist": worklist(truth, found.priorities[known]),
    }


def worklist(abnormal: Bools, priorities: Floats) -> Record:
    """Return the share of abnormal studies in the first half and in the last quarter of a worklist.

    Parameters
    ----------
    abnormal
        ``(studies,)``.
    priorities
        ``(studies,)``; the highest comes first.
    """
    ordered = abnormal[np.argsort(-priorities, kind="stable")]
    half, quarter = len(ordered) // 2, len(ordered) // 4
    return {
        "first_half_abnormal": float(ordered[:half].mean()),
        "last_quarter_abnormal": float(ordered[-quarter:].mean()),
    }


def _auc(truth: Bools, scores: Floats, weights: Floats) -> Record | None:
    columns = truth[:, np.newaxis], scores[:, np.newaxis]
    return interval(float(aucs(*columns)[0, 0]), aucs(*columns, weights)[:, 0]).json


def _share(hits: Bools, among: Bools, weights: Floats) -> Record | None:
    """Return the share of hits among some pictures."""
    with np.errstate(invalid="ignore"):
        drawn = (weights @ (hits & among)) / (weights @ among)
    return interval(float(hits[among].mean()), np.asarray(drawn, np.float64)).json


def _missed(cases: Cases, ruled_out: Bools, known: Bools, weights: Floats) -> Record | None:
    """Return the mean over abnormal patients of the share of their abnormal pictures that is ruled out."""
    truth, patients, called = cases.truth[known] > 0, cases.patients[known], ruled_out[known]
    _, owner, pictures = np.unique(patients[truth], return_inverse=True, return_counts=True)
    each = np.zeros(len(truth))
    each[truth] = 1 / pictures[owner]
    with np.errstate(invalid="ignore"):
        drawn = (weights @ (each * called)) / (weights @ each)
    return interval(float((each * called).sum() / each.sum()), np.asarray(drawn, np.float64)).json


def _groups(cases: Cases, ruled_out: Bools, known: Bools) -> Record:
    """Count the abnormal that are missed and the normal that are ruled out, by sex, age and view."""
    record: Record = {}
    for kind, names in cases.groups.items():
        for name in np.unique(names[known]).tolist():
            here = known & (names == name)
            truth = cases.truth[here] > 0
            if name and min(truth.sum(), (~truth).sum()) >= FEWEST:
                record[f"{kind}: {name}"] = {
                    "abnormal": int(truth.sum()),
                    "missed": int((ruled_out[here] & truth).sum()),
                    "normal": int((~truth).sum()),
                    "ruled_out": int((ruled_out[here] & ~truth).sum()),
                }
    return record
