"""Write JSON so that a reader never sees half a file, and say when and how it was made."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path


def write_json(path: Path, record: Mapping[str, object]) -> None:
    """Write a JSON object under a temporary name, then move it into place; NaN is an error.

    Raises
    ------
    ValueError
        The record holds a number that JSON has not: NaN or an infinity.
    """
    partial = path.with_name(path.name + ".partial")
    with partial.open("w") as file:
        json.dump(record, file, indent=1, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@dataclass(frozen=True, slots=True)
class Occasion:
    """When and by what command something was fitted or measured."""

    day: date
    command: str

    @property
    def facts(self) -> dict[str, object]:
        """For a JSON file: ``date`` as ISO 8601, and ``command``."""
        return {"date": self.day.isoformat(), "command": self.command}
