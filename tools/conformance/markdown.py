"""Tables and cells of the conformance statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from pydicom.sr.coding import Code
from pydicom.uid import UID


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


def code(value: object) -> str:
    """Return a value formatted as code."""
    return f"`{value}`"


def coded(concept: Code) -> str:
    """Return a coded concept as the standard writes it: ``(113000, DCM, "Of Interest")``."""
    return f'({concept.value}, {concept.scheme_designator}, "{concept.meaning}")'


@lru_cache
def uid_name(uid: str) -> str:
    """Return the name of a SOP class or a transfer syntax in PS3.6."""
    return UID(uid).name
