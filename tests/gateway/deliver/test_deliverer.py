"""Delivering: what goes out, what each answer leads to, and that nothing is lost between two tries."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydicom.uid import (
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)

from candor.study.result import Disposition
from gateway.deliver.deliverer import backoff, breaker
from gateway.deliver.delivery_outcome import settle_studies
from gateway.dimse.tls import server_context
from gateway.logs import configure_logs
from gateway.settings import Deliver, Settings, Tls
from gateway.store.schema import alarms, counters, deliveries, destinations, objects, studies
from gateway.store.spool import Spool
from gateway.store.study import Study
from tests.gateway import stalled
from tests.gateway.archive import STUDY, Archive, Sender, data_set_of, decoded, running
from tests.gateway.conftest import Clock
from tests.gateway.network import Authority
from tests.gateway.stalled import Stall, finished, stalling

DAY_S = 86400.0
OTHER = f"{STUDY[:-1]}7" if STUDY[-1] != "7" else f"{STUDY[:-1]}8"


def nobody(sender: Sender) -> Sender:
    """Let the destination's port be one where nobody listens."""
    return sender.towards(Archive(port=1))


def open_alarms(sender: Sender) -> list[tuple[str, str]]:
    query = sa.select(alarms.c.kind, alarms.c.subject).where(alarms.c.cleared.is_(None)).order_by(alarms.c.kind)
    return [(row[0], row[1]) for row in sender.rows(query)]


def test_every_object_goes_out_as_its_file_is_the_report_first(sender: Sender, archive: Archive) -> None:
    report, overlay = sender.both()
    sender.deliver()
    assert archive.uids() == [report, overlay]
    assert archive.contents == [data_set_of(sender.path(report)), data_set_of(sender.path(overlay))]
    assert archive.associations == 1
    assert sender.states() == ["sent", "sent"]
    row = sender.delivery(report)
    assert (row.status, row.tries, row.sent, row.reason) == (0, 1, sender.clock(), "")
    assert sender.state_of_study() == "delivered"
    assert sender.queue.queued == []


def test_each_object_goes_before_those_that_matter_less(sender: Sender, archive: Archive) -> None:
    sender.study()
    made = []
    for kind in ("pm", "sc", "gsps", "ko", "sr"):
        made.append(sender.result(kind))
        sender.clock.pass_s(1)
    sender.deliver()
    assert archive.uids() == made[::-1]


def test_a_study_that_was_not_assessed_ends_so(sender: Sender) -> None:
    sender.both()
    sender.change("studies", disposition=Disposition.NOT_ASSESSED.value)
    sender.deliver()
    assert sender.state_of_study() == "not assessed"
    assert sender.column(studies.c.finished) == [sender.clock()]


def test_a_second_job_for_the_same_sends_nothing(sender: Sender, archive: Archive) -> None:
    sender.both()
    sender.deliver()
    sender.deliver()
    assert len(archive.received) == 2


def test_a_refused_object_is_dead_at_once_and_the_others_go(sender: Sender, archive: Archive) -> None:
    archive.statuses = [0xA900]
    report, overlay = sender.both()
    sender.deliver()
    assert sender.delivery(report).state == "dead"
    assert sender.delivery(report).status == 0xA900
    assert "does not match" in sender.delivery(report).reason
    assert sender.delivery(overlay).state == "sent"
    assert open_alarms(sender) == [("dead_letter", "pacs")]
    assert sender.queue.queued == []
    assert sender.state_of_study() == "failed"
    assert "1 of its objects" in sender.column(studies.c.reason)[0]


def test_a_class_that_is_not_negotiated_is_dead_at_once(
    settings: Settings, database: sa.Engine, spool: Spool, clock: Clock
) -> None:
    with running(Archive(classes=(SecondaryCaptureImageStorage,))) as archive:
        sender = Sender(settings, database, spool, clock).towards(archive)
        report, overlay = sender.both()
        sender.deliver()
    assert sender.delivery(overlay).state == "sent"
    assert (sender.delivery(report).state, sender.delivery(report).status) == ("dead", None)
    assert "neither this SOP class" in sender.delivery(report).reason


