"""Tables and cells of the conformance statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from pydicom.sr.coding import Code
from pydicom.uid import UID


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


def code(value: object) -> str:
    """Set a value in the type of code."""
    return f"`{value}`"


def coded(concept: Code) -> str:
    """Write a coded concept as the standard does: ``(113000, DCM, "Of Interest")``."""
    return f'({concept.value}, {concept.scheme_designator}, "{concept.meaning}")'


@lru_cache
def uid_name(uid: str) -> str:
    """Name a SOP class or a transfer syntax as PS3.6 does."""
    return UID(uid).name
