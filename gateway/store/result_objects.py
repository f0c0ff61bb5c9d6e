"""Result objects as rows of the table ``objects``, and as files of the spool."""

from __future__ import annotations

from dataclasses import replace
from hashlib import file_digest
from pathlib import Path
from typing import Any

from candor.study.findings import finding_named
from candor.study.result_object import Predecessor, ResultObject


def in_spool(result: ResultObject, folder: Path, spool: Path) -> ResultObject:
    """Return an object as the node keeps it: with its path below the spool, and with its hash.

    Parameters
    ----------
    result
        The object, with its path below ``folder``.
    folder
        The folder that it was written to.
    spool
        The root of the spool, which the folder is below.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    path = folder / result.file
    with path.open("rb") as content:
        sha256 = file_digest(content, "sha256").hexdigest()
    return replace(result, file=path.relative_to(spool).as_posix(), sha256=sha256)


def to_row(result: ResultObject) -> dict[str, Any]:
    """Return what an object's row says of it; whose it is, and when it was made, is for the caller to add."""
    return {
        "sop_instance_uid": result.sop_instance_uid,
        "sop_class_uid": result.sop_class_uid,
        "series_instance_uid": result.series_instance_uid,
        "kind": result.kind,
        "finding": result.finding.label if result.finding else None,
        "profiles": None if result.profiles is None else sorted(result.profiles),
        "file": result.file,
        "sha256": result.sha256,
    }


def from_row(row: Any) -> ResultObject:
    """Return the object that a row of the table ``objects`` describes."""
    return ResultObject(
        kind=row.kind,
        file=row.file,
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        series_instance_uid=row.series_instance_uid,
        finding=finding_named(row.finding) if row.finding else None,
        profiles=_profiles(row),
        sha256=row.sha256,
    )


def predecessor_from_row(row: Any) -> Predecessor:
    """Return the reference to a report by its row, which outlives its file."""
    return Predecessor(
        study_instance_uid=row.study_instance_uid,
        series_instance_uid=row.series_instance_uid,
        sop_class_uid=row.sop_class_uid,
        sop_instance_uid=row.sop_instance_uid,
        profiles=_profiles(row),
    )


def _profiles(row: Any) -> frozenset[str] | None:
    return None if row.profiles is None else frozenset(row.profiles)
