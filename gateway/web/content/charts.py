"""Charts as numbers for inline SVG: no library, no script, and words for those who do not see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 160
_LEFT: Final = 36
_BOTTOM: Final = 20
_TOP: Final = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar with what it says when pointed at; ``series`` counts from 0 and gives the colour."""

    x: float
    y: float
    width: float
    height: float
    series: int
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What a template draws.

    Parameters
    ----------
    line
        Points of a line, as SVG has them: ``"x,y x,y"``.
    rules
        Horizontal lines: name and y.
    ticks
        Words below the chart: x and word.
    top
        The value at the upper end, in words.
    """

    title: str
    bars: tuple[Bar, ...]
    line: str
    rules: tuple[tuple[str, float], ...]
    ticks: tuple[tuple[float, str], ...]
    top: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    floor: int = HEIGHT - _BOTTOM
    ceiling: int = _TOP


def hours_chart(title: str, names: Sequence[str], series: Sequence[Sequence[int]], labels: Sequence[str]) -> Chart:
    """Draw several counts side by side for each hour, labels under every third.

    Parameters
    ----------
    title
        Of the chart.
    names
        Of the series.
    series
        Counts, one for each label.
    labels
        Of the hours.
    """
    top = max(1, *(value for values in series for value in values))
    step = (WIDTH - _LEFT) / len(labels)
    thick = 0.8 * step / len(series)
    bars = tuple(
        Bar(
            x=round(_LEFT + hour * step + number * thick, 1),
            y=round(_y(value / top), 1),
            width=round(thick, 1),
            height=round(_y(0) - _y(value / top), 1),
            series=number,
            title=f"{labels[hour]}: {value} {names[number]}",
        )
        for number, values in enumerate(series)
        for hour, value in enumerate(values)
        if value
    )
    return Chart(title, bars, "", (), _ticks(labels, step, every=3), str(top))


def share_chart(title: str, shares: Sequence[float | None], labels: Sequence[str], rules: dict[str, float]) -> Chart:
    """Draw a share of 0 to 1 for each day, with horizontal rules.

    Parameters
    ----------
    title
        Of the chart.
    shares
        One for each label; None leaves a gap in the points.
    labels
        Of the days.
    rules
        Shares, by the name of their line.
    """
    step = (WIDTH - _LEFT) / len(labels)
    points = [(_LEFT + (day + 0.5) * step, share) for day, share in enumerate(shares) if share is not None]
    dots = tuple(
        Bar(round(x - 3, 1), round(_y(share) - 3, 1), 6, 6, 0, f"{labels[int((x - _LEFT) // step)]}: {share:.0%}")
        for x, share in points
    )
    line = " ".join(f"{x:.1f},{_y(share):.1f}" for x, share in points)
    lines = tuple((name, round(_y(min(1.0, max(0.0, value))), 1)) for name, value in rules.items())
    return Chart(title, dots, line, lines, _ticks(labels, step, every=7), "100%")


def _y(share: float) -> float:
    """Height of a share of the chart, from its upper edge."""
    return _TOP + (HEIGHT - _BOTTOM - _TOP) * (1 - share)


def _ticks(labels: Sequence[str], step: float, every: int) -> tuple[tuple[float, str], ...]:
    return tuple((round(_LEFT + k * step, 1), labels[k]) for k in range(0, len(labels), every))
