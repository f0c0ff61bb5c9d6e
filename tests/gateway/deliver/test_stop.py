"""The emergency stop: in shadow mode nothing leaves the node, whatever was due or under way."""

from __future__ import annotations

import threading

import sqlalchemy as sa

from candor.dicom.write.rejection_note import Rejection
from gateway.deliver.recall import answers_to, recall
from gateway.jobs.jobs import Jobs
from gateway.jobs.lease import new_executor_id
from gateway.processes.deliver import deliver
from gateway.settings import Settings
from gateway.store.mode import count_held, set_mode
from gateway.store.spool import Spool
from gateway.store.states import Mode
from gateway.store.study import Study
from tests.gateway.archive import STUDY, Archive, Sender, running
from tests.gateway.conftest import Clock
from tests.gateway.stalled import PATIENCE_S

STUDIES = 60
EACH_S = 0.1
LANES = 4


def test_what_is_due_stays_due_and_goes_when_the_node_is_live_again(sender: Sender, archive: Archive) -> None:
    report, overlay = sender.both()
    sender.enter(Mode.SHADOW)
    sender.deliver()
    assert archive.associations == 0
    assert sender.states() == ["due", "due"]
    assert sender.queue.queued == []  # `live` queues it
    assert count_held(sender.database) == 2
    sender.enter(Mode.LIVE)
    sender.deliver()
    assert archive.uids() == [report, overlay]


def test_a_job_that_comes_before_the_look_at_the_mode_sends_all_the_same(sender: Sender, archive: Archive) -> None:
    report, overlay = sender.both()
    sender.enter(Mode.SHADOW)
    sender.stop.look(sender.database)
    sender.enter(Mode.LIVE)
    sender.deliver()
    assert archive.uids() == [report, overlay]


def test_a_stop_in_the_middle_of_a_study_ends_it_there(sender: Sender, archive: Archive) -> None:
    sender.study()
    report, key_objects = sender.result("sr"), sender.result("ko")

    def stop(_: str) -> None:
        sender.enter(Mode.SHADOW)
        sender.stop.look(sender.database)

    archive.on_store = stop
    sender.deliver()
    assert key_objects not in archive.uids()
    assert sender.delivery(key_objects).state == "due"
    assert sender.delivery(report).state in ("due", "sent")


def test_the_rejection_note_waits_too_unless_it_is_to_go(sender: Sender, archive: Archive, spool: Spool) -> None:
    sender.both()
    sender.deliver()
    sender.enter(Mode.SHADOW)
    sender.stop.look(sender.database)
    (found,) = answers_to(sender.database, STUDY)
    recall(sender.database, spool, sender.queue, found, Rejection.QUALITY, "ann", sender.clock())
    sender.deliver()
    assert len(archive.received) == 2
    sender.change("deliveries", despite_shadow=1)
    sender.deliver()
    assert len(archive.received) == 3


def test_a_recall_can_say_that_its_note_is_to_go(sender: Sender, archive: Archive, spool: Spool) -> None:
    sender.both()
    sender.deliver()
    sender.enter(Mode.SHADOW)
    (found,) = answers_to(sender.database, STUDY)
    recall(sender.database, spool, sender.queue, found, Rejection.QUALITY, "ann", sender.clock(), despite_shadow=True)
    sender.deliver()
    assert len(archive.received) == 3


class Many:
    """A deliverer's process that has a lot to send to two destinations, "pacs" and "second"."""

    def __init__(self, sender: Sender, studies: int = STUDIES) -> None:
        self.sender, self.stopping = sender, threading.Event()
        jobs = Jobs(sender.database, sender.settings, new_executor_id())
        for number in range(studies):
            uid = sender.study(uid=f"{STUDY[:50]}.{100 + number}")
            sender.result("sr", study=uid)
            with sender.database.begin() as connection:
                jobs.enqueue_delivery(connection, Study(uid, 1), "pacs")
        jobs.stop()
        arguments = (sender.settings, sender.database, sender.spool, self.stopping)
        self.thread = threading.Thread(target=deliver, args=arguments, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


def test_shadow_ends_all_sending_under_load(
    settings: Settings, database: sa.Engine, spool: Spool, clock: Clock
) -> None:
    """Of what is due, no more goes out than fits into two seconds; everything else stays here."""
    begun, pause = threading.Event(), threading.Event()

    def take(_: str) -> None:
        if len(slow.received) >= LANES:
            begun.set()
        pause.wait(EACH_S)

    with running(Archive(on_store=take)) as slow:
        sender = Sender(settings, database, spool, clock).towards(slow)
        clock.time = 0.0  # all is due
        many = Many(sender)
        assert begun.wait(PATIENCE_S)
        before = len(slow.received)
        set_mode(database, Mode.SHADOW, "ann", clock())
        pause.wait(2.0)
        stopped = len(slow.received)
        pause.wait(2.0)
        assert len(slow.received) == stopped
        assert stopped - before < LANES * 2.0 / EACH_S
        assert stopped < STUDIES
        assert count_held(database) >= STUDIES - stopped
        many.stop()
