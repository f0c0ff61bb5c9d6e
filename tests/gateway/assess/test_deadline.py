"""No silence: after the deadline there is a report, an alarm, and the study goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from gateway.assess.deadline import enforce_deadlines, settle_alarms
from gateway.assess.unassessed import unassessed_reports
from gateway.jobs.jobs import DELIVERIES
from gateway.settings import Settings, Work
from gateway.store import schema
from gateway.store.mode import set_mode
from gateway.store.result_objects import to_row
from gateway.store.states import Mode
from gateway.store.study import Study
from tests.gateway.conftest import PACS, Clock
from tests.gateway.network import image
from tests.gateway.node import Node
from tests.validators import pixelmed_errors, skip_without_validators, validation_errors


@pytest.fixture
def node(settings: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(settings.model_copy(update={"destinations": (PACS,)}), clock)
    yield node
    node.close()


def enforce(node: Node) -> int:
    return enforce_deadlines(node.database, node.settings, node.spool, node.jobs, node.clock())


def open_alarms(node: Node) -> list[Any]:
    return [row for row in node.table(schema.alarms) if row.cleared is None]


@pytest.mark.parametrize("state", ["receiving", "waiting", "running"])
def test_past_the_deadline_a_report_goes_out_and_the_study_goes_on(node: Node, state: str) -> None:
    set_mode(node.database, Mode.LIVE, "operator", node.clock())
    uid = node.receive(image("a"))
    node.put(uid, state=state)
    node.clock.pass_s(900)
    assert enforce(node) == 0
    node.clock.pass_s(1)
    assert enforce(node) == 1
    assert enforce(node) == 0
    row = node.study(uid)
    assert (row.state, row.overdue, row.disposition) == (state, node.clock(), None)
    (report,) = node.table(schema.objects)
    (delivery,) = node.table(schema.deliveries)
    assert (delivery.sop_instance_uid, delivery.state) == (report.sop_instance_uid, "due")
    assert len(node.jobs.under_way(DELIVERIES)) == 1
    (alarm,) = open_alarms(node)
    assert (alarm.kind, alarm.subject) == ("no_result", node.tokens.token(uid))
    dataset = dcmread(node.spool.path(report.file))
    assert dataset.StudyInstanceUID == uid
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert str(dataset.PatientName) == "Test^a"
    assert "Processing failed" in str(dataset)
    assert "no model was run" in str(dataset)


def test_in_the_shadow_the_report_is_stored_alone(node_of_either: Node) -> None:
    node = node_of_either
    node.receive(image("a"))
    node.clock.pass_s(901)
    assert enforce(node) == 1
    assert len(node.table(schema.objects)) == 1
    assert node.table(schema.deliveries) == []


def test_a_result_that_comes_late_goes_out_too_and_ends_the_alarm(node_of_either: Node) -> None:
    node = node_of_either
    uid = node.receive(image("a"))
    node.wait(uid)
    node.clock.pass_s(901)
    enforce(node)
    assert settle_alarms(node.database, node.clock()) == 0
    node.assessor.assess(Study(uid, 1))
    assert node.study(uid).state == "stored"
    assert len(node.table(schema.objects)) == 3
    assert settle_alarms(node.database, node.clock()) == 1
    assert open_alarms(node) == []


def names(node: Node, report: Any) -> list[str]:
    """SOP Instance UIDs of a report's predecessors."""
    dataset = dcmread(node.spool.path(report.file))
    return [
        item.ReferencedSOPInstanceUID
        for study in dataset.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]


def test_a_result_that_comes_late_takes_the_place_of_the_report_of_the_deadline(node: Node) -> None:
    uid = node.receive(image("a"))
    node.wait(uid)
    node.clock.pass_s(901)
    enforce(node)
    (report,) = node.table(schema.objects)
    node.assessor.assess(Study(uid, 1))
    ((named,),) = node.application.predecessors
    assert named.sop_instance_uid == report.sop_instance_uid
    assert (named.sop_class_uid, named.series_instance_uid) == (report.sop_class_uid, report.series_instance_uid)
    assert named.study_instance_uid == uid
    assert named.profiles == {PACS.profile.key}


def test_a_result_that_comes_late_has_a_delivery_of_its_own(node: Node) -> None:
    set_mode(node.database, Mode.LIVE, "operator", node.clock())
    uid = node.receive(image("a"))
    node.wait(uid)
    node.clock.pass_s(901)
    enforce(node)
    (first,) = node.jobs.under_way(DELIVERIES)
    node.assessor.assess(Study(uid, 1))
    assert len({first, *node.jobs.under_way(DELIVERIES)}) == 2  # under the first one's name it would be no job


def test_every_profile_gets_a_report_that_names_its_own_predecessors(node: Node) -> None:
    old = PACS.model_copy(update={"name": "old", "report_class": "enhanced"})
    set_mode(node.database, Mode.LIVE, "operator", node.clock())
    uid = node.receive(image("a"))
    node.clock.pass_s(901)
    enforce(node)
    (first,) = node.table(schema.objects)
    node.settings = node.settings.model_copy(update={"destinations": (PACS, old)})  # it has had no report before
    node.put(uid, state="stored")
    node.receive(image("b", study="a"))
    node.clock.pass_s(901)
    assert enforce(node) == 1
    later = {row.sop_class_uid: row for row in node.table(schema.objects) if row.version == 2}
    assert later.keys() == {"1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.22"}
    assert names(node, later["1.2.840.10008.5.1.4.1.1.88.34"]) == [first.sop_instance_uid]
    for row in later.values():
        to = [
            each.destination for each in node.table(schema.deliveries) if each.sop_instance_uid == row.sop_instance_uid
        ]
        assert to == (["old"] if row.sop_class_uid.endswith(".22") else ["pacs"])