def test_an_archive_that_takes_nothing_of_it_makes_it_dead_at_once(
    settings: Settings, database: sa.Engine, spool: Spool, clock: Clock
) -> None:
    with running(Archive(classes=(KeyObjectSelectionDocumentStorage,))) as archive:
        sender = Sender(settings, database, spool, clock).towards(archive)
        sender.both()
        sender.deliver()
    assert sender.states() == ["dead", "dead"]
    assert sender.column(destinations.c.failures) == []


def test_an_archive_of_the_default_syntax_alone_gets_it(
    settings: Settings, database: sa.Engine, spool: Spool, clock: Clock
) -> None:
    with running(Archive(syntaxes=(ImplicitVRLittleEndian,))) as archive:
        sender = Sender(settings, database, spool, clock).towards(archive)
        report, _ = sender.both()
        sender.deliver()
    assert sender.states() == ["sent", "sent"]
    assert archive.received[0] == (report, ImplicitVRLittleEndian)
    assert decoded(archive.contents[0]).SOPInstanceUID == report


def test_out_of_resources_is_tried_again_later(sender: Sender, archive: Archive) -> None:
    archive.statuses = [0xA700]
    report, overlay = sender.both()
    sender.deliver()
    row = sender.delivery(report)
    assert (row.state, row.status, row.tries) == ("due", 0xA700, 1)
    assert row.due == sender.clock() + 5.0
    assert sender.queue.queued == [(1, "pacs", 2, 5.0, "")]
    assert sender.delivery(overlay).state == "sent"
    assert sender.state_of_study() == "delivering"
    assert sender.column(destinations.c.failures) == [0]  # it answered: no business of the breaker's
    sender.clock.pass_s(5)
    sender.deliver(attempt=1)
    assert archive.uids() == [report, overlay, report]
    assert sender.state_of_study() == "delivered"


def test_an_abort_in_the_middle_leaves_the_rest_due(sender: Sender, archive: Archive) -> None:
    archive.statuses = [0, None]
    report, overlay = sender.both()
    sender.deliver()
    assert sender.delivery(report).state == "sent"
    assert sender.delivery(overlay).state == "due"
    assert "ended without an answer" in sender.delivery(overlay).reason
    assert sender.column(destinations.c.failures) == [0]


def test_after_an_abort_the_others_go_over_a_new_association(sender: Sender, archive: Archive) -> None:
    archive.statuses = [None]
    report, overlay = sender.both()
    sender.deliver()
    assert archive.uids() == [overlay]
    assert archive.associations == 2
    assert (sender.delivery(report).state, sender.delivery(overlay).state) == ("due", "sent")
    assert sender.queue.queued == [(1, "pacs", 2, 5.0, "")]


def test_an_archive_that_aborts_at_pictures_gets_all_that_is_none(sender: Sender, archive: Archive) -> None:
    archive.poison = (SecondaryCaptureImageStorage, ParametricMapStorage)
    sender.study()
    heatmaps, overlay, outlines, key_objects, report = (
        sender.result(kind) for kind in ("pm", "sc", "gsps", "ko", "sr")
    )
    sender.deliver()
    assert archive.uids() == [report, key_objects, outlines]
    assert {sender.delivery(uid).tries for uid in (heatmaps, overlay)} == {1}
    assert sender.column(destinations.c.failures) == [0]  # no other study waits for it


def test_what_is_not_tried_for_aborts_comes_at_once_and_before_what_aborted(sender: Sender, archive: Archive) -> None:
    archive.statuses = [None, None, None]
    sender.study()
    uids = [sender.result(kind) for kind in ("sr", "ko", "gsps", "sc", "pm")]
    sender.deliver()
    assert archive.received == []
    assert archive.associations == 3
    assert sender.queue.queued == [(1, "pacs", 5, 0.0, "")]
    sender.deliver(attempt=5)
    assert archive.uids() == uids[3:]
    assert sender.queue.queued[1][3] == 5.0
    sender.clock.pass_s(5)
    sender.deliver(attempt=7)
    assert archive.uids() == [*uids[3:], *uids[:3]]
    assert sender.state_of_study() == "delivered"


