"""The plots of the report: small PNG files in colours that colour-blind readers can tell apart.

References
----------
Okabe and Ito 2008 (the palette).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from candor.study.findings import Finding
from training.measure.evaluation.radiologists import FEWEST_POSITIVES, Reads
from training.measure.evaluation.sample import Sample
from training.statistics.curves import (
    Curve,
    cooccurrence,
    macro_precision_recall,
    macro_roc,
    micro_precision_recall,
    micro_roc,
    precision_recall,
    roc,
    with_both,
)
from training.statistics.metrics import BINS, Floats, Labels, bins_of

BLUE, ORANGE, GREEN, PURPLE, BLACK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#BBBBBB"
MARKERS: Final = ("^", "s", "D", "v", "P")

DOTS_PER_INCH: Final = 100
COLOURS: Final = 256
STYLE: Final = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "legend.fontsize": 8,
}

Json = dict[str, Any]


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as a small PNG and return its path; the same figure gives the same bytes.

    Parameters
    ----------
    figure
        Gets an Agg canvas of its own.
    path
        The file to write.
    """
    drawn = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(drawn, dpi=DOTS_PER_INCH)
    with Image.open(drawn) as picture:  # a palette takes a third of the bytes, and drops matplotlib's version
        picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
    return path


def _grid(panels: int, columns: int, side: float) -> tuple[Figure, list[Axes]]:
    rows = -(-panels // columns)
    figure = Figure(figsize=(columns * side, rows * side), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    for empty in axes[panels:]:
        empty.set_axis_off()
    return figure, list(axes[:panels])


def plot_curves(sample: Sample, path: Path) -> Path:
    """Draw ROC and precision-recall curves: each finding in grey, and their macro and micro averages in colour.

    Parameters
    ----------
    sample
        Pictures with labels, logits and calibrated probabilities.
    path
        The PNG file to write.
    """
    with style.context(STYLE):
        figure = Figure(figsize=(8.4, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        known = with_both(sample.labels)
        for k in known:
            _line(left, roc(sample.labels[:, k], sample.logits[:, k]), color=GREY, linewidth=0.7)
            _line(right, precision_recall(sample.labels[:, k], sample.logits[:, k]), color=GREY, linewidth=0.7)
        left.plot([], [], color=GREY, linewidth=0.7, label="each finding")
        if known:
            _averages(left, macro_roc(sample.labels, sample.logits), micro_roc(sample.labels, sample.probabilities))
            _averages(
                right,
                macro_precision_recall(sample.labels, sample.logits),
                micro_precision_recall(sample.labels, sample.probabilities),
            )
        left.plot([0, 1], [0, 1], color=BLACK, linestyle=":", linewidth=0.8, label="chance")
        _name(left, "1 - specificity", "sensitivity", "ROC")
        _name(right, "recall (sensitivity)", "precision", "precision-recall")
        left.legend(loc="lower right")
        return save(figure, path)


def _averages(axes: Axes, macro: Curve, micro: Curve) -> None:
    _line(axes, macro, color=BLUE, linewidth=2, label="macro average")
    _line(axes, micro, color=ORANGE, linewidth=2, linestyle="--", label="micro average")


def _line(axes: Axes, curve: Curve, **look: Any) -> None:
    axes.plot(curve.x, curve.y, **look)


def _name(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set(xlabel=x, ylabel=y, title=title, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_aspect("equal")


def plot_reliability(findings: Sequence[Finding], labels: Floats, before: Floats, after: Floats, path: Path) -> Path:
    """Draw the observed frequency of each finding against its probability in bins, before and after calibration.

    Parameters
    ----------
    findings
        One panel each.
    labels, before, after
        ``(images, findings)``: labels, and probabilities before and after calibration.
    path
        The PNG file to write.
    """
    with style.context(STYLE):
        figure, panels = _grid(len(findings), 5, 1.75)
        for k, (axes, finding) in enumerate(zip(panels, findings, strict=True)):
            axes.plot([0, 1], [0, 1], color=BLACK, linestyle=":", linewidth=0.8)
            for p, colour, marker, name in ((before, ORANGE, "x", "before"), (after, BLUE, "o", "after")):
                mean, share, size = reliability(labels[:, k], p[:, k])
                axes.scatter(mean, share, s=6 + 60 * size, color=colour, marker=marker, linewidths=1, label=name)
            axes.set(
                title=finding.display, xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1)
            )
        figure.supxlabel("mean probability of a bin (larger mark: more pictures)", fontsize=9)
        figure.supylabel("share with the finding", fontsize=9)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="lower right")
        return save(figure, path)


def reliability(labels: Labels, probabilities: Floats) -> tuple[Floats, Floats, Floats]:
    """Return mean probability, share of positives and share of the images for each bin that is not empty.

    Parameters
    ----------
    labels
        ``(images,)`` of one finding; NaN is left out.
    probabilities
        ``(images,)``, in [0, 1].
    """
    known = ~np.isnan(labels)
    index = bins_of(probabilities[known])
    counts = np.bincount(index, minlength=BINS)
    full = counts > 0
    mean = np.bincount(index, weights=probabilities[known], minlength=BINS)[full] / counts[full]
    share = np.bincount(index, weights=np.asarray(labels[known] > 0, np.float64), minlength=BINS)[full] / counts[full]
    return mean, share, counts[full] / max(counts.sum(), 1)


def plot_cooccurrence(sample: Sample, path: Path) -> Path:
    """Draw the share of the pictures with one finding (row) that have another (column); counts on the diagonal.

    Parameters
    ----------
    sample
        Pictures with labels.
    path
        The PNG file to write.
    """
    table = cooccurrence(sample.labels)
    own = np.diag(table)
    shares = table / np.maximum(own, 1)[:, np.newaxis]
    names = [finding.display for finding in sample.findings]
    with style.context(STYLE):
        figure = Figure(figsize=(6.4, 5.8), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(np.where(np.eye(len(own), dtype=bool), np.nan, shares), cmap="cividis", vmin=0)
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
        _write_counts(axes, table, shares)
        figure.colorbar(image, label="share of the row's pictures", shrink=0.8)
        return save(figure, path)


def _write_counts(axes: Axes, table: NDArray[np.int64], shares: Floats) -> None:
    off_diagonal = shares[~np.eye(len(shares), dtype=bool)]
    middle = off_diagonal.max(initial=0) / 2
    for row, column in np.ndindex(*table.shape):
        dark = row != column and shares[row, column] <= middle
        axes.text(
            column, row, str(table[row, column]), ha="center", va="center", fontsize=7, color="w" if dark else "k"
        )


def plot_readers(sample: Sample, reads: Reads, path: Path) -> Path | None:
    """Draw the bundle's ROC curve against the radiologists' majority, with each other reader as a point.

    Findings that the majority saw fewer than ``FEWEST_POSITIVES`` times are left out; None if no finding is left.

    Parameters
    ----------
    sample
        Pictures with labels and logits.
    reads
        What radiologists said of the same pictures.
    path
        The PNG file to write.
    """
    part, truth = sample.take(reads.read), reads.majority[reads.read] > 0
    shown = [k for k in with_both(truth) if truth[:, k].sum() >= FEWEST_POSITIVES]
    if not shown:
        return None
    with style.context(STYLE):
        figure, panels = _grid(len(shown), 5, 1.75)
        for axes, k in zip(panels, shown, strict=True):
            axes.plot([0, 1], [0, 1], color=BLACK, linestyle=":", linewidth=0.8)
            _line(axes, roc(truth[:, k], part.logits[:, k]), color=BLUE, label="bundle")
            _points(axes, truth[:, k], {number: given[reads.read, k] for number, given in reads.others.items()})
            _point(axes, truth[:, k], part.labels[:, k], color=BLACK, marker="x", label="mined labels")
            axes.set(title=f"{part.findings[k].display} ({truth[:, k].sum()})", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        figure.supxlabel("1 - specificity", fontsize=9)
        figure.supylabel("sensitivity", fontsize=9)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
        return save(figure, path)


def _points(axes: Axes, truth: NDArray[np.bool_], given: Mapping[str, Floats]) -> None:
    for (number, answers), marker, colour in zip(
        given.items(), MARKERS, (ORANGE, GREEN, PURPLE, BLUE, GREY), strict=False
    ):
        _point(axes, truth, answers, color=colour, marker=marker, label=f"reader {number}")


def _point(axes: Axes, truth: NDArray[np.bool_], given: Floats, **look: Any) -> None:
    known = ~np.isnan(given)
    negatives, positives = given[known & ~truth], given[known & truth]
    if len(negatives) and len(positives):
        axes.scatter([(negatives > 0).mean()], [(positives > 0).mean()], s=28, zorder=3, **look)


def plot_intervals(
    rows: Mapping[str, Sequence[Json | None]],
    names: Sequence[str],
    path: Path,
    label: str,
    chance: float | None = None,
) -> Path:
    """Draw estimates with their intervals: one line for each row, the columns in different colours.

    Parameters
    ----------
    rows
        By the row's name, an interval (``value``, ``low``, ``high``) for each of ``names``; null ones are left out.
    names
        The columns, at most three, for the legend.
    path
        The PNG file to write.
    label
        Of the horizontal axis.
    chance
        Value of guessing, drawn as a dotted line; None draws none.
    """
    with style.context(STYLE):
        figure = Figure(figsize=(6.4, 0.7 + 0.3 * len(rows) + 0.2 * len(names)), layout="constrained")
        axes = figure.subplots()
        places = np.linspace(-0.22, 0.22, len(names)) if len(names) > 1 else [0.0]
        for k, (name, colour, marker) in enumerate(zip(names, (BLUE, ORANGE, GREEN), ("o", "s", "^"), strict=False)):
            drawn = [(y + places[k], row[k]) for y, row in enumerate(rows.values())]
            _bars(axes, [(y, found) for y, found in drawn if found], color=colour, marker=marker, label=name)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.invert_yaxis()
        if chance is not None:
            axes.axvline(chance, color=BLACK, linestyle=":", linewidth=0.8)
        axes.set_xlabel(label)
        axes.grid(axis="x", color=GREY, linewidth=0.4)
        if len(names) > 1:
            figure.legend(loc="outside upper left")
        return save(figure, path)


def _bars(axes: Axes, drawn: Sequence[tuple[float, Json]], *, color: str, marker: str, label: str) -> None:
    for place, found in drawn:
        axes.plot([found["low"], found["high"]], [place, place], color=color, linewidth=1.5)
    axes.scatter([f["value"] for _, f in drawn], [y for y, _ in drawn], s=22, color=color, marker=marker, label=label)
