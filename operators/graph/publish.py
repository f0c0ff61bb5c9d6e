"""Publish results in the output folder; nothing half-written is ever seen there.

A study's objects are written into a hidden folder beside their place and renamed into it when they are complete;
``results.json`` comes last.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from candor.dicom.check.write_checked import QUARANTINE
from candor.files.durable import sync_folder, whole_file
from candor.study.case import Case
from candor.study.errors import OutputError
from candor.words.results_json import FILE_NAME, Results


def prepare_output(folder: Path) -> None:
    """Make the output folder where it is missing, and check that it can be written.

    Raises
    ------
    OutputError
        It cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"the output folder {folder} cannot be written ({error.strerror}); name another with --output"
        ) from error


def staging(case: Case) -> Path:
    """Return the hidden folder that a study's objects are written into.

    It is made when it is first asked for. What an earlier run put into quarantine is deleted then.
    """
    folder = _hidden(case)
    if not folder.exists():
        folder.mkdir(parents=True)
        shutil.rmtree(quarantine(case), ignore_errors=True)
    return folder


def quarantine(case: Case) -> Path:
    """Return the folder for objects of a study that failed the check; it need not exist."""
    return case.output.parent / QUARANTINE / case.output.name


def clear(case: Case) -> None:
    """Remove what was written of a study that cannot be published."""
    shutil.rmtree(_hidden(case), ignore_errors=True)


def _hidden(case: Case) -> Path:
    return case.output.parent / f".partial-{case.output.name}"


def remove_unfinished(output: Path) -> None:
    """Remove every hidden folder that a stopped run left in an output folder."""
    for folder in output.glob(".partial-*"):
        shutil.rmtree(folder, ignore_errors=True)


def publish(case: Case) -> None:
    """Move a study's complete objects to their place; results of an earlier run make room.

    Raises
    ------
    OSError
        The file system refuses.
    """
    complete = staging(case)
    if case.output.exists():
        before = case.output.with_name(f".replaced-{case.output.name}")
        shutil.rmtree(before, ignore_errors=True)
        case.output.rename(before)
        complete.rename(case.output)
        shutil.rmtree(before)
    else:
        complete.rename(case.output)
    sync_folder(case.output.parent)


def write_index(results: Results, output: Path) -> Path:
    """Write ``results.json`` whole or not at all, and return its path.

    Parameters
    ----------
    results
        The content.
    output
        The folder that it goes into.

    Raises
    ------
    OSError
        The file system refuses.
    """
    path = output / FILE_NAME
    with whole_file(path) as file:
        file.write(results.to_json())
    return path