def test_what_ended_an_association_goes_after_what_did_not(sender: Sender, archive: Archive) -> None:
    archive.statuses = [None, 0xA700]
    report, overlay = sender.both()
    sender.deliver()
    sender.clock.pass_s(5)
    sender.deliver(attempt=2)
    assert archive.uids() == [overlay, overlay, report]


def test_an_object_that_aborts_waits_longer_and_longer_alone(sender: Sender, archive: Archive) -> None:
    """What fails later for the first time begins with the first wait, whatever another object waits."""
    archive.poison = (SecondaryCaptureImageStorage,)
    sender.study()
    overlay = sender.result("sc")
    for attempt in range(5):
        sender.deliver(attempt=attempt)
        sender.clock.pass_s(sender.queue.queued[-1][3])
    archive.statuses = [0xA700]
    report = sender.result("sr")
    sender.deliver(attempt=5)
    now = sender.clock()
    assert sender.delivery(report).due - now == 5.0
    assert sender.delivery(overlay).due - now > 30.0
    assert sender.queue.queued[-1][3] == 5.0
    sender.clock.pass_s(5)
    sender.deliver(attempt=6)
    assert archive.uids()[-1] == report
    assert sender.queue.queued[-1][3] > 25.0  # the job for the overlay, at its time


def test_a_destination_that_answers_for_nothing_raises_an_alarm_and_holds_nothing_back(
    sender: Sender, archive: Archive
) -> None:
    archive.poison = (SecondaryCaptureImageStorage,)
    sender.with_deliver(breaker_failures=2).study()
    sender.result("sc")
    for attempt in range(2):
        sender.deliver(attempt=attempt)
        sender.clock.pass_s(60)
    assert open_alarms(sender) == [("destination", "pacs")]
    report = sender.result("sr")
    sender.deliver(attempt=2)
    assert archive.uids() == [report]
    assert open_alarms(sender) == []


@pytest.mark.parametrize("name", ["HALF_ACCEPT", "STOPS_READING", "HALF_ANSWER"])
def test_a_destination_that_stalls_leaves_the_delivery_due(sender: Sender, archive: Archive, name: str) -> None:
    sender.study()
    report = sender.result("sr")
    with stalling(archive.port, getattr(stalled, name)) as peer:
        sender.towards(Archive(port=peer.port)).with_deliver(timeout_s=0.5)
        if name == "STOPS_READING":
            peer.stall = Stall(reads=200)  # the request for the association is longer
        finished(sender.deliver)
    assert (sender.delivery(report).state, sender.delivery(report).tries) == ("due", 1)
    assert sender.delivery(report).reason


def test_what_was_recalled_while_it_was_sent_stays_recalled(sender: Sender, archive: Archive) -> None:
    report, overlay = sender.both()

    def recall_in_between(uid: str) -> None:
        recalled = deliveries.update().where(deliveries.c.sop_instance_uid == uid).values(state="recalled")
        sender.execute(recalled)

    archive.on_store = recall_in_between
    archive.statuses = [0, 0xC000]  # taken, and refused
    sender.deliver()
    assert archive.uids() == [report, overlay]
    assert sender.states() == ["recalled", "recalled"]


def test_nobody_there_is_tried_again_later(sender: Sender) -> None:
    _, overlay = nobody(sender).both()
    sender.deliver()
    assert sender.states() == ["due", "due"]
    assert "does not answer" in sender.delivery(overlay).reason
    assert sender.queue.queued == [(1, "pacs", 2, 5.0, "")]


