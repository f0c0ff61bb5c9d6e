"""A result object on disk: what it is, where it lies, and what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from candor.study.findings import Finding

Kind = Literal["sr", "sc", "gsps", "ko", "pm"]
"""Kinds of result objects: report, overlay, outlines, key objects, heatmaps as numbers."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

ObjectKind = Kind | Literal["note"]

NOTE: Final[Literal["note"]] = "note"
"""The kind of a rejection note, beside :data:`KINDS`. No profile takes it: it goes to whoever has what it names."""


@dataclass(frozen=True, slots=True)
class ResultObject:
    """One result object on disk, from the writer that made it to the archive that takes it.

    Parameters
    ----------
    kind
        One of :data:`KINDS`, or :data:`NOTE`.
    file
        Its path with ``/``: below the output folder in the application and in ``results.json``, below the spool in
        the node.
    finding
        What it is about; None where it is about more than one finding.
    source
        SOP Instance UID of the image that it belongs to; None where it is about the study. The node does not keep it.
    profiles
        Keys of the profiles that it is part of (:attr:`candor.study.profile.Profile.key`); None for an object that is
        the same in every profile that takes its kind.
    sha256
        Of the file, in hexadecimal; None until the node has it.
    """

    kind: ObjectKind
    file: str
    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    finding: Finding | None = None
    source: str | None = None
    profiles: frozenset[str] | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A report that an earlier version of the results had, and that a new report takes the place of.

    It is no :class:`ResultObject`: its file may be deleted, and it names its study, since a job's folder may hold
    several. The four UIDs are all that a reference needs (PS3.3 C.17.2, Predecessor Documents Sequence).

    Parameters
    ----------
    profiles
        Keys of the profiles that it was part of; None where it was part of all.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    profiles: frozenset[str] | None = None
