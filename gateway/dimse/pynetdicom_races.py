"""Mend two races between the threads of a pynetdicom association.

Written against pynetdicom 3.0: ``tests/gateway/dimse/test_pynetdicom_races.py`` fails where another version does these
things otherwise.
"""

from __future__ import annotations

from typing import Any, Final

from pynetdicom.association import Association

_P_DATA_REQUEST: Final = "Evt9"
_SENDS_DATA: Final = ("Sta6", "Sta8")
"""PS3.8 9.2.3: the association is open, or the other side has asked for its release."""


def drop_late_data(association: Association) -> None:
    """Let an association drop what its own side still wants to send after it has ended.

    One thread writes messages and another owns the connection, so that the association may end in between: by an abort,
    or by a PDU that cannot be read. pynetdicom takes this for an error, at which the thread that owns the connection
    dies and leaves it open.

    Parameters
    ----------
    association
        Whose state machine this is.
    """
    dul = association.dul
    machine = dul.state_machine
    do_action = machine.do_action

    def do_what_is_possible(event: str) -> None:
        if event != _P_DATA_REQUEST or (machine.current_state in _SENDS_DATA and dul.to_provider_queue.qsize()):
            do_action(event)
        elif dul.to_provider_queue.qsize():  # an event may be there twice
            dul.to_provider_queue.get(block=False)

    machine.do_action = do_what_is_possible  # type: ignore[method-assign]


def keep_answers(association: Association) -> None:
    """Let an association leave the answer to whoever has sent the request.

    The thread of an association looks for requests of the other side, except while an answer is awaited. Where it was
    about to look when the wait began, pynetdicom lets it take the answer and throw it away.

    Parameters
    ----------
    association
        That we have opened.
    """
    dimse = association.dimse
    get_msg, waiting = dimse.get_msg, dimse.msg_queue

    def get(block: bool = False) -> Any:
        if block:
            return get_msg(block=True)
        with waiting.mutex:
            is_request = bool(waiting.queue) and getattr(waiting.queue[0][1], "is_valid_request", False)
            return waiting.queue.popleft() if is_request else (None, None)

    dimse.get_msg = get  # type: ignore[method-assign]
