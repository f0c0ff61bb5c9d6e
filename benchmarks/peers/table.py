"""The table for the page: one line for each thing measured, and who is ahead in it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.timing import ratio

_EVEN: Final = 1.05
"""Under this ratio nobody is ahead: the noise of a run is as large."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing, measured for Candor and for a peer.

    Parameters
    ----------
    ours, theirs
        In ``unit``.
    more_is_better
        As with a rate; not with a time.
    gain
        How many times better Candor is, where pairs were measured; by default that of the two figures.
    says
        Stands in the place of the verdict, where the other figure is a limit and nobody's.
    """

    what: str
    peer: str
    ours: float
    theirs: float
    unit: str = ""
    more_is_better: bool = False
    gain: float | None = None
    says: str = ""

    @property
    def verdict(self) -> str:
        """Who is ahead, and how many times."""
        if self.says:
            return self.says
        if self.ours == self.theirs:
            return "even"
        better, worse = (self.ours, self.theirs) if self.more_is_better else (self.theirs, self.ours)
        if self.gain is None and min(better, worse) <= 0:
            return "Candor ahead" if better > worse else "**peer ahead**"
        gain = self.gain if self.gain is not None else better / worse
        if 1 / _EVEN < gain < _EVEN:
            return f"even, {number(gain)} x"
        return f"Candor ahead, {number(gain)} x" if gain > 1 else f"**peer ahead, {number(1 / gain)} x**"


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of work: its rows, and what has to be known to read them."""

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()


def timed(what: str, peer: str, ours: list[float], theirs: list[float]) -> Row:
    """Make the row of two lists of seconds that were measured in turn; shown in milliseconds."""
    middle, peers_middle = (1e3 * statistics.median(seconds) for seconds in (ours, theirs))
    return Row(what, peer, middle, peers_middle, "ms", gain=ratio(theirs, ours))


def rated(what: str, peer: str, ours: list[float], theirs: list[float], amount: float, unit: str) -> Row:
    """Make the row of two rates: so much in each of the seconds that were measured in turn."""
    middle, peers_middle = (amount / statistics.median(seconds) for seconds in (ours, theirs))
    return Row(what, peer, middle, peers_middle, unit, more_is_better=True, gain=ratio(theirs, ours))


def number(value: float) -> str:
    """Write a figure with three digits at most, and no more than it has; a count as it is."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:#.3g}".rstrip(".") if abs(value) < 1 else f"{value:.{1 if abs(value) >= 10 else 2}f}"


def markdown(sections: Sequence[Section]) -> str:
    """Write the sections as they stand in the page."""
    return "\n\n".join(_section(section) for section in sections)


def _section(section: Section) -> str:
    lines = [f"### {section.title}"]
    if section.rows:
        lines += ["", "| what | peer | Candor | peer's | |", "|---|---|---|---|---|"]
        lines += [_line(row) for row in section.rows]
    if section.notes:
        lines += ["", *(f"- {note}" for note in section.notes)]
    return "\n".join(lines)


def _line(row: Row) -> str:
    ours, theirs = (f"{number(value)} {row.unit}".strip() for value in (row.ours, row.theirs))
    return f"| {row.what} | {row.peer} | {ours} | {theirs} | {row.verdict} |"
