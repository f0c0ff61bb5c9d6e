"""Send a file's data set in large writes: for pynetdicom each PDU is an event of its own, and archives take small PDUs.

The command goes out as ever. The data set, which is sent as it lies in the file, is cut into PDUs (PS3.8 9.3.5), and
many of them at a time pass through pynetdicom's state machine as one primitive. The thread that owns the socket still
does all of the sending, so that TLS, aborts and the order of messages are what they were.

Written against pynetdicom 3.0: ``tests/gateway/dimse/test_framing.py`` fails where another version does these things
otherwise.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA

from gateway.dimse.watch import Watch

_P_DATA_TF: Final = 0x04
_MORE, _LAST, _LAST_OF_COMMAND = 0x00, 0x02, 0x03
"""Message control headers (PS3.8 E.2)."""

_WRITE: Final = 1 << 20
_LARGEST_PDU: Final = 1 << 20
"""Where the other side sets no limit."""

_AHEAD: Final = 4
"""Writes that wait for the socket; what is beyond stays on the disk."""

_PAUSE_S: Final = 0.0005


class Frames(bytes):
    """Several P-DATA-TF PDUs, one after the other."""


class FramingDimse(DIMSEServiceProvider):
    """pynetdicom's message provider, but for the data sets of files. Each message gets its limit by the clock.

    Parameters
    ----------
    association
        The association that the messages go out on.
    watch
        Ends it when a message takes too long.
    """

    def __init__(self, association: Association, watch: Watch) -> None:
        super().__init__(association)
        self._watch = watch

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message.

        Parameters
        ----------
        primitive
            A DIMSE primitive of pynetdicom: a request, or our answer to one.
        context_id
            Of the presentation context.
        """
        self._watch.allow()
        source: Any = primitive._dataset_path if isinstance(primitive, C_STORE) else None
        if source is None:
            super().send_msg(primitive, context_id)
            return
        path, offset = source
        message = C_STORE_RQ()
        message.primitive_to_message(primitive)
        for fragment in message.encode_msg(context_id, self.maximum_pdu_size):
            self.dul.send_pdu(fragment)
            if fragment.presentation_data_value_list[0][1][0] == _LAST_OF_COMMAND:
                break
        for written in frames(path, offset, context_id, self.maximum_pdu_size):
            self._await_room(_AHEAD)
            self.dul.send_pdu(_primitive(written))
        self._await_room(0)  # the wait for the answer begins when all is sent

    def _await_room(self, ahead: int) -> None:
        """Wait until only so many writes are left to do, or the association has ended."""
        while self.dul.to_provider_queue.qsize() > ahead and self.dul.is_alive():
            time.sleep(_PAUSE_S)


def install(association: Association, watch: Watch) -> None:
    """Let an established association send files in large writes, and each message within its limit.

    Parameters
    ----------
    association
        Established, and idle.
    watch
        The association's.
    """
    association.dimse = FramingDimse(association, watch)
    dul, send = association.dul, association.dul._send

    def send_frames(pdu: Any) -> None:
        values = pdu.presentation_data_value_items if isinstance(pdu, P_DATA_TF) else []
        if values and isinstance(values[0].presentation_data_value, Frames) and dul.socket is not None:
            dul.socket.send(memoryview(values[0].presentation_data_value))  # type: ignore[arg-type]
        else:
            send(pdu)
        if values:
            watch.allow()

    dul._send = send_frames  # type: ignore[method-assign]


def frames(path: Path, offset: int, context_id: int, maximum_pdu: int) -> Iterator[Frames]:
    """Cut a file from ``offset`` on into PDUs, some for each write.

    Parameters
    ----------
    path
        The file.
    offset
        Where its data set begins, in bytes.
    context_id
        Of the presentation context.
    maximum_pdu
        What the other side takes, in bytes without the PDU's own header; 0 for no limit (PS3.8 D.1.1).
    """
    size = (maximum_pdu or _LARGEST_PDU) - 6
    at_once = max(1, _WRITE // size)
    with path.open("rb") as file:
        left = file.seek(0, 2) - file.seek(offset)
        while left > 0:
            parts: list[bytes] = []
            for _ in range(at_once):
                data = file.read(min(size, left))
                left -= len(data)
                control = _LAST if left == 0 else _MORE
                parts += (
                    struct.pack(">BBLLBB", _P_DATA_TF, 0, len(data) + 6, len(data) + 2, context_id, control),
                    data,
                )
                if left == 0:
                    break
            yield Frames(b"".join(parts))


def _primitive(written: Frames) -> P_DATA:
    primitive = P_DATA()
    primitive.presentation_data_value_list.append((1, written))
    return primitive
