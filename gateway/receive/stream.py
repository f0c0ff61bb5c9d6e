"""The way of a C-STORE's data set from the network to the disk: written as it comes, within limits.

pynetdicom gathers a message in memory, in ``DIMSEMessage.data_set``. Here a file of the spool stands in its place, so
that memory stays flat whatever is sent. What is over a limit is read and thrown away, and the sender gets its answer.
What is no radiograph is thrown away too, and acknowledged.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from pydicom.uid import DeflatedExplicitVRLittleEndian
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage

from candor.dicom.read.file import MALFORMED
from candor.dicom.shared.attributes import is_uid
from candor.files.privacy import name_of
from candor.study.errors import CandorError
from gateway.dimse.contexts import is_ignored
from gateway.dimse.header import part_10_header
from gateway.dimse.status import NotTaken, Status
from gateway.logs import log_event
from gateway.settings import Caller, Settings
from gateway.store.spool import Part, Spool

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from pynetdicom.association import Association
    from pynetdicom.pdu_primitives import P_DATA

_MIB: Final = 1 << 20
_GIB: Final = 1 << 30
_LONGEST_REPORT: Final = 4 * _MIB
"""Of a message that is no C-STORE: a storage commitment report of some ten thousand instances."""

_LONGEST_IGNORED: Final = 64 * _GIB
"""Of an object that is thrown away and acknowledged; pictures of whole slides have some gigabytes."""

_LONGEST_COMMAND: Final = 1 << 16
"""Bytes of a command set; those of the services that we offer have some hundred."""

_INVALID_PDU: Final = "Evt19"
"""PS3.8 9.2.3: makes the state machine abort the association."""

ENDLESS: Final = "the message does not end"

_PIPELINED: Final = 8
"""Messages that a peer may have under way before it hears an answer; we negotiate one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where receiving ends.

    Parameters
    ----------
    spool
        Where images go.
    object_bytes
        The setting ``receive.max_object_mib``.
    reserve_bytes
        The setting ``keep.reserve_gib``.
    keeps_others
        Whether objects that are no radiographs are kept (``receive.other_objects``).
    """

    spool: Spool
    object_bytes: int
    reserve_bytes: int
    keeps_others: bool = False

    @classmethod
    def of(cls, settings: Settings, spool: Spool) -> Limits:
        """Read the limits from the settings.

        Parameters
        ----------
        settings
            All of the node's.
        spool
            Where images go.
        """
        receive = settings.receive
        reserve_bytes = int(settings.keep.reserve_gib * _GIB)
        return cls(spool, receive.max_object_mib * _MIB, reserve_bytes, receive.other_objects == "keep")

    def begin(self) -> Part:
        """Open a part, unless the disk is too full for one more image.

        Raises
        ------
        NotTaken
            ``OUT_OF_RESOURCES``: the reserve is reached.
        OSError
            The spool cannot be written.
        """
        if self.spool.free_bytes() < self.reserve_bytes:
            raise NotTaken(Status.OUT_OF_RESOURCES, "the disk is down to its reserve")
        return self.spool.begin()


class Incoming(BytesIO):
    """The data set of one message, on its way to the disk.

    Parameters
    ----------
    message
        Whose command set is known by the time that its data set comes.
    association
        For the transfer syntax that was negotiated.
    limits
        See there.

    Attributes
    ----------
    ignored
        Whether it is no radiograph, so that it is acknowledged whatever becomes of it.
    dropped
        Whether it is ignored and nothing of it is stored.
    """

    def __init__(self, message: DIMSEMessage, association: Association, limits: Limits) -> None:
        super().__init__()
        self.began = False
        self.ignored = self.dropped = self._is_kept = False
        self.part: Part | None = None
        self.refusal: NotTaken | None = None
        self._thrown_away = 0
        self._message, self._association, self._limits = message, association, limits

    def write(self, data: ReadableBuffer, /) -> int:
        """Take the next fragment; never raises, since the sender is to get an answer."""
        self.began = True
        length = memoryview(data).nbytes
        if not self._is_given_up:
            try:
                self._take(memoryview(data))
            except NotTaken as refusal:
                self._refuse(refusal)
            except OSError:
                self._refuse(NotTaken(Status.OUT_OF_RESOURCES, "the spool cannot be written"))
        if self._is_given_up:
            self._thrown_away += length
        return length

    @property
    def _is_given_up(self) -> bool:
        return self.dropped or self.refusal is not None

    @property
    def is_endless(self) -> bool:
        """Whether more was thrown away than the largest object has: its sender waits for no answer."""
        longest = _LONGEST_IGNORED if self.ignored else max(self._limits.object_bytes, _LONGEST_REPORT)
        return self._thrown_away > longest

    def discard(self) -> None:
        """Leave nothing on the disk but what was kept."""
        if self.part is not None:
            self.part.discard()

    def _take(self, data: memoryview) -> None:
        if not isinstance(self._message, C_STORE_RQ):
            if self.tell() + len(data) > _LONGEST_REPORT:
                raise NotTaken(Status.RESOURCE_LIMITATION, "the message is too long")
            super().write(data)
            return
        if self.part is None:
            header = self._header()
            if self.ignored and not self._is_kept:
                self.dropped = True
                return
            self.part = self._limits.begin()
            self.part.write(header)
        if self.part.bytes + len(data) > self._limits.object_bytes:
            raise NotTaken(Status.CANNOT_UNDERSTAND, "the object is larger than receive.max_object_mib")
        self.part.write(data)

    def _header(self) -> bytes:
        command = self._message.command_set
        context = self._association._accepted_cx.get(self._message.context_id or 0)
        sop_class, instance = str(command.get("AffectedSOPClassUID")), str(command.get("AffectedSOPInstanceUID"))
        if context is None or sop_class != context.abstract_syntax:
            raise NotTaken(Status.CLASS_NOT_SUPPORTED, "the SOP class is not that of its presentation context")
        if not is_uid(instance):
            raise NotTaken(Status.CANNOT_UNDERSTAND, "the Affected SOP Instance UID is no UID")
        syntax = context.transfer_syntax[0]
        self.ignored = is_ignored(sop_class, syntax)
        self._is_kept = self._limits.keeps_others and syntax != DeflatedExplicitVRLittleEndian  # it has to be read
        return part_10_header(sop_class, instance, syntax)

    def _refuse(self, refusal: NotTaken) -> None:
        """Take no more of it; what is no radiograph is acknowledged all the same."""
        if self.ignored:
            self.dropped = True
        else:
            self.refusal = refusal
        self.discard()


@dataclass(frozen=True, slots=True)
class Peer:
    """The other side of an association that was admitted.

    Parameters
    ----------
    caller
        Its entry on the list; None where there is no list.
    calling_ae_title, called_ae_title, address
        As it gave them, and where it calls from.
    """

    caller: Caller | None
    calling_ae_title: str
    called_ae_title: str
    address: str

    @property
    def known_as(self) -> str | None:
        """The AE title for the log: of a caller on our list, never one that a stranger chose."""
        return self.caller.ae_title if self.caller else None


class StreamingDimse(DIMSEServiceProvider):
    """Lets data sets go to the disk as they come.

    Parameters
    ----------
    association
        Whose messages these are.
    limits
        For each of them.

    Attributes
    ----------
    peer
        Who was admitted; None until then, and nothing is taken from None.
    """

    def __init__(self, association: Association, limits: Limits) -> None:
        super().__init__(association)
        self.peer: Peer | None = None
        self._limits = limits
        self._current: Incoming | None = None
        self._under_way: list[Incoming] = []
        self._answered: list[Incoming] = []

    @property
    def busy(self) -> bool:
        """Whether a message is on its way or unanswered."""
        return bool(self._under_way)

    @property
    def storing(self) -> Incoming | None:
        """The data set of a C-STORE that is being received; None where a command is, or nothing."""
        return self._current if isinstance(self.message, C_STORE_RQ) else None

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the next fragments of a message; one that is none ends the association."""
        try:
            self._receive(primitive)
        except (*MALFORMED, CandorError) as error:
            log_event("message unreadable", "warning", kind=name_of(error))
            self.discard()
            self.dul.event_queue.put(_INVALID_PDU)

    def _receive(self, primitive: P_DATA) -> None:
        if self.message is None:
            self.message = DIMSEMessage()
            self._current = Incoming(self.message, self.assoc, self._limits)
            self.message.data_set = self._current
            if max(len(self._under_way), self.msg_queue.qsize()) >= _PIPELINED:
                raise NotTaken(Status.RESOURCE_LIMITATION, "the peer waits for no answer")
            self._under_way.append(self._current)
        current = self._current
        super().receive_primitive(primitive)
        if self.message is not None and self.message.encoded_command_set.tell() > _LONGEST_COMMAND:
            raise NotTaken(Status.RESOURCE_LIMITATION, "the command set is too long")
        if current is not None and current.is_endless:
            raise NotTaken(Status.RESOURCE_LIMITATION, ENDLESS)
        if self.message is None and current is not None and not current.began:
            self._under_way.remove(current)  # a command alone: nothing of it is left when it is answered

    def done(self, incoming: Incoming) -> None:
        """Leave nothing of a message but what was kept: its answer is known."""
        incoming.discard()
        self._answered.append(incoming)

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send an answer; the message that it answers is under way until then.

        Parameters
        ----------
        primitive
            A DIMSE primitive of pynetdicom.
        context_id
            Of the presentation context.
        """
        super().send_msg(primitive, context_id)
        while self._answered:
            incoming = self._answered.pop()
            if incoming in self._under_way:
                self._under_way.remove(incoming)

    def discard(self) -> None:
        """Leave nothing of the messages that were never answered."""
        while self._under_way:
            self._under_way.pop().discard()
