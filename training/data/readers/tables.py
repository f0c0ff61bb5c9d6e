"""Read a table of text, plain or gzipped."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

from candor.study.errors import DataError

Cells = dict[str, str]
"""One row by column; cells missing at the end of a short line are empty."""


def read_table(path: Path, columns: Sequence[str]) -> list[Cells]:
    """Read a CSV table, gzipped if its name ends in ``.gz``.

    Parameters
    ----------
    path
        The file.
    columns
        Columns that the table must have; others are kept too.

    Raises
    ------
    DataError
        The table is missing, damaged or empty, or lacks one of these columns.
    """
    try:
        with _opened(path) as lines:
            reader = csv.DictReader(lines, restval="")
            absent = [column for column in columns if column not in (reader.fieldnames or ())]
            if absent:
                raise DataError(f"{path} has no column {', '.join(absent)}; it needs {', '.join(columns)}")
            rows = list(reader)
    except FileNotFoundError:
        raise DataError(f"{path} is not there; give the folder that holds {path.name}") from None
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table ({error}); fetch it again") from error
    if not rows:
        raise DataError(f"{path} holds no row; fetch it again")
    return rows


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", newline="", encoding="utf-8-sig"))
    return path.open(newline="", encoding="utf-8-sig")


def listed_names(path: Path) -> frozenset[str]:
    """Read an official list: the first word of each line.

    Raises
    ------
    DataError
        The list is not there or cannot be read.
    """
    try:
        with _opened(path) as lines:
            return frozenset(line.split()[0] for line in lines if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is missing or is not text; fetch the official list") from error
