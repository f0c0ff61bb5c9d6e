"""The plots of an audit: risk against coverage, cost, and the team."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.measure.evaluation.plots import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, STYLE, save
from training.measure.selective.figures import ALWAYS_ABSENT, CONFIDENCE, RANDOM

Json = dict[str, Any]
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
_LOOKS: dict[str, Json] = {
    CONFIDENCE: {"color": BLUE},
    RANDOM: {"color": BLACK, "linestyle": ":", "linewidth": 0.8},
    ALWAYS_ABSENT: {"color": GREY, "linestyle": "--"},
}


def draw_audit(folder: Path, name: str, record: Json) -> list[Path]:
    """Draw all plots of an audit as ``<name>-<plot>.png``, and return their paths.

    Parameters
    ----------
    folder
        Gets the plots; it must exist.
    name
        The audit's name, for the file names.
    record
        The audit's figures.
    """
    found = record["audit"]
    drawn = [
        _plot_risk(found["curves"], folder / f"{name}-risk.png"),
        _plot_costs(found["costs"], folder / f"{name}-costs.png"),
    ]
    return drawn + [_plot_team(team, folder / f"{name}-team-{kind}.png") for kind, team in record["teams"].items()]


def _plot_risk(curves: Json, path: Path) -> Path:
    """Draw selective and generalized risk of every gate against coverage."""
    with style.context(STYLE):
        figure = Figure(figsize=(8.4, 3.6), layout="constrained")
        panels = figure.subplots(1, 2)
        others = iter(_COLOURS[1:] * len(curves))
        for name, risks in curves.items():
            if name != "coverage":
                look = _LOOKS.get(name) or {"color": next(others)}
                for axes, kind in zip(panels, ("selective", "generalized"), strict=True):
                    axes.plot(curves["coverage"], risks[kind], label=name, **look)
        for axes, title in zip(panels, ("errors among what is kept", "kept and wrong, of all"), strict=True):
            _name(axes, "share of answers kept", "risk", title)
        panels[0].legend(loc="upper left")
        return save(figure, path)


def _name(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set(xlabel=x, ylabel=y, title=title, xlim=(0, 1))
    axes.set_ylim(bottom=0)


def _plot_costs(costs: Json, path: Path) -> Path:
    """Draw the mean cost of an answer against the cost of a deferral."""
    with style.context(STYLE):
        figure = Figure(figsize=(4.6, 3.6), layout="constrained")
        axes = figure.subplots()
        c, cost = costs["costs"], costs[CONFIDENCE]
        axes.fill_between(c, [f["low"] for f in cost], [f["high"] for f in cost], color=BLUE, alpha=0.2, linewidth=0)
        axes.plot(c, [f["value"] for f in cost], color=BLUE, label=CONFIDENCE)
        axes.axhline(costs["answering everything"], color=ORANGE, linewidth=0.9, label="answering everything")
        axes.axhline(costs[ALWAYS_ABSENT], color=GREY, linestyle="--", label=ALWAYS_ABSENT)
        axes.plot(c, c, color=BLACK, linestyle=":", linewidth=0.8, label="deferring everything")
        axes.set(xlabel="cost of a deferral (an error costs 1)", ylabel="mean cost of an answer")
        axes.set_ylim(0, 1.6 * max(costs["answering everything"], costs[ALWAYS_ABSENT]))
        axes.legend(loc="upper left", fontsize=7)
        return save(figure, path)


def _plot_team(team: Json, path: Path) -> Path:
    """Draw balanced accuracy, all findings together, against the share deferred: a panel for each policy."""
    with style.context(STYLE):
        figure = Figure(figsize=(8.4, 3.8), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, policy in zip(panels, ("answers", "images"), strict=True):
            for (reader, policies), colour in zip(team["readers"].items(), _COLOURS, strict=False):
                _team(axes, policies[policy], reader, colour)
            axes.set(xlabel="share deferred to the reader", title=f"deferring {policy}", xlim=(-0.02, 1.02))
        panels[0].set_ylabel("balanced accuracy")
        panels[0].legend(loc="upper left", fontsize=7)
        return save(figure, path)


def _team(axes: Axes, found: Json, reader: str, colour: str) -> None:
    shown = [(at["workload"], at["figures"]["pooled"]["balanced_accuracy"]) for at in found["workloads"]]
    shown = [(workload, figures) for workload, figures in shown if figures]
    if not shown:
        return
    x, y = [w for w, _ in shown], [f["value"] for _, f in shown]
    axes.fill_between(
        x, [f["low"] for _, f in shown], [f["high"] for _, f in shown], color=colour, alpha=0.15, linewidth=0
    )
    axes.plot(x, y, color=colour, marker="o", markersize=3, label=reader)
    axes.plot([x[0], x[-1]], [y[0], y[-1]], color=colour, linestyle=":", linewidth=0.8)
