"""Figures as the text of a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from candor.study.findings import finding_named

Json = dict[str, Any]


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Lay rows out as a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def spaced(label: str) -> str:
    """Write a finding's label as words."""
    return label.replace("_", " ")


def display(label: str) -> str:
    """Write a finding as the report does."""
    return finding_named(label).display


def with_interval(estimate: Json | None) -> str:
    """Write an estimate with its interval; "not defined" where it is null."""
    if estimate is None:
        return "not defined"
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def alone(estimate: Json | None) -> str:
    """Write an estimate without its interval."""
    return "-" if estimate is None else f"{estimate['value']:.3f}"
