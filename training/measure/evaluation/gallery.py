"""Choose and draw the plots of the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from candor.decide.calibration import sigmoid
from training.markdown import display
from training.measure.evaluation.plots import (
    plot_cooccurrence,
    plot_curves,
    plot_intervals,
    plot_readers,
    plot_reliability,
)
from training.measure.evaluation.radiologists import Reads
from training.measure.evaluation.sample import Sample

Json = dict[str, Any]

PREFIX: Final = "evaluation-"
METHODS: Final = MappingProxyType({"grad_cam": "Grad-CAM", "mean_map": "mean map of the finding"})
"""Names of the methods of localisation, for people."""


def draw(folder: Path, sample: Sample, reads: Reads | None, record: Json) -> None:
    """Draw every plot that the record has figures for, after removing the plots of an earlier evaluation.

    Parameters
    ----------
    folder
        Gets ``evaluation-*.png``.
    sample
        The pictures that were measured.
    reads
        What radiologists said of them; None draws no plot of readers.
    record
        The content of ``evaluation.json``.
    """
    for old in folder.glob(f"{PREFIX}*.png"):
        old.unlink()
    _draw_aucs(_path(folder, "auc"), record)
    plot_curves(sample, _path(folder, "curves"))
    if record["calibrated"]:
        before, after = sigmoid(sample.logits), sample.probabilities
        plot_reliability(sample.findings, sample.labels, before, after, _path(folder, "reliability"))
    plot_cooccurrence(sample, _path(folder, "cooccurrence"))
    _draw_groups(_path(folder, "groups"), record["unseen"]["groups"])
    if reads is not None:
        plot_readers(sample, reads, _path(folder, "readers"))
    if record["localisation"] is not None:
        _draw_localisation(_path(folder, "localisation"), record["localisation"])


def _path(folder: Path, name: str) -> Path:
    return folder / f"{PREFIX}{name}.png"


def _draw_aucs(path: Path, record: Json) -> None:
    sources = {"all, mined labels": record["unseen"]}
    if record["readers"] is not None:
        mined, majority = (record["readers"][name]["ranking"] for name in ("mined", "majority"))
        sources |= {"pictures read by radiologists, mined labels": mined, "the same, radiologists' majority": majority}
    rows = {
        display(label): [source["findings"][label]["auc"] for source in sources.values()]
        for label in record["unseen"]["findings"]
    }
    means = [source["mean_auc"] for source in sources.values()]
    rows["mean of all"] = means[:1] + [None] * (len(means) - 1)
    if (
        record["readers"] is not None
    ):  # another mean, since some findings are too rare among the pictures that were read
        rows[f"mean of {len(record['readers']['compared'])} (see text)"] = [None, *means[1:]]
    plot_intervals(rows, list(sources), path, "AUC, 95% interval by patient", chance=0.5)


def _draw_groups(path: Path, groups: Json) -> None:
    rows = {f"{label} (n={figures['images']})": [figures["mean_auc"]] for label, figures in _each_group(groups)}
    if rows:
        plot_intervals(rows, ["mean AUC"], path, "mean AUC, 95% interval by patient", chance=0.5)


def _each_group(groups: Json) -> Iterable[tuple[str, Json]]:
    for attribute, compared in groups.items():
        for group, figures in compared["groups"].items():
            yield f"{attribute}: {group}", figures


def _draw_localisation(path: Path, figures: Json) -> None:
    parts: Mapping[str, Json] = {"all": figures} | figures["findings"]
    rows = {
        f"{label if label == 'all' else display(label)} (n={part['boxes']})": [
            *(part["methods"][method]["pointing_game"] for method in METHODS),
            dict.fromkeys(("value", "low", "high"), part["chance"]),
        ]
        for label, part in parts.items()
    }
    names = [*METHODS.values(), "chance (a map alike everywhere)"]
    plot_intervals(rows, names, path, "pointing game: share of boxes that hold the hottest pixel")
