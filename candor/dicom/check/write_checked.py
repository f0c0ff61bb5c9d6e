"""Write a result's file and check it: what lacks something goes into quarantine and is never published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pydicom import Dataset

from candor import RESEARCH_USE
from candor.dicom.check.parsed_file import MALFORMED, read_written
from candor.dicom.check.templates import missing_rows
from candor.dicom.shared.file import write
from candor.files.durable import sync_folder, whole_file
from candor.study.errors import ObjectIncomplete, OutputError

QUARANTINE: Final = "quarantine"
"""Name of the folder for objects that failed the check."""


def write_checked(dataset: Dataset, path: Path, kind: str, quarantine: Path, source: Dataset | None = None) -> None:
    """Write a result's file, then check what the file holds.

    Parameters
    ----------
    dataset
        The result.
    path
        Where it is written.
    kind
        What it is, for the error: one of :data:`candor.study.result_object.KINDS`, or another word without a patient's
        data.
    quarantine
        Folder that a file which fails the check is moved to, made where it is missing, for its owner alone. Beside the
        file stands a JSON file of the same name that lists what is missing.
    source
        The image that the result is about; see :func:`candor.dicom.check.templates.missing_rows`.

    Raises
    ------
    ObjectIncomplete
        The result lacks something. Nothing is left at ``path``.
    OutputError
        The file cannot be written or read back.
    """
    write(dataset, path)
    try:
        missing = _missing(path, source)
    except OSError as error:
        raise OutputError(f"cannot read a result back from {path.parent}: {error.strerror}; check its disk") from error
    if missing:
        raise _set_aside(path, quarantine, kind, missing)


def _missing(path: Path, source: Dataset | None) -> list[str]:
    """List what a file lacks; that it cannot be read as a result is one line too."""
    try:
        return missing_rows(read_written(path), source)
    except (*MALFORMED, AttributeError, LookupError, TypeError) as error:
        # Its type alone: the message may quote a value. The check takes for granted only what every result has.
        return [f"the file cannot be read as a result ({type(error).__name__})"]


def _set_aside(path: Path, quarantine: Path, kind: str, missing: list[str]) -> ObjectIncomplete:
    """Move a file into quarantine; where that fails, delete it, since it must not be published."""
    try:
        quarantine.mkdir(mode=0o700, parents=True, exist_ok=True)
        with whole_file(quarantine / f"{path.stem}.json") as file:
            listed = {"notice": RESEARCH_USE, "kind": kind, "missing": missing}
            file.write(json.dumps(listed, indent=1).encode() + b"\n")
        path.replace(quarantine / path.name)
        sync_folder(quarantine)
    except OSError:
        path.unlink(missing_ok=True)
        return ObjectIncomplete(kind, missing, is_kept=False)
    return ObjectIncomplete(kind, missing)
