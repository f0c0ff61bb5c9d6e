"""Measure PCANet on a data set: a classifier of small pictures without gradients, to compare a network with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from candor import RESEARCH_USE
from candor.model.preprocess import InputSpec
from candor.study.errors import DataError
from training.baselines.pcanet import PcaNet, PcaNetSpec
from training.data.dataset import Dataset
from training.data.pictures import as_radiograph, network_input, read_picture
from training.data.splits import Subset
from training.markdown import display, table, with_interval
from training.measure.evaluation.figures import ranking
from training.measure.evaluation.sample import Record, Sample

CHUNK: Final = 64
"""Pictures whose features are held at once while answering."""

SPEC: Final = PcaNetSpec(block=8, step=8)
"""Blocks without overlap; blocks that overlap by half would take four times the memory."""

WATCHED: Final = (Subset.VALIDATION, Subset.UNSEEN)
"""The patients it is measured on; the baseline fits nothing to them."""


def measure_pcanet(dataset: Dataset, *, side: int, pictures: int, seed: int = 0, spec: PcaNetSpec = SPEC) -> Record:
    """Fit PCANet to TRAIN, and measure it on the other patients.

    Parameters
    ----------
    dataset
        The data set.
    side
        Side of the pictures in pixels. At 64 a picture to learn from takes about 1 MB, with the copy of the linear
        classifiers.
    pictures
        Most pictures of TRAIN to learn from, drawn at random; this bounds the memory.
    seed
        Seed of the draw and of the linear classifiers.
    spec
        Settings of PCANet.

    Returns
    -------
    For JSON: the settings, and the ranking of each part with intervals by patient. A finding is left out if no picture
    of TRAIN has it, or all have.

    Raises
    ------
    DataError
        TRAIN or another part is empty, or no finding can be learned.
    """
    learning = _at_most(dataset.only(Subset.TRAIN), pictures, seed)
    labels = learning.labels()
    both = np.asarray((labels > 0).any(axis=0) & (labels <= 0).any(axis=0), np.bool_)
    if not both.any():
        raise DataError("no finding is both present and absent in TRAIN; give more training pictures")
    net = PcaNet(spec, seed).fit(np.concatenate(list(_images(learning, side))), labels[:, both].astype(np.float64))
    return {
        "what": f"PCANet of Chan et al. 2015, a baseline. {RESEARCH_USE}.",
        "side": side,
        "seed": seed,
        "spec": asdict(spec),
        "train": {"images": len(learning.images), "patients": len(set(learning.patients().tolist()))},
        **{subset.value: _ranking(net, dataset.only(subset), both, side) for subset in WATCHED},
    }


def _at_most(learning: Dataset, pictures: int, seed: int) -> Dataset:
    if len(learning.images) <= pictures:
        return learning
    drawn = np.sort(np.random.default_rng(seed).choice(len(learning.images), pictures, replace=False))
    return replace(learning, images=tuple(learning.images[position] for position in drawn))


def _images(dataset: Dataset, side: int) -> Iterator[NDArray[np.float64]]:
    """Yield the pictures in chunks, read as the application reads them: ``(n, side, side)`` in [0, 1]."""
    spec = InputSpec(side, 0.0, 1.0)
    for start in range(0, len(dataset.images), CHUNK):
        chunk = dataset.images[start : start + CHUNK]
        read = [network_input(as_radiograph(read_picture(image.path)), spec)[0] for image in chunk]
        yield np.asarray(read, np.float64)


def _ranking(net: PcaNet, dataset: Dataset, both: NDArray[np.bool_], side: int) -> Record:
    if not dataset.images:
        raise DataError("no picture is left to measure PCANet on; give a data set with validation and unseen patients")
    decisions = np.zeros((len(dataset.images), len(dataset.findings)))
    decisions[:, both] = np.concatenate([net.decision(images) for images in _images(dataset, side)])
    labels = np.where(both, dataset.labels(), np.nan).astype(np.float64)
    distances_are_no_probabilities = np.full_like(decisions, np.nan)
    return ranking(Sample(dataset.images, dataset.findings, labels, decisions, distances_are_no_probabilities))


def auc_table(record: dict[str, Any]) -> str:
    """Return the result of :func:`measure_pcanet` as a table: the AUC of each finding on each part, and their mean."""
    parts = [record[subset.value] for subset in WATCHED]
    header = ("finding", *(f"{s.value}, {part['images']} images" for s, part in zip(WATCHED, parts, strict=True)))
    rows = [
        (display(label), *(with_interval(part["findings"][label]["auc"]) for part in parts))
        for label in parts[0]["findings"]
    ]
    return table(header, [*rows, ("mean", *(with_interval(part["mean_auc"]) for part in parts))])
