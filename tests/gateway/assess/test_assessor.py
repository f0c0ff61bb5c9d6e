"""One version of a study: claimed once, assessed, written down, retried, parked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from pydicom import Dataset, dcmread

from candor.study.errors import InputError
from candor.study.result import Disposition
from candor.study.result_object import Predecessor
from gateway.assess.assessor import ApplicationStopped
from gateway.assess.deadline import enforce_deadlines, settle_alarms
from gateway.assess.outcome import earlier_reports, record_objects, wants
from gateway.assess.unassessed import unassessed_reports
from gateway.jobs.jobs import DELIVERIES, STUDIES, of_objects
from gateway.settings import Settings, Studies, Work
from gateway.store import schema
from gateway.store.counters import MOST_VALUES
from gateway.store.database import database_now
from gateway.store.integrity import set_aside_damaged
from gateway.store.mode import set_mode
from gateway.store.result_objects import to_row
from gateway.store.states import Mode
from gateway.store.study import Study
from tests.cases import study_answer
from tests.gateway.conftest import PACS, Clock
from tests.gateway.network import image
from tests.gateway.node import Node


@pytest.fixture
def node(settings: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(settings.model_copy(update={"destinations": (PACS,), "work": Work(max_tries=3)}), clock)
    yield node
    node.close()


def waiting(node: Node, seed: str = "a") -> str:
    uid = node.receive(image(seed))
    node.wait(uid)
    return uid


def objects(node: Node) -> list[Any]:
    return node.rows(sa.select(schema.objects).order_by(schema.objects.c.kind, schema.objects.c.made))


def alarms(node: Node) -> list[tuple[str, str]]:
    return [(row.kind, row.text) for row in node.table(schema.alarms) if row.cleared is None]


def test_in_the_shadow_results_are_stored_and_go_nowhere(node_of_either: Node) -> None:
    node = node_of_either
    uid = waiting(node)
    node.clock.pass_s(3)
    node.assessor.assess(Study(uid, 1))
    row = node.study(uid)
    assert (row.state, row.mode, row.disposition, row.tries) == ("stored", "shadow", "deferred", 1)
    assert row.findings == {"Effusion": "present", "Nodule": "deferred"}
    assert (row.started, row.assessed, row.finished) == (node.clock(), node.clock(), node.clock())
    assert (row.bundle_sha256, row.executor) == ("b" * 64, None)
    overlay, report = objects(node)
    assert (report.kind, report.finding, report.version) == ("sr", None, 1)
    assert (overlay.kind, overlay.finding) == ("sc", "Effusion")
    assert node.spool.path(report.file).is_file()
    assert node.spool.path(row.results) == node.spool.path(report.file).parent
    assert node.table(schema.deliveries) == []
    assert node.jobs.under_way(DELIVERIES) == []


def test_live_every_object_goes_to_every_destination_that_takes_it(node_of_either: Node) -> None:
    node = node_of_either
    only_reports = PACS.model_copy(update={"name": "reports", "kinds": ("sr",)})
    elsewhere = PACS.model_copy(update={"name": "elsewhere", "only_from": ("OTHER",)})
    node.settings = node.settings.model_copy(update={"destinations": (PACS, only_reports, elsewhere)})
    set_mode(node.database, Mode.LIVE, "operator", node.clock())
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    row = node.study(uid)
    assert (row.state, row.mode, row.finished) == ("delivering", "live", None)
    kinds = {row.sop_instance_uid: row.kind for row in objects(node)}
    planned = sorted((row.destination, kinds[row.sop_instance_uid], row.state) for row in node.table(schema.deliveries))
    assert planned == [("pacs", "sc", "due"), ("pacs", "sr", "due"), ("reports", "sr", "due")]
    start = f"deliver:{node.tokens.token(uid)}:1"
    reports = [uid for uid, kind in kinds.items() if kind == "sr"]
    assert sorted(node.jobs.under_way(DELIVERIES)) == [
        f"{start}:pacs:0:{of_objects(kinds)}",
        f"{start}:reports:0:{of_objects(reports)}",
    ]


def test_a_destination_wants_studies_of_the_senders_that_it_names() -> None:
    choosy = PACS.model_copy(update={"only_from": ("CT1", "DX1")})
    assert [wants(choosy, senders) for senders in ({"DX1", "MR1"}, {"MR1"}, set())] == [True, False, False]
    assert wants(PACS, set())


def test_a_destination_gets_the_report_of_its_own_profile_and_overlays_of_its_findings(node_of_either: Node) -> None:
    node = node_of_either
    old = PACS.model_copy(update={"name": "old", "report_class": "enhanced", "findings": ("Nodule",)})
    twin = PACS.model_copy(update={"name": "twin"})
    node.settings = node.settings.model_copy(update={"destinations": (PACS, old, twin)})
    assert node.settings.profiles == (PACS.profile, old.profile)
    node.application.profiles = node.settings.profiles
    set_mode(node.database, Mode.LIVE, "operator", node.clock())
    node.assessor.assess(Study(waiting(node), 1))
    rows = {row.sop_instance_uid: row for row in objects(node)}
    went = sorted(
        (each.destination, rows[each.sop_instance_uid].kind, rows[each.sop_instance_uid].profiles)
        for each in node.table(schema.deliveries)
    )
    mine, other = [PACS.profile.key], [old.profile.key]
    assert went == [
        ("old", "sr", other),
        ("pacs", "sc", None),
        ("pacs", "sr", mine),
        ("twin", "sc", None),
        ("twin", "sr", mine),
    ]


def test_a_report_that_becomes_part_of_another_profile_stays_one_object(node: Node) -> None:
    later = PACS.model_copy(update={"name": "later", "kinds": ("sr",)})
    uid = waiting(node)
    node.put(uid, state="failed")
    (first,) = unassessed_reports(node.database, node.settings, node.spool, Study(uid, 1))
    with node.database.begin() as connection:
        record_objects(connection, Study(uid, 1), [first], 0.0)
    both = node.settings.model_copy(update={"destinations": (PACS, later)})
    (second,) = unassessed_reports(node.database, both, node.spool, Study(uid, 1))
    assert (second.sop_instance_uid, second.sha256) == (first.sop_instance_uid, first.sha256)
    with node.database.begin() as connection:
        record_objects(connection, Study(uid, 1), [second], 0.0)
    (row,) = objects(node)
    assert row.profiles == sorted([PACS.profile.key, later.profile.key])
    assert (first.profiles, second.profiles) == ({PACS.profile.key}, set(row.profiles))


def test_a_study_is_assessed_once_however_often_it_is_queued(node: Node) -> None:
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    node.assessor.assess(Study(uid, 1))
    assert len(node.application.seen) == 1
    assert node.study(uid).tries == 1


def lease(node: Node, executor: str, ttl_s: float) -> None:
    expires = sa.select(database_now(node.database) + ttl_s).scalar_subquery()
    node.execute(schema.leases.insert().values(executor_id=executor, expires=expires))


def test_a_study_that_another_process_is_at_is_left_to_it_while_it_lives(node_of_either: Node) -> None:
    node = node_of_either
    uid = waiting(node)
    node.put(uid, state="running", executor="other", tries=1)
    lease(node, "other", 60)
    node.assessor.assess(Study(uid, 1))
    assert node.application.seen == []
    node.execute(schema.leases.update().values(expires=0))
    node.assessor.assess(Study(uid, 1))
    assert (node.study(uid).state, node.study(uid).tries) == ("stored", 2)


@pytest.mark.parametrize("tries", [2, 1], ids=["next try", "first try of a replay"])
def test_who_was_paused_past_the_end_of_his_lease_writes_nothing(node: Node, tries: int) -> None:
    uid = waiting(node)
    call = node.application.__call__

    def slow(*arguments: Any) -> Any:
        node.put(uid, executor="successor", tries=tries)
        return call(*arguments)

    assessor = node.assessor
    assessor._application = slow
    assessor.assess(Study(uid, 1))
    assert (node.study(uid).state, node.study(uid).executor) == ("running", "successor")
    assert objects(node) == []


@pytest.mark.parametrize("error", [InputError("unreadable"), ValueError(), ApplicationStopped()])
def test_who_was_paused_and_then_fails_parks_and_queues_nothing(node: Node, error: Exception) -> None:
    uid = waiting(node)

    def slow(*_: Any) -> Any:
        node.put(uid, executor="successor", tries=2)
        raise error

    assessor = node.assessor
    assessor._application = slow
    with suppress(ApplicationStopped):
        assessor.assess(Study(uid, 1))
    assert (node.study(uid).state, node.study(uid).executor) == ("running", "successor")
    assert objects(node) == []
    assert alarms(node) == []
    assert node.jobs.under_way(STUDIES) == []


def test_a_result_ends_no_try_at_another_study(node: Node) -> None:
    uid, other = waiting(node, "a"), waiting(node, "b")
    node.put(other, state="running", executor=node.jobs.executor_id, tries=1)
    node.assessor.assess(Study(uid, 1))
    assert (node.study(uid).state, node.study(other).state) == ("stored", "running")


def test_a_try_that_its_own_process_has_begun_anew_writes_nothing(node: Node) -> None:
    """The job came back to the process that was at it: the executor is the same, the try is not."""
    uid = waiting(node)
    call = node.application.__call__

    def slow(*arguments: Any) -> Any:
        node.put(uid, tries=2)
        return call(*arguments)

    assessor = node.assessor
    assessor._application = slow
    assessor.assess(Study(uid, 1))
    assert (node.study(uid).state, node.study(uid).executor) == ("running", node.jobs.executor_id)
    assert objects(node) == []


def test_each_try_has_a_folder_of_its_own_and_says_the_same(node: Node) -> None:
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    first = objects(node)
    node.clock.pass_s(1000)
    node.wait(uid)
    node.assessor.assess(Study(uid, 1))
    second = objects(node)
    assert [path.name for path in node.application.outputs] == ["1", "2"]
    assert [row.sha256 for row in first] == [row.sha256 for row in second]
    assert [row.file for row in first] != [row.file for row in second]


def test_a_replay_writes_where_an_earlier_try_has_written(node: Node) -> None:
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    node.put(uid, state="waiting", tries=0)
    node.assessor.assess(Study(uid, 1))
    assert (node.study(uid).state, node.study(uid).tries) == ("stored", 1)
    assert len(node.application.seen) == 2


def test_a_failure_is_tried_again_later_and_parked_after_its_tries(node: Node) -> None:
    set_mode(node.database, Mode.LIVE, "operator", node.clock())
    uid = waiting(node)
    node.application.failure = "the output folder cannot be written: No space left on device"
    for tries in (1, 2):
        node.assessor.assess(Study(uid, 1))
        assert (node.study(uid).state, node.study(uid).tries) == ("waiting", tries)
        assert len(node.jobs.under_way(STUDIES)) == tries
    node.assessor.assess(Study(uid, 1))
    row = node.study(uid)
    assert (row.state, row.disposition, row.tries) == ("failed", "not assessed", 3)
    assert row.reason == node.application.failure
    assert row.finished == node.clock()
    assert alarms(node) == [("study_failed", f"parked: {row.reason}")]
    (report,) = objects(node)
    assert [(row.sop_instance_uid, row.state) for row in node.table(schema.deliveries)] == [
        (report.sop_instance_uid, "due")
    ]
    content = str(dcmread(node.spool.path(report.file)))
    assert "Processing failed" in content


def test_a_poison_study_is_parked_without_another_try_and_the_next_one_goes_on(node: Node) -> None:
    poison, healthy = waiting(node, "a"), waiting(node, "b")
    node.put(poison, state="running", executor="killed", tries=3)
    node.assessor.assess(Study(poison, 1))
    node.assessor.assess(Study(healthy, 1))
    assert (node.study(poison).state, node.study(poison).reason) == ("failed", "it broke the worker 3 times")
    assert node.study(healthy).state == "stored"
    assert len(node.application.seen) == 1


def test_what_trying_again_cannot_help_is_parked_at_once(node: Node) -> None:
    uid = waiting(node)
    node.application.error = InputError("none of the received files is readable")
    node.assessor.assess(Study(uid, 1))
    assert (node.study(uid).state, node.study(uid).reason) == ("failed", "none of the received files is readable")


@pytest.mark.parametrize(("name", "value"), [("free_bytes", 1000), ("is_read_only", True)])
def test_where_nothing_can_be_written_a_study_waits_and_loses_no_try(
    node: Node, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    uid, done = waiting(node), waiting(node, "b")
    node.put(done, state="stored")
    monkeypatch.setattr(node.spool, name, lambda: value)
    for each in (uid, done):
        node.assessor.assess(Study(each, 1))
    assert (node.study(uid).state, node.study(uid).tries) == ("waiting", 0)
    assert [name.split(":")[1] for name in node.jobs.under_way(STUDIES)] == [node.tokens.token(uid)]
    assert [kind for kind, _ in alarms(node)] == ["disk"]
    monkeypatch.undo()
    node.assessor.assess(Study(uid, 1))
    assert node.study(uid).state == "stored"
    assert alarms(node) == []


def test_an_unforeseen_error_costs_a_try_and_says_no_more_than_its_kind(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    uid = waiting(node)
    node.application.error = ValueError("CANARY^PATIENT")
    node.assessor.assess(Study(uid, 1))
    row = node.study(uid)
    assert (row.state, row.reason) == ("waiting", "processing failed (ValueError)")
    assert "CANARY" not in caplog.text


def test_an_application_that_has_ended_ends_its_process_and_loses_no_study(node: Node) -> None:
    uid = waiting(node)
    node.application.error = ApplicationStopped("the application has ended")
    with pytest.raises(ApplicationStopped):
        node.assessor.assess(Study(uid, 1))
    assert node.study(uid).state == "waiting"
    assert len(node.jobs.under_way(STUDIES)) == 1


def test_a_study_that_takes_too_long_ends_the_process(node: Node) -> None:
    uid = waiting(node)
    node.settings = node.settings.model_copy(update={"work": Work(study_timeout_s=0.05)})
    assessor, call = node.assessor, node.application.__call__

    def slow(*arguments: Any) -> Any:
        give_up = time.monotonic() + 30
        while not node.timeouts and time.monotonic() < give_up:
            time.sleep(0.01)
        return call(*arguments)

    assessor._application = slow
    assessor.assess(Study(uid, 1))
    assert len(node.timeouts) == 1
    node.wait(uid)
    node.settings = node.settings.model_copy(update={"work": Work()})
    node.assessor.assess(Study(uid, 1))  # a study in time ends nothing
    assert len(node.timeouts) == 1


@pytest.mark.parametrize("error", [None, InputError("unreadable")])
def test_a_study_that_has_ended_is_watched_no_more(
    node: Node, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    """Else it ends the process minutes later, in the middle of another study."""
    seen: list[object] = []

    class Watchdog:
        daemon = False

        def __init__(self, seconds: float, _: object) -> None:
            seen.append(seconds)

        def start(self) -> None:
            seen.append("start" if self.daemon else "start, and hold the process")

        def cancel(self) -> None:
            seen.append("cancel")

    node.application.error = error
    monkeypatch.setattr("gateway.assess.assessor.threading", SimpleNamespace(Timer=Watchdog))
    node.assessor.assess(Study(waiting(node), 1))
    assert seen == [node.settings.work.study_timeout_s, "start", "cancel"]


def test_a_uid_is_never_given_to_other_content(node: Node) -> None:
    set_mode(node.database, Mode.LIVE, "operator", node.clock())
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    before = objects(node)
    node.wait(uid)
    node.application.salt = "other"
    node.assessor.assess(Study(uid, 1))
    row = node.study(uid)
    assert row.state == "failed"
    assert "UID of an earlier one" in row.reason
    made_first = [row for row in objects(node) if row.kind != "sr" or row in before]
    assert made_first == before
    assert {row.sop_instance_uid for row in objects(node)} - {row.sop_instance_uid for row in before}  # its report


def test_a_study_is_parked_even_if_its_report_cannot_be_delivered(node: Node) -> None:
    uid = waiting(node)
    (report,) = unassessed_reports(node.database, node.settings, node.spool, Study(uid, 1))
    values = to_row(report) | {"sha256": "0" * 64}
    node.execute(schema.objects.insert().values(**values, study_instance_uid=uid, version=1, made=0.0))
    node.application.error = InputError("unreadable")
    node.assessor.assess(Study(uid, 1))
    row = node.study(uid)
    assert (row.state, row.reason) == ("failed", "unreadable; its report cannot be delivered either")


def test_a_study_whose_files_are_gone_is_parked_without_a_report(node: Node) -> None:
    uid = waiting(node)
    for path in (node.spool.root / "instances").glob("*/*.dcm"):
        path.unlink()
    for _ in range(3):
        node.assessor.assess(Study(uid, 1))
    assert node.study(uid).state == "failed"
    assert node.study(uid).reason == "an image of it is damaged or missing; send its images again"
    assert objects(node) == []
    assert sorted(kind for kind, _ in alarms(node)) == ["damaged"]


def test_a_late_image_makes_a_version_whose_report_can_name_the_one_before(node: Node) -> None:
    node.application.profiles = (PACS.profile,)
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    node.clock.pass_s(60)
    node.receive(image("b", study="a"))
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    assert [len(seen) for seen in node.application.seen] == [1, 2]
    none, (earlier,) = node.application.predecessors
    assert none == ()
    (expected,) = [row for row in objects(node) if row.kind == "sr" and row.version == 1]
    assert earlier == Predecessor(
        uid, expected.series_instance_uid, expected.sop_class_uid, expected.sop_instance_uid, {PACS.profile.key}
    )
    with node.database.connect() as connection:
        assert earlier_reports(connection, Study(uid, 1)) == (earlier,)
        assert len(earlier_reports(connection, Study(uid, 2))) == 2
    assert len(objects(node)) == 4


def test_a_report_that_goes_out_at_the_deadline_while_the_application_runs_is_named_too(node_of_either: Node) -> None:
    node = node_of_either
    uid = waiting(node)
    assessor, call = node.assessor, node.application.__call__

    def slow(*arguments: Any) -> Any:
        if not node.application.seen:
            node.clock.pass_s(901)
            enforce_deadlines(node.database, node.settings, node.spool, node.jobs, node.clock())
        return call(*arguments)

    assessor._application = slow
    assessor.assess(Study(uid, 1))
    assert [len(named) for named in node.application.predecessors] == [0, 1]
    assert (node.study(uid).state, node.study(uid).tries) == ("stored", 1)
    assert [row.kind for row in objects(node)] == ["sc", "sr", "sr"]


def test_the_same_instance_in_other_bytes_changes_nothing(node: Node) -> None:
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    node.clock.pass_s(60)
    node.receive(image("a", InstitutionName="Elsewhere"))
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    first, second = node.study(uid, 1), node.study(uid, 2)
    assert len(node.application.seen) == 1
    assert second.state == "stored"
    assert second.reason == "nothing new came; the results of version 1 hold"
    assert (second.results, second.findings) == (first.results, first.findings)
    assert node.scalars(schema.instances.c.state) == ["duplicate", "kept"]


def test_results_that_went_out_before_do_not_go_again(node: Node) -> None:
    set_mode(node.database, Mode.LIVE, "operator", node.clock())
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    node.execute(schema.deliveries.update().values(state="sent"))
    before, jobs = node.table(schema.deliveries), node.jobs.under_way(DELIVERIES)
    node.wait(uid)
    node.assessor.assess(Study(uid, 1))
    assert node.study(uid).state == "delivering"  # the deliverer sees that nothing is left, and ends it
    assert node.table(schema.deliveries) == before
    assert node.jobs.under_way(DELIVERIES) == jobs


def test_the_answer_for_a_study_is_in_its_row_and_counted_and_holds_without_news(node: Node) -> None:
    uid = waiting(node)
    node.application.answer = study_answer()
    node.assessor.assess(Study(uid, 1))
    node.receive(image("a", InstitutionName="Elsewhere"))
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    for version in (1, 2):
        row = node.study(uid, version)
        assert (row.worklist_priority, row.any_abnormality) == (87.43, "not ruled out")
        assert row.look_first == ["Mass", "Nodule"]
    counted = {row.name: (row.labels, row.value) for row in node.table(schema.counters)}
    assert counted["study_answers_total"] == ('any_abnormality="not ruled out"', 1.0)


@pytest.mark.parametrize(("state", "finished"), [("delivering", None), ("delivered", 5.0), ("not assessed", 5.0)])
def test_a_version_without_news_is_as_far_as_the_one_before_it(node: Node, state: str, finished: float | None) -> None:
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    node.put(uid, state=state, finished=finished)
    node.receive(image("a", InstitutionName="Elsewhere"))
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    assert node.study(uid, 2).state == state
    assert node.study(uid, 2).finished == (finished and node.clock())


@pytest.mark.parametrize("changes", [{"state": "failed"}, {"purged": 1.0}, {"results": None}])
def test_where_the_version_before_has_no_results_to_hold_the_study_is_assessed(
    node: Node, changes: dict[str, Any]
) -> None:
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    node.receive(image("a", InstitutionName="Elsewhere"))
    node.put(uid, **changes)
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    assert len(node.application.seen) == 2
    assert node.study(uid, 2).state == "stored"


def test_a_corrected_instance_replaces_the_earlier_one(node: Node) -> None:
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    node.clock.pass_s(60)
    node.receive(image("a", PatientName="Corrected^Name"))
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    assert node.scalars(schema.instances.c.state) == ["kept", "superseded"]
    assert [len(seen) for seen in node.application.seen] == [1, 1]
    assert len(objects(node)) == 4
    assert alarms(node) == []


def test_other_pixels_under_a_known_uid_are_quarantined_and_both_are_shown_to_the_application(node: Node) -> None:
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    node.clock.pass_s(60)
    other = image("a")
    other.PixelData = other.PixelData[:-2] + b"\x01\x00"
    node.receive(other)
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    assert node.scalars(schema.instances.c.state) == ["kept", "quarantined"]
    assert [len(seen) for seen in node.application.seen] == [1, 2]
    ((kind, text),) = alarms(node)
    assert (kind, text.split(" ")[0]) == ("quarantine", "1")
    node.receive(image("b", study="a"))  # the contradiction goes on with the study, and is not news again
    node.execute(schema.alarms.delete())
    node.wait(uid, 3)
    node.assessor.assess(Study(uid, 3))
    assert len(node.application.seen[2]) == 3
    assert alarms(node) == []


def test_a_study_of_which_nothing_could_be_assessed_says_so(node: Node) -> None:
    uid = waiting(node)
    node.application.disposition = Disposition.NOT_ASSESSED
    node.assessor.assess(Study(uid, 1))
    assert node.study(uid).state == "not assessed"


def test_a_result_clears_the_alarm_of_the_failure_before_it(node: Node) -> None:
    uid = waiting(node)
    node.application.error = InputError("unreadable")
    node.assessor.assess(Study(uid, 1))
    assert len(alarms(node)) == 1
    node.application.error = None
    node.wait(uid)
    node.assessor.assess(Study(uid, 1))
    assert alarms(node) == []


def report_of(node: Node) -> str:
    (report,) = [row for row in objects(node) if row.kind == "sr"]
    return str(dcmread(node.spool.path(report.file)))


def test_a_study_with_too_many_images_is_not_assessed_and_its_report_says_so(node_of_either: Node) -> None:
    node = node_of_either
    node.settings = node.settings.model_copy(update={"studies": Studies(max_images=2)})
    set_mode(node.database, Mode.LIVE, "operator", node.clock())
    uid = node.receive(image("a"))
    for seed in "bc":
        node.receive(image(seed, study="a"))
    node.wait(uid)
    node.assessor.assess(Study(uid, 1))
    row = node.study(uid)
    assert node.application.seen == []
    assert (row.state, row.disposition, row.tries, row.executor) == ("delivering", "not assessed", 1, None)
    assert "The study has too many images" in report_of(node)
    assert [each.state for each in node.table(schema.deliveries)] == ["due"]
    node.receive(image("d", study="a"))
    assert (node.scalars(schema.studies.c.version), node.study(uid).images) == ([1], 4)
    assert len(objects(node)) == 1
    assert alarms(node) == []


def test_a_study_with_too_many_images_whose_report_cannot_be_made_is_parked(node: Node) -> None:
    node.settings = node.settings.model_copy(update={"studies": Studies(max_images=1)})
    uid = node.receive(image("a"))
    node.receive(image("b", study="a"))
    for path in (node.spool.root / "instances").glob("*/*.dcm"):
        path.unlink()
    node.wait(uid)
    node.assessor.assess(Study(uid, 1))
    row = node.study(uid)
    assert (row.state, row.finished) == ("failed", node.clock())
    assert row.reason.endswith("; no report could be made")
    assert [kind for kind, _ in alarms(node)] == ["study_failed"]


def test_its_report_at_the_deadline_is_the_same(node: Node) -> None:
    node.settings = node.settings.model_copy(update={"studies": Studies(max_images=1)})
    uid = node.receive(image("a"))
    node.receive(image("b", study="a"))
    node.clock.pass_s(901)
    enforce_deadlines(node.database, node.settings, node.spool, node.jobs, node.clock())
    node.wait(uid)
    node.assessor.assess(Study(uid, 1))
    assert node.study(uid).state == "not assessed"
    assert "The study has too many images" in report_of(node)


def damage(node: Node, number: int = 1) -> Any:
    (row,) = node.rows(sa.select(schema.instances).where(schema.instances.c.id == number))
    path = node.spool.path(row.file)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return row


def test_a_damaged_file_is_never_assessed_and_a_good_copy_mends_the_study(node_of_either: Node) -> None:
    node = node_of_either
    uid = node.receive(image("a"))
    node.receive(image("b", study="a"))
    node.wait(uid)
    row = damage(node)
    node.assessor.assess(Study(uid, 1))
    assert node.application.seen == []
    assert node.study(uid).state == "failed"
    assert sorted(node.scalars(schema.instances.c.state)) == ["damaged", "kept"]
    assert (node.spool.root / "damaged" / f"{row.sha256}.dcm").is_file()
    assert [kind for kind, _ in alarms(node)] == ["damaged", "damaged"][: len(alarms(node))]
    content = report_of(node)
    assert "A stored image of the study is damaged" in content
    assert row.sop_instance_uid not in content  # what a damaged header says of a patient goes nowhere
    node.receive(image("a"))
    assert (node.study(uid, 2).state, node.study(uid, 2).images) == ("receiving", 3)
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    assert node.study(uid, 2).state == "stored"
    assert [len(seen) for seen in node.application.seen] == [2]
    settle_alarms(node.database, node.clock())
    assert "damaged" not in [kind for kind, _ in alarms(node)]


def test_a_late_image_is_not_assessed_without_the_damaged_one(node: Node) -> None:
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    damage(node)
    assert set_aside_damaged(node.database, node.spool, 1, node.clock())
    node.receive(image("b", study="a"))
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    assert len(node.application.seen) == 1
    assert node.study(uid, 2).state == "failed"


def test_a_file_that_was_mended_meanwhile_is_left_alone(node: Node) -> None:
    waiting(node)
    assert not set_aside_damaged(node.database, node.spool, 1, node.clock())
    assert not set_aside_damaged(node.database, node.spool, 99, node.clock())
    assert node.scalars(schema.instances.c.state) == ["kept"]


def other_pixels(dataset: Dataset) -> Dataset:
    dataset.PixelData = dataset.PixelData[:-2] + b"\x01\x00"
    return dataset


def reused(node: Node, changed: bool = True) -> tuple[str, str]:
    """Assess a study, then one that has the SOP Instance UID of its image."""
    first = waiting(node)
    node.assessor.assess(Study(first, 1))
    other = image("b", SOPInstanceUID=image("a").SOPInstanceUID)
    other.PixelData = image("a").PixelData
    other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
    second = node.receive(other_pixels(other) if changed else other)
    node.wait(second)
    node.assessor.assess(Study(second, 1))
    return first, second


def test_one_uid_with_other_pixels_in_two_studies_is_quarantined_and_told_in_both(node_of_either: Node) -> None:
    node = node_of_either
    first, second = reused(node)
    assert len(node.application.seen) == 1
    assert node.scalars(schema.instances.c.state) == ["quarantined", "quarantined"]
    assert (node.study(second).state, node.study(second).disposition) == ("failed", "not assessed")
    tokens = {row.subject for row in node.table(schema.alarms) if row.kind == "quarantine"}
    assert tokens == {node.tokens.token(first), node.tokens.token(second)}
    assert (node.study(first, 2).state, node.study(first, 2).images) == ("receiving", 1)
    node.wait(first, 2)
    node.assessor.assess(Study(first, 2))
    assert node.study(first, 2).state == "failed"
    assert len(node.application.seen) == 1
    assert len(node.table(schema.studies)) == 3  # they do not go on waking each other
    reports = [str(dcmread(node.spool.path(row.file))) for row in objects(node) if row.study_instance_uid == second]
    assert ["Another study has another picture under the same UID" in report for report in reports] == [True]


def test_the_same_pixels_in_two_studies_are_no_contradiction(node: Node) -> None:
    _, second = reused(node, changed=False)
    assert node.study(second).state == "stored"
    assert node.scalars(schema.instances.c.state) == ["kept", "kept"]
    assert alarms(node) == []


def test_refusals_and_unknown_words_are_counted_by_value(node: Node) -> None:
    node.application.refused = (("NOTCHEST", "SKULL"), ("NOTCHEST", "SKULL"), ("TOOSMALL", ""))
    node.application.unknown = (("VIEWBLANK", "PORTABLE"),)
    node.assessor.assess(Study(waiting(node), 1))
    counted = {(row.name, row.labels): row.value for row in node.table(schema.counters)}
    assert counted["images_refused_total", 'reason="NOTCHEST",value="SKULL"'] == 2
    assert counted["images_refused_total", 'reason="TOOSMALL",value=""'] == 1
    assert counted["values_unknown_total", 'reason="VIEWBLANK",value="PORTABLE"'] == 1


def test_no_more_than_so_many_values_are_counted_apart(node: Node) -> None:
    node.application.refused = tuple(("NOTCHEST", f"KNEE {number}") for number in range(MOST_VALUES + 20))
    node.assessor.assess(Study(waiting(node), 1))
    node.application.refused = (("NOTCHEST", "KNEE 3"), ("NOTCHEST", "another"))
    node.assessor.assess(Study(waiting(node, "b"), 1))
    counted = {row.labels: row.value for row in node.table(schema.counters) if row.name == "images_refused_total"}
    assert len(counted) == MOST_VALUES + 1
    assert counted['reason="NOTCHEST",value="other values"'] == 21
    assert counted['reason="NOTCHEST",value="KNEE 3"'] == 2