def test_a_report_of_more_images_names_the_one_of_fewer_and_leaves_its_file_alone(node: Node) -> None:
    uid = node.receive(image("a"))
    node.clock.pass_s(901)
    enforce(node)
    (first,) = node.table(schema.objects)
    content = node.spool.path(first.file).read_bytes()
    node.receive(image("b", study="a"))  # the version still receives
    node.wait(uid)
    node.put(uid, tries=3)
    node.assessor.assess(Study(uid, 1))
    (second,) = [row for row in node.table(schema.objects) if row.sop_instance_uid != first.sop_instance_uid]
    assert (first.version, second.version) == (1, 1)
    assert names(node, second) == [first.sop_instance_uid]
    assert node.spool.path(first.file).read_bytes() == content


def test_the_report_speaks_the_applications_language_or_english(node: Node, tmp_path: Path) -> None:
    uid = node.receive(image("a"))
    application = tmp_path / "app.yaml"
    work = Work(application=str(application))
    node.settings = node.settings.model_copy(update={"work": work, "destinations": ()})
    uids = set()
    for text, language in (
        ("candor: {language: de-DE, report_class: enhanced}", "German"),
        ("candor: {language: en-US}", "English"),
        ("candor: {langage: de-DE}", "English"),
    ):
        application.write_text(text)
        (report,) = unassessed_reports(node.database, node.settings, node.spool, Study(uid, 1))
        said = [
            str(each.value) for each in dcmread(node.spool.path(report.file)).iterall() if each.keyword == "CodeMeaning"
        ]
        assert any(word.startswith(language) for word in said)
        uids.add(report.sop_instance_uid)
    assert len(uids) == 2


def test_a_study_that_is_parked_after_its_deadline_has_one_report(node: Node) -> None:
    uid = node.receive(image("a"))
    node.wait(uid)
    node.clock.pass_s(901)
    enforce(node)
    node.put(uid, tries=3)
    node.assessor.assess(Study(uid, 1))
    assert node.study(uid).state == "failed"
    assert len(node.table(schema.objects)) == 1
    settle_alarms(node.database, node.clock())
    assert [row.kind for row in open_alarms(node)] == ["study_failed"]


def test_results_that_cannot_be_delivered_raise_an_alarm_and_no_report(node: Node) -> None:
    uid = node.receive(image("a"))
    node.put(uid, state="delivering")
    node.clock.pass_s(901)
    assert enforce(node) == 1
    assert node.table(schema.objects) == []
    (alarm,) = open_alarms(node)
    assert "delivered" in alarm.text
    assert node.study(uid).state == "delivering"


@pytest.mark.parametrize("state", ["delivered", "stored", "not assessed", "failed"])
def test_what_is_finished_has_no_deadline(node: Node, state: str) -> None:
    uid = node.receive(image("a"))
    node.put(uid, state=state)
    node.clock.pass_s(10_000)
    assert enforce(node) == 0


def test_a_result_that_comes_while_the_report_is_made_wins(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = node.receive(image("a"))
    node.clock.pass_s(901)

    def meanwhile(*arguments: Any) -> Any:
        node.put(uid, state="stored")
        return unassessed_reports(*arguments)

    monkeypatch.setattr("gateway.assess.deadline.unassessed_reports", meanwhile)
    assert enforce(node) == 0
    assert node.table(schema.objects) == []
    assert open_alarms(node) == []


def test_where_no_report_can_be_made_the_alarm_says_so(node: Node) -> None:
    node.receive(image("a"))
    for path in (node.spool.root / "instances").glob("*/*.dcm"):
        path.unlink()
    node.clock.pass_s(901)
    assert enforce(node) == 1
    assert "no report could be made" in open_alarms(node)[0].text


def test_a_report_that_would_contradict_an_earlier_one_stays_here(node: Node) -> None:
    uid = node.receive(image("a"))
    (report,) = unassessed_reports(node.database, node.settings, node.spool, Study(uid, 1))
    values = to_row(report) | {"sha256": "0" * 64}
    node.execute(schema.objects.insert().values(**values, study_instance_uid=uid, version=1, made=0.0))
    node.clock.pass_s(901)
    assert enforce(node) == 1
    assert node.study(uid).overdue == node.clock()
    assert "no report could be made" in open_alarms(node)[0].text


def test_one_unreadable_file_does_not_cost_the_study_its_report(node: Node) -> None:
    uid = node.receive(image("a"))
    node.receive(image("b", study="a"))
    (first,) = unassessed_reports(node.database, node.settings, node.spool, Study(uid, 1))
    file = node.scalars(schema.instances.c.file)[0]
    node.spool.path(file).write_bytes(b"no longer DICOM")
    (second,) = unassessed_reports(node.database, node.settings, node.spool, Study(uid, 1))
    assert first.sop_instance_uid != second.sop_instance_uid


def test_the_same_files_give_the_same_report(node: Node) -> None:
    uid = node.receive(image("a"))
    first = unassessed_reports(node.database, node.settings, node.spool, Study(uid, 1))
    node.clock.pass_s(5000)
    assert unassessed_reports(node.database, node.settings, node.spool, Study(uid, 1)) == first


@pytest.mark.full
def test_the_report_is_valid(node: Node) -> None:
    skip_without_validators()
    uid = node.receive(image("a"))
    node.receive(image("b", study="a", series="a"))
    (report,) = unassessed_reports(node.database, node.settings, node.spool, Study(uid, 1))
    path = node.spool.path(report.file)
    assert validation_errors([path]) == []
    assert pixelmed_errors([path]) == []
