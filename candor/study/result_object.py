"""A result object on disk: what it is, where it lies, and what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from candor.study.findings import Finding

Kind = Literal["sr", "sc", "gsps", "ko", "pm"]
"""Kinds of result objects: report, overlay, outlines, key objects, heatmaps as numbers."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class WrittenObject:
    """One result object on disk.

    Parameters
    ----------
    file
        Its path below the output folder, with ``/``.
    finding
        What it is about; None where it is about more than one finding.
    source
        SOP Instance UID of the image that it belongs to; None where it is about the study.
    profiles
        Keys of the profiles that it is part of (:attr:`candor.study.profile.Profile.key`); None for an object that is
        the same in every profile that takes its kind.
    """

    kind: Kind
    file: str
    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    finding: Finding | None = None
    source: str | None = None
    profiles: frozenset[str] | None = None
