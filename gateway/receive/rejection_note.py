"""Read the rejection notes of an archive or a quality station: Key Object Selections that name images (IHE IOCM).

References
----------
IHE RAD TF-2 4.66 (Rejection Note Stored); DICOM PS3.3 A.35.4, PS3.16 TID 2010.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from candor.dicom.read.file import read_header
from candor.dicom.shared.attributes import is_uid, items, text
from candor.study.errors import Refused
from gateway.assess.rejections import REASONS, Named
from gateway.dimse.header import Head
from gateway.logs import log_event

_LONGEST: Final = 4 << 20
"""Bytes of a note of some ten thousand images; a longer one is not read."""


def rejected_by(path: Path, head: Head) -> tuple[Named, ...]:
    """Return the images that an object rejects; () where it is no rejection note.

    Parameters
    ----------
    path
        The object's file.
    head
        Its first attributes. A note of Candor's own names results, which are withdrawn already.
    """
    if head.sop_class_uid != KeyObjectSelectionDocumentStorage or head.ours:
        return ()
    if path.stat().st_size > _LONGEST:
        log_event("key objects not read", "warning", reason="they are longer than any rejection note")
        return ()
    try:
        note = read_header(path)
    except Refused:
        return ()
    code = next((text(item, "CodeValue") for item in items(note, "ConceptNameCodeSequence")), "")
    if code not in REASONS:
        return ()
    named = dict.fromkeys(_evidence(note)) or dict.fromkeys(_content(note, head.study_instance_uid))
    return tuple(Named(study, instance, code) for study, instance in named)


def _evidence(note: Dataset) -> Iterator[tuple[str, str]]:
    """Yield study and instance of the Current Requested Procedure Evidence Sequence, which lists all that is named."""
    for study in items(note, "CurrentRequestedProcedureEvidenceSequence"):
        for series in items(study, "ReferencedSeriesSequence"):
            for item in items(series, "ReferencedSOPSequence"):
                yield from _pair(study.get("StudyInstanceUID"), item)


def _content(note: Dataset, study_instance_uid: str) -> Iterator[tuple[str, str]]:
    """Yield study and instance of the content items, where the mandatory evidence is missing."""
    for content in items(note, "ContentSequence"):
        for item in items(content, "ReferencedSOPSequence"):
            yield from _pair(study_instance_uid, item)


def _pair(study_instance_uid: object, item: Dataset) -> Iterator[tuple[str, str]]:
    instance = item.get("ReferencedSOPInstanceUID")
    if is_uid(study_instance_uid) and is_uid(instance):
        yield str(study_instance_uid), str(instance)
