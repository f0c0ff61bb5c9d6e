"""Rejection notes: Key Object Selection documents that tell an archive to hide results of ours (IHE IOCM)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique
from typing import Final

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from cxr import RESEARCH_USE
from cxr.dicom import codes
from cxr.dicom.carried import plain
from cxr.dicom.identity import carry_over, referenced_request, stamp
from cxr.dicom.sr import observer
from cxr.dicom.write import general_equipment, sign
from cxr.errors import ReportError
from cxr.provenance import Provenance, derived_uid

SERIES_NUMBER: Final = 9200
SERIES_DESCRIPTION: Final = f"Candor rejection note: {RESEARCH_USE}"
_WITH_PIXELS: Final = frozenset({"sc", "pm"})


@unique
class Rejection(Enum):
    """Why results are rejected: the document's title (PS3.16 CID 7010)."""

    PATIENT_SAFETY = codes.REJECTED_FOR_PATIENT_SAFETY
    QUALITY = codes.REJECTED_FOR_QUALITY


@dataclass(frozen=True, slots=True)
class Rejected:
    """A result that is rejected; ``kind`` as in :class:`cxr.case.WrittenObject`."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    kind: str


def rejection_note_uid(rejected: Sequence[Rejected], rejection: Rejection) -> str:
    """Derive the note's SOP Instance UID: the same results rejected for the same reason have the same note."""
    return derived_uid("rejection note", rejection.value.value, *sorted(item.sop_instance_uid for item in rejected))


def build_rejection_note(
    source: Dataset,
    rejected: Sequence[Rejected],
    rejection: Rejection,
    explanation: str,
    provenance: Provenance,
    time: datetime,
) -> KeyObjectSelectionDocument:
    """Reject results of one study.

    Parameters
    ----------
    source
        One of the results, or an image that they rest on: the note carries its patient and study.
    rejected
        All of them; they are of one study.
    explanation
        For a person who finds the note; no patient's data.
    provenance
        What makes the note, not what made the results.
    time
        Of the rejection, with a time zone.

    Raises
    ------
    ReportError
        Nothing is rejected.

    References
    ----------
    IHE RAD TF-2 4.66 (Rejection Note Stored); DICOM PS3.3 A.35.4, PS3.16 TID 2010.
    """
    if not rejected:
        raise ReportError("a rejection note names at least one result; there is none to reject")
    evidence = [_evidence(item, source) for item in sorted(rejected, key=lambda item: item.sop_instance_uid)]
    uid = rejection_note_uid(rejected, rejection)
    note = KeyObjectSelectionDocument(
        evidence=evidence,
        content=_content(evidence, rejection, explanation, provenance),
        series_instance_uid=derived_uid("rejection note series", uid),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        sop_instance_uid=uid,
        instance_number=1,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set=None,
        **general_equipment(provenance),
    )
    for item in note.ContentSequence:
        if item.ValueType in ("IMAGE", "COMPOSITE"):
            del item.ConceptNameCodeSequence  # TID 2010 has none; highdicom cannot do without before
    carry_over(note, source, image=False)
    request = referenced_request(source)
    if request is not None:
        note.ReferencedRequestSequence = [request]
    sign(note, provenance, time)
    stamp(note, time)
    return note


def _content(
    evidence: Sequence[Dataset], rejection: Rejection, explanation: str, provenance: Provenance
) -> KeyObjectSelection:
    """Make the content tree, TID 2010."""
    return KeyObjectSelection(
        document_title=rejection.value,
        referenced_objects=evidence,
        observer_device_context=observer(provenance),
        description=plain(f"{explanation} {RESEARCH_USE}."),
    )


def _evidence(item: Rejected, source: Dataset) -> Dataset:
    """Name an instance, without anybody's identity: highdicom logs and warns with the names that it is given."""
    named = Dataset()
    named.SOPClassUID, named.SOPInstanceUID = item.sop_class_uid, item.sop_instance_uid
    named.StudyInstanceUID, named.SeriesInstanceUID = source.StudyInstanceUID, item.series_instance_uid
    named.PatientID = named.PatientName = named.PatientBirthDate = named.PatientSex = None
    named.AccessionNumber = named.StudyID = named.StudyDate = named.StudyTime = None
    if item.kind in _WITH_PIXELS:
        named.Rows = named.Columns = 1  # how highdicom tells an IMAGE item from a COMPOSITE one
    return named
