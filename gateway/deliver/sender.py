"""C-STORE of result files as they lie in the spool, and what each answer means for the next try.

A file goes out as it is, without being decoded (:mod:`gateway.dimse.association`). Only an archive that takes nothing
but Implicit VR Little Endian, DICOM's default, gets it re-encoded; the values stay.

===============================================  ==========  ==============================================
answer                                           verdict     why
===============================================  ==========  ==============================================
success, a warning (0xBxxx and three others)     TAKEN       it is stored (PS3.4 B.2.3, PS3.7 C.3 to C.4)
duplicate SOP instance (0x0111)                  TAKEN       it has been stored before: same UID, same bytes
data set does not match (0xA9xx), cannot         NEVER       the same bytes will be refused again
understand (0xCxxx), a refused SOP class ...
SOP class or transfer syntax not negotiated      NEVER       it is not what this archive takes
out of resources (0xA7xx), anything else, none   LATER       nothing says that it will be refused again
===============================================  ==========  ==============================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from enum import Enum, unique
from hashlib import file_digest
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from gateway.dimse.status import Status, explain

_WARNINGS: Final = (Status.OPTIONAL_UNSUPPORTED, Status.ATTRIBUTE_LIST_ERROR, Status.VALUE_OUT_OF_RANGE)
_STORED: Final = frozenset(status.code for status in (*_WARNINGS, Status.DUPLICATE_INSTANCE))
"""Beside the warnings 0xBxxx."""

_REFUSALS: Final = frozenset(
    status.code
    for status in (
        Status.INVALID_OBJECT_INSTANCE,
        Status.CLASS_INSTANCE_CONFLICT,
        Status.CLASS_NOT_SUPPORTED,
        Status.NOT_AUTHORIZED,
    )
)

_FOR_NOW: Final = frozenset({1, 2})
"""Results of a presentation context that speak of the user or of no reason, not of what is taken (PS3.8 9.3.3.2)."""


@unique
class Verdict(Enum):
    """What an answer means for an object."""

    TAKEN = "taken"
    LATER = "later"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one object.

    Parameters
    ----------
    status
        Of the C-STORE response; None where there was none.
    reason
        For a person; "" for success. It holds nothing from the object or the peer.
    """

    verdict: Verdict
    status: int | None = None
    reason: str = ""


NO_ANSWER: Final = Answer(Verdict.LATER, reason="the association ended without an answer")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One object to send; its file is what ``sha256`` says, or it does not go out."""

    sop_instance_uid: str
    sop_class_uid: str
    path: Path
    sha256: str

    @property
    def transfer_syntax_uid(self) -> str:
        """As its file says."""
        return str(read_file_meta_info(self.path).TransferSyntaxUID)

    def unfit(self) -> Answer | None:
        """Say why it cannot be sent: the file is gone, or is not what was made."""
        try:
            with self.path.open("rb") as content:
                whole = file_digest(content, "sha256").hexdigest() == self.sha256
        except OSError:
            return Answer(Verdict.NEVER, reason="its file is not in the spool any more")
        return None if whole else Answer(Verdict.NEVER, reason="its file is not what was written: the disk is damaged")


def judge(status: int | None) -> Answer:
    """Say what a C-STORE response means for the object; None stands for no response."""
    if status is None:
        return NO_ANSWER
    if status == Status.SUCCESS.code:
        return Answer(Verdict.TAKEN, status)
    if status in _STORED or status >> 12 == 0xB:
        return Answer(Verdict.TAKEN, status, explain(status))
    never = status in _REFUSALS or status >> 8 == 0xA9 or status >> 12 == 0xC
    return Answer(Verdict.NEVER if never else Verdict.LATER, status, explain(status))


def contexts(outgoing: Sequence[Outgoing]) -> list[PresentationContext]:
    """List what to negotiate: each SOP class in the syntax of its files, and in the default one where that can be."""
    pairs: dict[tuple[str, str], None] = {}
    for item in outgoing:
        syntax = item.transfer_syntax_uid
        pairs[item.sop_class_uid, syntax] = None
        if syntax == ExplicitVRLittleEndian:
            pairs[item.sop_class_uid, ImplicitVRLittleEndian] = None
    return [build_context(*pair) for pair in pairs]


def send_all(association: Association, outgoing: Sequence[Outgoing]) -> Iterator[tuple[Outgoing, Answer]]:
    """Send objects over one association, and give the answer for each.

    After one without an answer nothing more is sent: the association is ending, whether pynetdicom has noticed or not.
    """
    ending = False
    for item in outgoing:
        answer = NO_ANSWER if ending or not association.is_established else _send(association, item)
        ending = answer == NO_ANSWER
        yield item, answer


def _send(association: Association, item: Outgoing) -> Answer:
    accepted = {(context.abstract_syntax, context.transfer_syntax[0]) for context in association.accepted_contexts}
    if (item.sop_class_uid, item.transfer_syntax_uid) in accepted:
        content: Path | Dataset = item.path
    elif (item.sop_class_uid, ImplicitVRLittleEndian) in accepted:
        content = dcmread(item.path)
    else:
        results = {each.result for each in association.rejected_contexts if each.abstract_syntax == item.sop_class_uid}
        return refused(results)
    try:
        return judge(association.send_c_store(content).get("Status"))
    except RuntimeError:  # the association has ended since it was looked at
        return NO_ANSWER


def refused(results: Set[int | None]) -> Answer:
    """Say what it means that no presentation context was accepted, by the results of those that were offered."""
    if results & _FOR_NOW:
        return Answer(Verdict.LATER, reason="the destination refuses this SOP class for now")
    return Answer(Verdict.NEVER, reason="the destination takes neither this SOP class nor this transfer syntax")
