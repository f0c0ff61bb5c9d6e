"""Write JSON so that a reader never sees half a file, and say when and how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from candor.files.durable import whole_file


def write_json(path: Path, record: Mapping[str, object]) -> None:
    """Write a JSON object, whole or not at all; NaN is an error.

    Raises
    ------
    ValueError
        The record holds a number that JSON has not: NaN or an infinity.
    """
    content = json.dumps(record, indent=1, allow_nan=False)
    with whole_file(path) as file:
        file.write(content.encode() + b"\n")


@dataclass(frozen=True, slots=True)
class Occasion:
    """When and by what command something was fitted or measured."""

    day: date
    command: str

    @property
    def facts(self) -> dict[str, object]:
        """For a JSON file: ``date`` as ISO 8601, and ``command``."""
        return {"date": self.day.isoformat(), "command": self.command}
