"""Storage commitment: what is asked, and what each report leads to, on whichever association it comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from gateway.deliver.commitment import FailureReason, take
from gateway.deliver.commitment_request import Committer
from gateway.receive.receiver import Receiver
from gateway.settings import Settings
from gateway.store.schema import commitments, counters, deliveries, destinations
from gateway.store.spool import Spool
from gateway.store.states import Mode
from gateway.store.tokens import Tokens
from tests.gateway import stalled
from tests.gateway.archive import (
    STUDY,
    Archive,
    Sender,
    on_a_new_association,
    on_the_same_association,
    report,
    running,
)
from tests.gateway.conftest import Clock
from tests.gateway.stalled import finished, stalling
from tools.small_pacs import break_off

DAY_S = 86400.0


def silent(archive: Archive, event: Any) -> int:
    """Take the request and say no more."""
    return 0


@pytest.fixture
def sender(settings: Settings, database: sa.Engine, spool: Spool, clock: Clock) -> Sender:
    return Sender(settings, database, spool, clock)


@pytest.fixture
def committing(sender: Sender) -> Iterator[Callable[[Callable[..., int]], Archive]]:
    """Make an archive that does storage commitment in some way, with everything sent to it."""
    with running(Archive(commits=silent)) as archive:

        def begin(commits: Callable[..., int]) -> Archive:
            archive.commits = commits
            sender.towards(archive, commitment=True).both()
            sender.deliver()
            return archive

        yield begin


def committer(sender: Sender, patience_s: float = 0.0) -> Committer:
    return Committer(sender.database, sender.settings, sender.clock, patience_s=patience_s)


def test_what_is_sent_is_asked_for_once(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    assert sender.state_of_study() == "delivering"
    assert committer(sender).ask() == 1
    assert committer(sender).ask() == 0
    (action,) = archive.actions
    named = {(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in action.ReferencedSOPSequence}
    assert {uid for _, uid in named} == set(sender.column(deliveries.c.sop_instance_uid))
    assert len({sop_class for sop_class, _ in named}) == 2
    assert sender.column(commitments.c.transaction_uid) == [action.TransactionUID]
    assert sender.states() == ["sent", "sent"]


def test_the_transaction_is_in_the_tables_before_it_is_asked_for(sender: Sender, committing: Any) -> None:
    seen: list[list[str]] = []

    def look(archive: Archive, event: Any) -> int:
        seen.append(sender.column(commitments.c.transaction_uid))
        return 0

    archive = committing(look)
    committer(sender).ask()
    assert seen == [[archive.actions[0].TransactionUID]]


def test_a_report_on_the_same_association_is_taken(
    sender: Sender, committing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    committing(on_the_same_association)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        assert len(naps) < 6000, "it waits although the report is there"
        time.sleep(0.01)

    standing_still = SimpleNamespace(monotonic=lambda: 0.0, sleep=nap)  # its patience never ends
    monkeypatch.setattr("gateway.deliver.commitment_request.time", standing_still)
    assert committer(sender, patience_s=2.0).ask() == 1
    assert sender.states() == ["committed", "committed"]
    sender.deliver()  # nothing is due: it settles the study
    assert sender.state_of_study() == "delivered"


def test_a_report_on_a_new_association_is_taken_by_the_receiver(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    committer(sender).ask()
    receiver = Receiver(sender.settings, sender.database, sender.spool, Tokens(sender.spool.root), take, sender.clock)
    receiver.start()
    try:
        assert on_a_new_association(receiver.port, report(archive.actions[0])) == 0
        assert on_a_new_association(receiver.port, report(archive.actions[0])) == 0  # the same again
        nameless = report(archive.actions[0])
        del nameless.TransactionUID
        assert on_a_new_association(receiver.port, nameless) == 0x0115
    finally:
        receiver.stop(5)
    assert sender.states() == ["committed", "committed"]
    assert sender.column(commitments.c.answered) == [sender.clock()]
    counted = sender.rows(
        sa.select(counters.c.labels, counters.c.value).where(counters.c.name == "commitment_reports_total")
    )
    assert counted == [('destination="pacs",event="1"', 2.0)]


def test_a_malformed_report_on_the_same_association_changes_nothing(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    codes: list[int | None] = []

    def broken(archive: Archive, event: Any) -> int:
        information = report(archive.actions[-1], failed={archive.uids()[0]: 0x0112})
        del information.FailedSOPSequence[0].FailureReason

        def send() -> None:
            status, _ = event.assoc.send_n_event_report(
                information, 2, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            codes.append(status.get("Status"))

        threading.Timer(0.1, send).start()
        return 0

    archive.commits = broken
    committer(sender, patience_s=0.5).ask()
    assert codes == [0x0115]
    assert sender.states() == ["sent", "sent"]


def test_a_report_that_cannot_be_written_is_not_acknowledged(
    sender: Sender, committing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise sa.exc.OperationalError("", None, Exception())

    monkeypatch.setattr("gateway.deliver.commitment_request.take", fails)
    committing(silent)
    event = SimpleNamespace(event_type=1, event_information=None)
    assert committer(sender)._take(event) == (0x0110, None)


def test_a_failed_instance_is_sent_again(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    committer(sender).ask()
    overlay, first = archive.uids()[0], archive.actions[0]
    take(sender.database, 2, report(first, failed={overlay: 0x0112}), sender.clock())
    assert sender.states() == ["committed", "due"]
    assert "no such object instance (0x0112)" in sender.delivery(overlay).reason
    assert sender.deliverer.requeue_uncommitted() == 1
    assert sender.deliverer.requeue_uncommitted() == 0
    assert sender.queue.queued == [(1, "pacs", 2, 5.0, "")]
    sender.clock.pass_s(5)
    sender.deliver(attempt=1)
    assert archive.uids()[-1] == overlay
    assert archive.contents[0] == archive.contents[-1]
    assert committer(sender).ask() == 1
    take(sender.database, 1, report(archive.actions[1]), sender.clock())
    assert sender.states() == ["committed", "committed"]


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (0x0110, "due"),
        (0x0112, "due"),
        (0x0213, "due"),
        (0x0131, "due"),
        (0x0122, "dead"),
        (0x0119, "dead"),
        (0x4242, "due"),
    ],
)
def test_only_a_failure_that_sending_again_cannot_mend_is_dead(
    sender: Sender, committing: Any, reason: int, state: str
) -> None:
    archive = committing(silent)
    committer(sender).ask()
    overlay = archive.uids()[0]
    take(sender.database, 2, report(archive.actions[0], failed={overlay: reason}), sender.clock())
    assert sender.states() == ["committed", state]
    assert sender.delivery(overlay).state == state


def test_what_was_recalled_stays_so_whatever_is_reported(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    committer(sender).ask()
    sender.change("deliveries", state="recalled")
    take(sender.database, 2, report(archive.actions[0], failed={archive.uids()[0]: 0x0112}), sender.clock())
    assert sender.states() == ["recalled", "recalled"]


def test_an_unknown_failure_reason_is_a_processing_failure() -> None:
    assert FailureReason.of(0x4242) is FailureReason.PROCESSING_FAILURE
    assert FailureReason.of(0x0112) is FailureReason.NO_SUCH_INSTANCE


def test_what_is_not_answered_is_asked_for_again_under_a_new_uid(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    committer(sender).ask()
    sender.clock.pass_s(599)
    assert committer(sender).ask() == 0
    sender.clock.pass_s(1)
    assert committer(sender).ask() == 1
    first, second = archive.actions
    assert first.TransactionUID != second.TransactionUID
    take(sender.database, 1, report(first), sender.clock())  # late, and good news all the same
    assert sender.states() == ["committed", "committed"]


def test_a_late_report_of_a_failure_decides_nothing(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    committer(sender).ask()
    sender.clock.pass_s(600)
    committer(sender).ask()
    take(sender.database, 2, report(archive.actions[0], failed={archive.uids()[0]: 0x0112}), sender.clock())
    assert sender.states() == ["committed", "sent"]


def test_what_a_report_leaves_out_is_asked_for_again(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    committer(sender).ask()
    overlay, document = archive.uids()
    take(sender.database, 1, report(archive.actions[0], committed=[document]), sender.clock())
    sender.clock.pass_s(600)
    committer(sender).ask()
    assert [item.ReferencedSOPInstanceUID for item in archive.actions[1].ReferencedSOPSequence] == [overlay]


def test_a_report_of_an_unknown_transaction_changes_nothing(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    committer(sender).ask()
    action = archive.actions[0]
    action.TransactionUID = "1.2.3"
    take(sender.database, 1, report(action), sender.clock())
    assert sender.states() == ["sent", "sent"]


def test_a_report_speaks_only_of_what_was_asked(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    committer(sender).ask()
    other = sender.result("sc", version=2, state="sent")
    information = report(archive.actions[0])
    information.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = other
    take(sender.database, 1, information, sender.clock())
    assert sender.delivery(other).state == "sent"


def test_where_nobody_answers_the_call_the_request_is_forgotten(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    sender.towards(Archive(port=1), commitment=True)
    assert committer(sender).ask() == 0
    assert sender.rows(sa.select(commitments)) == []
    assert sender.column(destinations.c.failures) == [1]
    sender.towards(archive, commitment=True)
    assert committer(sender).ask() == 1


def test_an_open_breaker_holds_requests_back(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    sender.change("destinations", failures=3, open_until=sender.clock() + 30)
    assert committer(sender).ask() == 0
    assert archive.actions == []


@pytest.mark.parametrize("answer", [0x0110, 0x0122])
def test_a_refused_request_is_made_again_after_the_time_out(sender: Sender, committing: Any, answer: int) -> None:
    archive = committing(lambda archive, event: answer)
    assert committer(sender).ask() == 0
    assert f"0x{answer:04X}" in sender.column(destinations.c.reason)[0]
    assert committer(sender).ask() == 0
    sender.clock.pass_s(600)
    committer(sender).ask()
    assert len(archive.actions) == 2


def test_no_answer_to_the_request_is_asked_again_too(sender: Sender, committing: Any) -> None:
    def gone(archive: Archive, event: Any) -> int:
        break_off(event.assoc)
        return 0

    committing(gone)
    assert committer(sender).ask() == 0
    assert sender.column(destinations.c.reason) == ["storage commitment: no answer"]


def test_an_archive_without_it_is_told_of(sender: Sender) -> None:
    with running(Archive()) as archive:
        sender.towards(archive, commitment=True).both()
        sender.deliver()
        assert committer(sender).ask() == 0
    assert "does not offer it" in sender.column(destinations.c.reason)[0]
    assert sender.states() == ["sent", "sent"]


def test_what_is_never_committed_to_is_given_up(sender: Sender, committing: Any) -> None:
    committing(silent)
    committer(sender).ask()
    sender.clock.pass_s(14 * DAY_S + 1)
    committer(sender).ask()
    assert sender.states() == ["dead", "dead"]
    assert "not committed to within 14 days" in sender.column(deliveries.c.reason)[0]


def test_transactions_are_forgotten_when_no_report_can_matter(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    committer(sender).ask()
    take(sender.database, 1, report(archive.actions[0]), sender.clock())
    sender.clock.pass_s(27 * DAY_S)
    assert committer(sender).forget() == 0
    sender.clock.pass_s(2 * DAY_S)
    assert committer(sender).forget() == 1
    assert committer(sender).forget() == 0


def test_two_processes_do_not_ask_for_the_same(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    other = committer(sender)
    mine = committer(sender)
    begin = mine._begin

    def overtaken(destination: Any) -> Any:
        other.ask()
        return begin(destination)

    mine._begin = overtaken
    assert mine.ask() == 0
    assert len(archive.actions) == 1


def test_a_destination_without_commitment_is_not_asked(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    sender.towards(archive)
    assert committer(sender).ask() == 0
    sender.deliver()
    assert sender.state_of_study() == "delivered"
    assert sender.column(deliveries.c.transaction_uid) == [None, None]
    assert STUDY not in archive.uids()


def test_a_report_of_one_destination_says_nothing_of_another(sender: Sender, committing: Any) -> None:
    """Each has its own copy: what one has committed to, the other may not have."""
    archive = committing(silent)
    uids = archive.uids()
    for uid in uids:
        copy = {"sop_instance_uid": uid, "destination": "other", "state": "sent", "due": sender.clock(), "tries": 1}
        sender.execute(deliveries.insert().values(copy | {"reason": ""}))
    committer(sender).ask()
    take(sender.database, 2, report(archive.actions[0], failed={uids[0]: 0x0122}), sender.clock())
    assert sender.column(deliveries.c.state, deliveries.c.destination == "other") == ["sent", "sent"]
    assert sorted(sender.column(deliveries.c.state, deliveries.c.destination == "pacs")) == ["committed", "dead"]


def test_nothing_is_asked_for_in_shadow_mode(sender: Sender, committing: Any) -> None:
    archive = committing(silent)
    sender.enter(Mode.SHADOW)
    assert committer(sender).ask() == 0
    assert archive.actions == []
    sender.enter(Mode.LIVE)
    assert committer(sender).ask() == 1


@pytest.mark.parametrize("name", ["HALF_ACCEPT", "HALF_ANSWER", "DRIPPING_ANSWER"])
def test_an_archive_that_stalls_does_not_hold_the_request(sender: Sender, committing: Any, name: str) -> None:
    archive = committing(silent)
    with stalling(archive.port, getattr(stalled, name)) as peer:
        sender.towards(Archive(port=peer.port), commitment=True).with_deliver(timeout_s=0.5)
        assert finished(committer(sender).ask) == 0
    assert sender.states() == ["sent", "sent"]