def test_a_job_before_its_time_waits_and_counts_no_try(sender: Sender, archive: Archive) -> None:
    sender.both()
    sender.change("deliveries", due=sender.clock() + 60)
    sender.deliver(attempt=3)
    assert archive.associations == 0
    ((version, name, attempt, delay_s, occasion),) = sender.queue.queued
    assert (version, name, attempt, delay_s) == (1, "pacs", 3, 60.0)
    sender.deliver(attempt=3)
    assert sender.queue.queued[1][4] == occasion  # the same moment, the same job
    assert set(sender.column(deliveries.c.tries)) == {0}


def test_an_open_breaker_holds_deliveries_back_without_counting_tries(sender: Sender, archive: Archive) -> None:
    nobody(sender).with_deliver(breaker_failures=2, breaker_s=30.0).both()
    for attempt in range(2):
        sender.deliver(attempt=attempt)
        sender.clock.pass_s(10)
    assert open_alarms(sender) == [("destination", "pacs")]
    sender.towards(archive).deliver(attempt=2)
    assert archive.associations == 0
    assert sender.queue.queued[-1][2:4] == (2, 20.0)
    sender.clock.pass_s(20)
    sender.deliver(attempt=2)
    assert sender.states() == ["sent", "sent"]
    assert open_alarms(sender) == []


def test_a_job_that_comes_back_for_a_moment_never_waits_under_its_own_name(sender: Sender, archive: Archive) -> None:
    """The breaker opened anew just before a job came that had waited for it: a known job counts as done."""
    sender.both()
    sender.change("deliveries", due=sender.clock() + 60.25)
    sender.deliver(attempt=2)
    sender.clock.pass_s(60.25)
    sender.with_deliver(breaker_failures=1)
    for _ in range(5):
        breaker.failed(sender.database, "pacs", "gone", Deliver(breaker_failures=1, breaker_s=0.2), sender.clock())
        sender.deliver(attempt=2)
        sender.clock.pass_s(sender.queue.queued[-1][3])
    names = [(attempt, occasion) for _, _, attempt, _, occasion in sender.queue.queued]
    assert len(names) == len(set(names)) == 6
    assert archive.associations == 0


def test_what_is_undeliverable_for_too_long_is_given_up(sender: Sender) -> None:
    _, overlay = nobody(sender).with_deliver(give_up_d=14.0).both()
    sender.deliver()
    sender.clock.pass_s(14 * DAY_S)
    sender.deliver(attempt=1)
    assert sender.states() == ["due", "due"]
    sender.clock.pass_s(DAY_S)
    sender.deliver(attempt=2)
    assert sender.states() == ["dead", "dead"]
    assert sender.delivery(overlay).reason.startswith("given up after 14 days; the last try: ")


def test_a_destination_that_left_the_settings_is_dead(sender: Sender) -> None:
    _, overlay = sender.both()
    sender.settings = sender.settings.model_copy(update={"destinations": ()})
    sender.deliver()
    assert sender.delivery(overlay).state == "dead"
    assert "no such destination" in sender.delivery(overlay).reason


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_damaged_file_never_leaves_the_node(sender: Sender, archive: Archive, damage: str) -> None:
    report, overlay = sender.both()
    if damage == "gone":
        sender.path(overlay).unlink()
    else:
        sender.path(overlay).write_bytes(sender.path(overlay).read_bytes()[:-2] + b"??")
    sender.deliver()
    assert archive.uids() == [report]
    assert sender.delivery(overlay).state == "dead"


def test_with_no_whole_file_nobody_is_called(sender: Sender, archive: Archive) -> None:
    sender.study()
    sender.path(sender.result("sc")).unlink()
    sender.deliver()
    assert archive.associations == 0


def test_what_a_version_shares_with_an_earlier_one_goes_with_it(sender: Sender, archive: Archive) -> None:
    sender.study(state="stored")
    sender.study(version=2)
    overlay = sender.result("sc", version=1)
    sender.deliver(version=2)
    assert archive.uids() == [overlay]
    assert sender.state_of_study(2) == "delivered"
    assert sender.state_of_study(1) == "stored"


