"""Rejection notes: Key Object Selection documents that make an archive hide results of Candor (IHE IOCM)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum, unique
from typing import Final

from highdicom.ko import KeyObjectSelectionDocument
from pydicom import Dataset

from candor import RESEARCH_USE
from candor.dicom.shared import codes
from candor.dicom.write.key_object_document import Identity, Named, Statement, build_document
from candor.study.errors import ReportError
from candor.study.provenance import Provenance, derived_uid
from candor.study.result_object import ResultObject
from candor.words.texts import ENGLISH

SERIES_NUMBER: Final = 9200
SERIES_DESCRIPTION: Final = f"Candor rejection note: {RESEARCH_USE}"


@unique
class Rejection(Enum):
    """Why results are rejected: the document's title (PS3.16 CID 7010)."""

    PATIENT_SAFETY = codes.REJECTED_FOR_PATIENT_SAFETY
    QUALITY = codes.REJECTED_FOR_QUALITY
    INCORRECT_WORKLIST_ENTRY = codes.INCORRECT_WORKLIST_ENTRY
    RETENTION_EXPIRED = codes.RETENTION_EXPIRED


_MODIFIERS: Final = {Rejection.QUALITY: codes.OTHER_FAILURE}
"""The title needs a modifier of CID 7011, whose reasons are about acquisition; the description has the real one."""


def rejection_note_uid(rejected: Sequence[ResultObject], rejection: Rejection) -> str:
    """Return the note's SOP Instance UID; the same results and reason give the same one.

    Parameters
    ----------
    rejected
        The results, in any order.
    rejection
        The reason.
    """
    return derived_uid("rejection note", rejection.value.value, *sorted(item.sop_instance_uid for item in rejected))


def build_rejection_note(
    source: Dataset,
    rejected: Sequence[ResultObject],
    rejection: Rejection,
    explanation: str,
    provenance: Provenance,
    time: datetime,
) -> KeyObjectSelectionDocument:
    """Return a note that rejects results of one study.

    Parameters
    ----------
    source
        The attributes of one of the results or of an image, from which patient and study are copied.
    rejected
        The results, all of one study.
    rejection
        The reason.
    explanation
        A text for people; it holds no patient's data.
    provenance
        What makes the note, not what made the results.
    time
        The time of the rejection, with a time zone.

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
    uid = rejection_note_uid(rejected, rejection)
    return build_document(
        source,
        [Named.of(item) for item in sorted(rejected, key=lambda item: item.sop_instance_uid)],
        Statement(
            rejection.value, f"{explanation} {RESEARCH_USE}.", codes.concept(ENGLISH.code), _MODIFIERS.get(rejection)
        ),
        Identity(uid, 1, derived_uid("rejection note series", uid), SERIES_NUMBER, SERIES_DESCRIPTION),
        provenance,
        time,
    )
