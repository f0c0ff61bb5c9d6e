"""A result object on disk: its kind, file and UIDs, and the finding and image that it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from candor.study.findings import Finding

Kind = Literal["sr", "sc", "gsps", "ko", "pm"]
"""Kinds of result objects: report, overlay, outlines, key objects, heatmap values."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

ObjectKind = Kind | Literal["note"]

NOTE: Final[Literal["note"]] = "note"
"""The kind of a rejection note. No profile takes it: it goes to every receiver of the objects that it names."""


@dataclass(frozen=True, slots=True)
class ResultObject:
    """One result object on disk, from the writer that made it to the archive that takes it.

    Parameters
    ----------
    kind
        One of :data:`KINDS`, or :data:`NOTE`.
    file
        The file's path with ``/``: below the output folder in the application and in ``results.json``, below the
        spool in the node.
    finding
        The finding that it is about; None where it is about more than one.
    source
        SOP Instance UID of the image that it is about; None where it is about the study. The node does not keep it.
    profiles
        Keys of the profiles that it is part of (:attr:`candor.study.profile.Profile.key`); None for an object that is
        the same in every profile that takes its kind.
    sha256
        Hash of the file, in hexadecimal; None until the node has it.
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
    """A report of an earlier version of the results, which a new report replaces.

    It is not a :class:`ResultObject`, because its file may be deleted. It names its study, because a job's folder may
    hold several. The four UIDs are all that a reference needs (PS3.3 C.17.2, Predecessor Documents Sequence).

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
