"""Write figures as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from candor.study.findings import finding_named

Json = dict[str, Any]


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table.

    Parameters
    ----------
    header
        Titles of the columns.
    rows
        Cells of each row; each is written by ``str``.
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def spaced(label: str) -> str:
    """Return a finding's label with spaces between its words."""
    return label.replace("_", " ")


def display(label: str) -> str:
    """Return the name that the report gives a finding, by its label."""
    return finding_named(label).display


def with_interval(estimate: Json | None) -> str:
    """Return an estimate with its interval, or "not defined" for None."""
    if estimate is None:
        return "not defined"
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def alone(estimate: Json | None) -> str:
    """Return an estimate without its interval, or "-" for None."""
    return "-" if estimate is None else f"{estimate['value']:.3f}"
