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
from dataclasses import dataclass, field
from enum import Enum, unique
from hashlib import file_digest
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from candor.study.errors import SettingsError
from gateway.dimse.association import NoAssociation, NothingAccepted, Remote, associated
from gateway.dimse.status import Status, explain
from gateway.dimse.watch import IsStopped, never

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

_MOST_BROKEN: Final = 3
"""So many associations may end without an answer in one delivery; what was not tried by then comes next time, first."""

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


@dataclass
class Outcome:
    """What became of a delivery.

    Parameters
    ----------
    answers
        By SOP Instance UID. An object without one was not tried.
    unreachable
        Why no association could be opened; "" where each could.
    is_reached
        An association was opened.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    unreachable: str = ""
    is_reached: bool = False

    @property
    def has_answered(self) -> bool:
        """Whether the destination answered for any object."""
        return any(answer.status is not None for answer in self.answers.values())

    @property
    def has_broken(self) -> bool:
        """Whether an association ended without an answer."""
        return NO_ANSWER in self.answers.values()


def send(
    remote: Remote, calling_ae_title: str, outgoing: Sequence[Outgoing], timeout_s: float, is_stopped: IsStopped = never
) -> Outcome:
    """Send objects in their order, each by itself: after one that ends the association, the others go over a new one.

    Parameters
    ----------
    remote
        The destination.
    calling_ae_title
        Our own.
    outgoing
        The objects.
    timeout_s
        Longest wait for a connection, and for an answer.
    is_stopped
        Returns whether all sending is to end at once.
    """
    outcome = Outcome({item.sop_instance_uid: answer for item in outgoing if (answer := item.unfit())})
    answers, broken = outcome.answers, 0
    left = [item for item in outgoing if item.sop_instance_uid not in answers]
    while left and broken < _MOST_BROKEN and not is_stopped():
        try:
            with associated(remote, calling_ae_title, contexts(left), timeout_s, is_stopped=is_stopped) as association:
                outcome.is_reached = True
                for item, answer in send_all(association, left):
                    answers[item.sop_instance_uid] = answer
                    if is_stopped():
                        break
        except NothingAccepted as error:
            answers |= {item.sop_instance_uid: refused(error.results) for item in left}
        except (NoAssociation, SettingsError) as error:
            outcome.unreachable = str(error)
            answers |= {item.sop_instance_uid: Answer(Verdict.LATER, reason=outcome.unreachable) for item in left}
        else:
            broken += 1
        left = [item for item in left if item.sop_instance_uid not in answers]
    return outcome


def send_all(association: Association, outgoing: Sequence[Outgoing]) -> Iterator[tuple[Outgoing, Answer]]:
    """Send objects over one association, and yield the answer for each; the one without an answer is the last.

    Parameters
    ----------
    association
        Established.
    outgoing
        The objects.
    """
    for item in outgoing:
        answer = _send(association, item) if association.is_established else NO_ANSWER
        yield item, answer
        if answer == NO_ANSWER:  # the association is ending, whether pynetdicom has noticed or not
            return


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
