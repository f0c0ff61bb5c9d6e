"""Fit the look for pictures of children, and measure how well it tells them from adults.

It is fitted to the children and the adults of one data set, those of the patients who trained the network, so that
nothing but the age tells the two apart. Its limit is set as that of familiarity: on adults whom the network never saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from candor.ood.familiarity import Features, stabilised
from candor.ood.paediatric import BIAS, WEIGHT, ChildLook
from training.data.dataset import Dataset
from training.statistics.metrics import aucs, interval, patient_weights

CHILD: Final = 16
"""Years: who is younger is an example of a child. At 16 and 17 a chest looks like an adult's."""

FEWEST: Final = 20
"""Children of whom the look can be learnt."""

INVERSE_REGULARISATION: Final = 1e-3
"""Of the logistic regression: strong, since there are more features than children."""

RESAMPLES: Final = 1000
SEED: Final = 0


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """A look for children and what it was learnt from, or why there is none."""

    look: ChildLook | None
    facts: dict[str, object]


def learn_child(features: Features, dataset: Dataset, held_out: Features, alarms: float) -> Learnt:
    """Learn the look from a data set with ages, and set its limit.

    Parameters
    ----------
    features, dataset
        ``(n, channels)`` and the pictures of the patients who trained the network, in the same order.
    held_out
        ``(m, channels)`` of adults whom the network never saw.
    alarms
        Share of them that may lie over the limit.
    """
    stated = np.asarray([image.age is not None for image in dataset.images], np.bool_)
    young = np.asarray([image.age is not None and image.age < CHILD for image in dataset.images], np.bool_)
    children = len(set(dataset.patients()[young].tolist()))
    if children < FEWEST or young[stated].all():
        told = (
            f"{children} patients are stated to be under {CHILD} years, {int((stated & ~young).sum())} pictures older"
        )
        return Learnt(None, {"left_out": f"{told}; it takes {FEWEST} such patients, and older ones"})
    unlimited = ChildLook(_fit(stabilised(features[stated]), young[stated]), 0.0)
    limit = quantile_limit(unlimited.scores(stabilised(held_out)), alarms)
    facts: dict[str, object] = {"under_years": CHILD, "patients": children, "images": int(young.sum())}
    return Learnt(ChildLook(unlimited.tensors, limit), facts)


def _fit(roots: NDArray[np.float64], young: NDArray[np.bool_]) -> dict[str, NDArray[np.float32]]:
    """Fit a logistic regression to standardised features, and write it for features as they are."""
    scaler = StandardScaler()
    regression = LogisticRegression(C=INVERSE_REGULARISATION, class_weight="balanced", max_iter=2000)
    regression.fit(scaler.fit_transform(roots), young)
    weight = regression.coef_[0] / scaler.scale_
    bias = regression.intercept_ - weight @ scaler.mean_
    return {WEIGHT: np.ascontiguousarray(weight, np.float32), BIAS: np.asarray(bias, np.float32)}


def quantile_limit(values: NDArray[np.float64], alarms: float) -> float:
    """Return the smallest of the values that at most a share of ``alarms`` of them exceeds."""
    return float(np.sort(values)[-1 - int(np.floor(alarms * len(values)))])


def told_apart(look: ChildLook, children: Features, adults: Features, patients: NDArray[np.str_]) -> dict[str, object]:
    """Measure how well the look tells children from adults, neither of whom it was fitted to.

    Parameters
    ----------
    patients
        ``(children + adults,)``, whose each picture is.

    Returns
    -------
    Counts, and the area under the ROC curve with a bootstrap interval by patient; None without children.
    """
    counts: dict[str, object] = {"children": len(children), "adults": len(adults)}
    if not len(children):
        return counts | {"auc": None}
    scores = look.scores(stabilised(np.concatenate([children, adults])))[:, np.newaxis]
    truth = (np.arange(len(scores)) < len(children))[:, np.newaxis]
    area = float(aucs(truth, scores)[0, 0])
    resampled = aucs(truth, scores, patient_weights(patients, RESAMPLES, SEED))[:, 0]
    return counts | {"auc": interval(area, resampled).json}
