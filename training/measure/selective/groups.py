"""Measure who is deferred: one border for all patients may affect men and women, old and young, or AP and PA unequally.

References
----------
Jones et al. 2021 (selective classification can magnify disparities).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from training.data.groups import AGES
from training.measure.evaluation.populations import FEWEST_IMAGES
from training.measure.evaluation.sample import Record
from training.measure.selective.reader_team import deferred_share
from training.statistics.metrics import Floats, interval
from training.statistics.risk import Bools, ratio


def group_figures(
    labels: Floats,
    called: Bools,
    uncertainty: Floats,
    groups: Mapping[str, NDArray[np.str_]],
    weights: Floats,
    coverage: float,
) -> Record:
    """Measure each group behind one border for all, pooled over the findings.

    Parameters
    ----------
    labels, called, uncertainty
        ``(images, findings)``.
    groups
        For each attribute ``(images,)`` names of groups; empty where unknown. Groups under 50 images are left out.
    weights
        ``(resamples, images)``.
    coverage
        Share of all answers that the border keeps, in [0, 1].

    Returns
    -------
    ``{attribute: {group: figures}}``: the number of images and, with intervals, the share of the answers that is kept,
    the accuracy of these, that of always answering "absent", and the share of the positives that is kept and missed.
    """
    known = ~np.isnan(labels)
    kept = (1 - deferred_share(uncertainty, known, 1 - coverage, together=True)) * known
    right = kept * (called == (labels > 0))
    negative, missed = kept * (labels <= 0), kept * ((labels > 0) & ~called)
    sums = {
        name: part.sum(axis=1)
        for name, part in {
            "known": known, "kept": kept, "right": right, "negative": negative, "missed": missed,
            "positive": (labels > 0) & known,
        }.items()
    }  # fmt: skip
    return {
        attribute: {
            name: _figures({k: s * (names == name) for k, s in sums.items()}, weights, int((names == name).sum()))
            for name in sorted(set(names.tolist()) - {""}, key=_position)
            if (names == name).sum() >= FEWEST_IMAGES
        }
        for attribute, names in groups.items()
    }


def _position(name: str) -> tuple[int, str]:
    return (list(AGES).index(name) if name in AGES else 0, name)


_RATIOS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "kept": ("kept", "known"),
        "accuracy": ("right", "kept"),
        "always_absent": ("negative", "kept"),
        "missed": ("missed", "positive"),
    }
)


def _figures(sums: Mapping[str, Floats], weights: Floats, images: int) -> Record:
    return {"images": images} | {
        name: interval(
            float(ratio(sums[part].sum(), sums[whole].sum())), ratio(weights @ sums[part], weights @ sums[whole])
        ).json
        for name, (part, whole) in _RATIOS.items()
    }
