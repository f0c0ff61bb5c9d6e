"""The same answers among other pictures: against all or only normal negatives, among the ill, by sex, age and view.

References
----------
Seyyed-Kalantari et al. 2021 (chest X-ray classifiers answer worse for some groups of patients).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.data.groups import AGES, ATTRIBUTES, Attribute
from training.measure.evaluation.figures import ranking, ranking_compared
from training.measure.evaluation.sample import Record, Sample

FEWEST_IMAGES: Final = 50
"""A smaller group is counted, but not measured."""

FEWEST_POSITIVES: Final = 5
"""A finding with fewer positive patients or negatives in a group is left out of the means that compare the groups."""


def groups(sample: Sample) -> Record:
    """Measure the ranking of every group of patients: ``{attribute: {group: figures}}``.

    ``compared`` names the findings that are frequent enough in every measured group. A group's ``mean_auc`` is over
    these alone, so that the means of the groups can be compared.
    """
    return {name: _compared(sample, attribute) for name, attribute in ATTRIBUTES.items()}


def _compared(sample: Sample, attribute: Attribute) -> Record:
    names = np.asarray([attribute(image) for image in sample.images], np.str_)
    sizes = {name: int((names == name).sum()) for name in sorted(set(names.tolist()) - {""}, key=_position)}
    parts = {name: sample.take(names == name) for name, size in sizes.items() if size >= FEWEST_IMAGES}
    common = np.all([_enough(part) for part in parts.values()], axis=0) if parts else np.zeros(0, np.bool_)
    return {
        "compared": [finding.label for finding, enough in zip(sample.findings, common, strict=False) if enough],
        "too_small": {name: size for name, size in sizes.items() if name not in parts},
        "groups": {name: ranking_compared(part, common) for name, part in parts.items()},
    }


def _position(name: str) -> tuple[int, str]:
    return (list(AGES).index(name) if name in AGES else 0, name)


def _enough(part: Sample) -> NDArray[np.bool_]:
    fewest = np.minimum(part.positive_patients, (part.labels <= 0).sum(axis=0))
    return np.asarray(fewest >= FEWEST_POSITIVES, np.bool_)


def modes(sample: Sample) -> Record:
    """Measure the ranking against three kinds of negatives.

    ``one_vs_all`` takes every picture without the finding. ``one_vs_normal`` takes pictures without any finding that
    the data set labels. ``disease_only`` takes pictures with another finding: what is left once normal pictures are
    known to be normal.
    """
    ill = np.asarray((sample.labels > 0).any(axis=1), np.bool_)
    labelled = ~np.isnan(sample.labels).all(axis=0)
    normal = np.asarray((sample.labels[:, labelled] <= 0).all(axis=1), np.bool_)
    without_the_ill = np.where(~normal[:, np.newaxis] & (sample.labels <= 0), np.nan, sample.labels)
    return {
        "one_vs_all": ranking(sample),
        "one_vs_normal": ranking(sample.labelled(without_the_ill)),
        "disease_only": ranking(sample.take(ill)),
    }