def test_a_later_versions_results_wait_for_their_own_job(sender: Sender, archive: Archive) -> None:
    sender.study()
    sender.study(version=2)
    sender.result("sc", version=2)
    sender.deliver(version=1)
    assert archive.received == []
    assert sender.state_of_study(2) == "delivering"


def test_a_recalled_object_stays_recalled_when_it_was_on_its_way(sender: Sender, archive: Archive) -> None:
    report, overlay = sender.both()
    deliverer = sender.deliverer
    pending = deliverer._pending

    def recalled_in_between(job: object) -> object:
        rows = pending(job)
        sender.execute(deliveries.update().where(deliveries.c.sop_instance_uid == overlay).values(state="recalled"))
        return rows

    deliverer._pending = recalled_in_between
    deliverer.deliver(Study(STUDY, 1), "pacs", 0)
    assert archive.uids() == [report]
    assert (sender.delivery(overlay).state, sender.delivery(overlay).tries) == ("recalled", 0)


def test_a_crash_before_the_outcome_is_written_sends_the_same_bytes_again(sender: Sender, archive: Archive) -> None:
    report, overlay = sender.both()
    deliverer = sender.deliverer

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    deliverer._note = crash
    with pytest.raises(KeyboardInterrupt):
        deliverer.deliver(Study(STUDY, 1), "pacs", 0)
    assert set(sender.column(deliveries.c.tries)) == {1}  # counted before it was made
    sender.deliver()
    assert archive.uids() == [report, overlay] * 2
    assert archive.contents[:2] == archive.contents[2:]
    assert sender.state_of_study() == "delivered"


def test_over_tls_with_certificates_on_both_sides(
    settings: Settings, database: sa.Engine, spool: Spool, clock: Clock, tmp_path: Path
) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    certificate, key, _ = authority.issue("archive")
    theirs = server_context(Tls(certificate=str(certificate), key=str(key), authorities=str(authority.file)))
    with running(Archive(), theirs) as archive:
        sender = Sender(settings, database, spool, clock)
        report, overlay = sender.both()
        for issuer, name, expected in ((stranger, "other", []), (authority, "node", [report, overlay])):
            certificate, key, _ = issuer.issue(name)
            ours = Tls(certificate=str(certificate), key=str(key), authorities=str(authority.file))
            sender.towards(archive, tls=ours).deliver()
            assert archive.uids() == expected
            sender.clock.pass_s(60)
    assert sender.states() == ["sent", "sent"]


def test_keys_that_cannot_be_used_are_the_destinations_trouble(sender: Sender, archive: Archive) -> None:
    sender.towards(archive, tls=Tls(certificate="no.crt", key="no.key", authorities="no.pem"))
    _, overlay = sender.both()
    sender.deliver()
    assert sender.delivery(overlay).state == "due"
    assert "no.crt" in sender.delivery(overlay).reason


def test_deliveries_are_counted(sender: Sender, archive: Archive) -> None:
    archive.statuses = [0xC000]
    sender.both()
    sender.deliver()
    rows = sender.rows(sa.select(counters.c.labels, counters.c.value).where(counters.c.name == "deliveries_total"))
    counted = {row[0]: row[1] for row in rows}
    assert counted == {
        'destination="pacs",outcome="dead"': 1.0,
        'destination="pacs",outcome="sent"': 1.0,
    }


