"""The races between pynetdicom's threads: brought about, and without harm."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO, N_EVENT_REPORT
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification

from gateway.dimse.association import Remote, associated
from gateway.receive.receiver import Receiver
from gateway.settings import Settings
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens
from tests.gateway.archive import Archive, running
from tests.gateway.network import association as associate

PATIENCE_S = 600.0
INVALID_PDU = "Evt19"


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Threads that died of an error."""
    failures: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    return failures


@pytest.fixture
def opened() -> Iterator[Association]:
    """An association of the node with an archive."""
    with running(Archive(classes=(Verification,))) as archive:
        remote = Remote("ARCHIVE", "127.0.0.1", archive.port, None)
        with associated(remote, "NODE", [build_context(Verification)], PATIENCE_S) as opened:
            yield opened


def wait_for(happened: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def end_while_it_sends(association: Association) -> None:
    """End an association by an invalid PDU while two messages wait to be sent."""
    dul, send = association.dul, association.dul._send

    def send_late(pdu: Any) -> None:
        if isinstance(pdu, A_ABORT_RQ):
            for _ in range(2):
                late = P_DATA()
                late.presentation_data_value_list.append((1, b"\x03late"))
                dul.send_pdu(late)
        send(pdu)

    dul._send = send_late  # type: ignore[method-assign]
    dul.event_queue.put(INVALID_PDU)
    wait_for(lambda: not dul.is_alive())


def test_what_is_sent_after_the_end_is_dropped(opened: Association, failures: list[Any]) -> None:
    end_while_it_sends(opened)
    assert failures == []
    wait_for(lambda: opened.is_aborted)


def test_what_the_receiver_answers_after_the_end_is_dropped(
    settings: Settings, database: Any, spool: Spool, tokens: Tokens, failures: list[Any]
) -> None:
    receiver = Receiver(settings, database, spool, tokens, lambda *_: None)
    receiver.start()
    try:
        with associate(receiver.port):
            assert receiver._server is not None
            (taken,) = receiver._server.active_associations
            end_while_it_sends(taken)
            wait_for(lambda: not taken.is_alive())
    finally:
        receiver.stop(0.0)
    assert failures == []


def test_an_answer_is_left_to_whoever_waits_for_it(opened: Association) -> None:
    """The thread of the association looks, as it does where it was about to when the wait began."""
    answer, request = C_ECHO(), N_EVENT_REPORT()
    answer.MessageIDBeingRespondedTo, answer.Status = 1, 0
    request.MessageID, request.EventTypeID = 1, 1
    request.AffectedSOPClassUID = request.AffectedSOPInstanceUID = Verification
    opened._reactor_checkpoint.clear()  # pynetdicom's own thread does not look now
    wait_for(lambda: opened._is_paused)
    opened.dimse.msg_queue.put((1, answer))
    opened.dimse.msg_queue.put((1, request))
    assert opened.dimse.get_msg(block=False) == (None, None)
    assert opened.dimse.get_msg(block=True) == (1, answer)
    assert opened.dimse.get_msg(block=False) == (1, request)
    assert opened.dimse.get_msg(block=False) == (None, None)
    opened._reactor_checkpoint.set()
