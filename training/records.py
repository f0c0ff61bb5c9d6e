"""Write JSON files whole, with the date and the command that made them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from candor.files.durable import whole_file


def write_json(path: Path, record: Mapping[str, object]) -> None:
    """Write a JSON object to a file, whole or not at all.

    Parameters
    ----------
    path
        The file; one that exists is replaced.
    record
        The object, without NaN and infinities.

    Raises
    ------
    ValueError
        The record holds NaN or an infinity, which JSON lacks.
    """
    content = json.dumps(record, indent=1, allow_nan=False)
    with whole_file(path) as file:
        file.write(content.encode() + b"\n")


@dataclass(frozen=True, slots=True)
class Occasion:
    """The date and the command by which something was fitted or measured."""

    day: date
    command: str

    @property
    def facts(self) -> dict[str, object]:
        """Return ``date`` as ISO 8601 and ``command``, for a JSON file."""
        return {"date": self.day.isoformat(), "command": self.command}