def test_logs_say_what_happened_and_name_nobody(
    sender: Sender, archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("debug", "deliver")
    archive.statuses = [0xC000]
    _, overlay = sender.both()
    sender.deliver()
    said = capsys.readouterr().err
    logging.getLogger("candor").handlers.clear()
    events = [json.loads(line)["event"] for line in said.splitlines()]
    assert "results sent" in events
    assert "object not deliverable" in events
    for secret in (STUDY, overlay, "Test^", "T-sc"):
        assert secret not in said


def test_settling_waits_for_what_is_due(sender: Sender) -> None:
    sender.both()
    assert settle_studies(sender.database, sender.settings, sender.clock()) == 0
    sender.change("deliveries", state="sent")
    assert settle_studies(sender.database, sender.settings, sender.clock()) == 1
    assert settle_studies(sender.database, sender.settings, sender.clock()) == 0


@pytest.mark.parametrize(
    ("elapsed_s", "random", "expected_s"),
    [(0, 0.5, 5.0), (0, 0.0, 2.5), (40, 0.5, 40.0), (40, 0.9, 56.0), (1e6, 0.5, 3600.0)],
)
def test_the_wait_is_as_long_as_it_was_tried_within_bounds(elapsed_s: float, random: float, expected_s: float) -> None:
    assert backoff(elapsed_s, Deliver(), random) == pytest.approx(expected_s)


def test_the_waits_double(sender: Sender) -> None:
    nobody(sender).with_deliver(breaker_failures=100).both()
    for attempt in range(5):
        sender.deliver(attempt=attempt)
        sender.clock.pass_s(sender.queue.queued[-1][3])
    assert [round(item[3]) for item in sender.queue.queued] == [5, 5, 10, 20, 40]
    assert [item[2] for item in sender.queue.queued] == [2, 4, 6, 8, 10]
    assert sender.column(objects.c.kind).count("sc") == 1


def test_no_two_jobs_of_a_destination_have_one_number(sender: Sender, archive: Archive) -> None:
    """The job runner runs a job of a number once: a number that is taken would lose the next try."""
    archive.statuses = [0xA700, 0xA700, 0, 0xA700, 0xA700]
    sender.both()
    for attempt in range(4):
        sender.deliver(attempt=attempt)
        sender.clock.pass_s(3600)
    numbers = [item[2] for item in sender.queue.queued]
    assert len(numbers) == 3
    assert len(set(numbers)) == 3
    assert sender.states() == ["sent", "sent"]


def test_a_job_has_the_number_of_tries_of_its_study_at_its_destination(sender: Sender, archive: Archive) -> None:
    archive.statuses = [0xA700]
    report, _ = sender.both()
    copy = {"sop_instance_uid": report, "destination": "other", "state": "due", "due": sender.clock(), "tries": 10}
    sender.execute(deliveries.insert().values(copy | {"reason": ""}))
    sender.result("sc", study=sender.study(uid=OTHER), tries=100)
    sender.deliver()
    assert [item[1:3] for item in sender.queue.queued] == [("pacs", 2)]


def test_a_job_is_about_one_study_and_one_destination(sender: Sender, archive: Archive) -> None:
    """What another destination or another study waits for is neither sent here nor called sent."""
    report, overlay = sender.both()
    for uid in (report, overlay):
        copy = {"sop_instance_uid": uid, "destination": "other", "state": "due", "due": sender.clock(), "tries": 0}
        sender.execute(deliveries.insert().values(copy | {"reason": ""}))
    elsewhere = sender.result("sc", study=sender.study(uid=OTHER))
    sender.deliver()
    assert archive.uids() == [report, overlay]
    waiting = sender.rows(sa.select(deliveries).where(deliveries.c.state == "due"))
    assert sorted((row.destination, row.sop_instance_uid, row.tries) for row in waiting) == sorted(
        [("other", report, 0), ("other", overlay, 0), ("pacs", elsewhere, 0)]
    )


def test_what_one_report_calls_failed_gets_a_job_for_each_study(sender: Sender) -> None:
    sender.both()
    sender.study(uid=OTHER, version=2)
    sender.result("sc", version=2, study=OTHER)
    sender.change("deliveries", transaction_uid="1.2.3", tries=1, since=sender.clock())
    assert sender.deliverer.requeue_uncommitted() == 3
    assert {version for version, *_ in sender.queue.queued} == {1, 2}
    assert sender.deliverer.requeue_uncommitted() == 0
