"""What a system wrote: its objects, and what independent validators say of them."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from tests.validators import INSTALL, PIXELMED, TOOLS, pixelmed_errors, validation_errors


@dataclass(frozen=True, slots=True)
class Written:
    """Objects by their class, and the validators' complaints, each with its object's class.

    The complaints are None where the validators are not there.
    """

    objects: Counter[str]
    errors: list[str] | None

    @property
    def sentence(self) -> str:
        """Say it in words, each complaint once."""
        objects = ", ".join(f"{count} {name}" for name, count in sorted(self.objects.items()))
        if self.errors is None:
            return f"{objects}; not validated: {INSTALL}"
        kinds = sorted(set(self.errors))
        count = f"{len(self.errors)} validator error{'s' * (len(self.errors) != 1)}"
        return f"{objects}; {count}" + (f": {'; '.join(kinds)}" if kinds else "")


def look(files: Sequence[Path]) -> Written:
    """Count the objects and validate them with dciodvfy, DCMTK and PixelMed."""
    classes = {file: dcmread(file, stop_before_pixels=True).SOPClassUID.name.removesuffix(" Storage") for file in files}
    objects = Counter(classes.values())
    if not PIXELMED.exists() or any(shutil.which(tool) is None for tool in TOOLS):
        return Written(objects, None)
    reports = [file for file, name in classes.items() if " SR" in name]
    by_name = {file.name: name for file, name in classes.items()}
    return Written(objects, [of_class(error, by_name) for error in validation_errors(files) + pixelmed_errors(reports)])


def of_class(error: str, classes: Mapping[str, str]) -> str:
    """Put the object's class in the place of the file's name, with which a complaint begins."""
    name, _, complaint = error.partition(": ")
    return f"{classes.get(name, name)}: {complaint}"
