"""Fit the look of children, and measure how well it tells them from adults.

It is fitted to the children and the adults of one data set, among the patients who trained the network, so that only
age separates the two. Its limit is set as that of familiarity: on adults whom the network never saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.ood.familiarity import Features, stabilised
from candor.ood.linear_score import LinearScore
from training.checks.linear_score import fit_score
from training.data.dataset import Dataset
from training.statistics.metrics import aucs, interval, patient_weights

CHILD: Final = 16
"""Patients under this age in years are examples of children. At 16 and 17 a chest looks like an adult's."""

FEWEST: Final = 20
"""Smallest number of children from whom the look can be learnt."""

RESAMPLES: Final = 1000
SEED: Final = 0


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """A look of children and what it was learnt from, or the reason why there is none."""

    look: LinearScore | None
    facts: dict[str, object]


def learn_child(features: Features, dataset: Dataset, held_out: Features, alarms: float) -> Learnt:
    """Learn the look of children from a data set with ages, and set its limit.

    Parameters
    ----------
    features
        ``(n, channels)``, one row for each picture of the data set.
    dataset
        Pictures of the patients who trained the network.
    held_out
        ``(m, channels)`` of adults whom the network never saw.
    alarms
        Share of them that may exceed the limit, in (0, 1).
    """
    stated = np.asarray([image.age is not None for image in dataset.images], np.bool_)
    young = np.asarray([image.age is not None and image.age < CHILD for image in dataset.images], np.bool_)
    children = len(set(dataset.patients()[young].tolist()))
    if children < FEWEST or young[stated].all():
        told = (
            f"{children} patients are stated to be under {CHILD} years, {int((stated & ~young).sum())} pictures older"
        )
        return Learnt(None, {"left_out": f"{told}; it takes {FEWEST} such patients, and older ones"})
    facts: dict[str, object] = {"under_years": CHILD, "patients": children, "images": int(young.sum())}
    return Learnt(fit_score(features[stated], young[stated], held_out, alarms), facts)


def told_apart(
    look: LinearScore, children: Features, adults: Features, patients: NDArray[np.str_]
) -> dict[str, object]:
    """Measure how well the look tells children from adults.

    Parameters
    ----------
    look
        The look of children; it was fitted to none of them.
    children, adults
        ``(n, channels)`` and ``(m, channels)``.
    patients
        ``(n + m,)``: the patient of each picture, the children first.

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
