"""Rejection notes of others: the results of the images that they name are withdrawn, and the rest is assessed anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from pydicom import Dataset

from gateway.assess.rejections import Named, note_rejections
from gateway.deliver import withdrawal
from gateway.deliver.withdrawal import withdraw_rejected
from gateway.settings import Settings, Work
from gateway.store import schema
from gateway.store.alarms import AlarmKind
from gateway.store.database import writing
from gateway.store.mode import set_mode
from gateway.store.states import Mode
from gateway.store.study import Study
from tests.gateway.conftest import PACS, Clock
from tests.gateway.network import image, reread
from tests.gateway.node import Node
from tests.spoilt import spoil_function, without_language

FIRST, SECOND = image("1", study="a"), image("2", study="a")


@pytest.fixture
def node(settings: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(settings.model_copy(update={"destinations": (PACS,), "work": Work(max_tries=3)}), clock)
    set_mode(node.database, Mode.LIVE, "operator", clock())
    yield node
    node.close()


def answer(node: Node, *images: Dataset, version: int = 1) -> str:
    for each in images:
        uid = node.receive(each)
    node.wait(uid, version)
    node.assessor.assess(Study(uid, version))
    return uid


def reject(node: Node, *images: Dataset, code: str = "113037") -> None:
    with writing(node.database) as connection:
        note_rejections(
            connection, [Named(each.StudyInstanceUID, each.SOPInstanceUID, code) for each in images], node.clock()
        )


def withdraw(node: Node) -> int:
    return withdraw_rejected(node.database, node.settings, node.spool, node.jobs, node.clock())


def send_all(node: Node) -> None:
    node.execute(schema.deliveries.update().values(tries=1, state="sent"))


def notes(node: Node) -> list[Dataset]:
    rows = node.rows(sa.select(schema.objects.c.file).where(schema.objects.c.kind == "note"))
    return [reread(node.spool.path(row.file)) for row in rows]


@pytest.mark.parametrize(
    ("codes", "title"),
    [
        (["113001"], "113001"),
        (["113037"], "113037"),
        (["113038"], "113038"),
        (["113039"], "113039"),
        (["113039", "113037"], "113037"),  # the gravest
    ],
)
def test_results_that_went_out_are_rejected_for_the_same_reason(node: Node, codes: list[str], title: str) -> None:
    uid = answer(node, FIRST, SECOND)
    send_all(node)
    for code in codes:
        reject(node, FIRST if code == codes[0] else SECOND, code=code)
    assert withdraw(node) == 1
    (note,) = notes(node)
    assert note.ConceptNameCodeSequence[0].CodeValue == title
    results = node.rows(sa.select(schema.objects.c.sop_instance_uid).where(schema.objects.c.kind != "note"))
    named = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in note.ContentSequence
        if "ReferencedSOPSequence" in item
    }
    assert named == {row.sop_instance_uid for row in results}
    assert sorted(node.scalars(schema.deliveries.c.state)) == ["due", "recalled", "recalled"]
    assert node.study(uid).reason == "withdrawn: a rejection note names an image of it"
    assert withdraw(node) == 0
    assert len(notes(node)) == 1


def test_what_was_not_sent_is_never_sent(node: Node) -> None:
    answer(node, FIRST)
    reject(node, FIRST)
    assert withdraw(node) == 1
    assert node.scalars(schema.deliveries.c.state) == ["recalled", "recalled"]
    assert notes(node) == []


def test_what_is_left_of_a_study_is_assessed_again(node: Node) -> None:
    """Even though its images are those of the version before, whose results do not hold any more."""
    uid = answer(node, FIRST, SECOND)
    send_all(node)
    reject(node, FIRST)
    assert withdraw(node) == 1
    assert node.study(uid, 2).state == "receiving"
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    assert node.study(uid, 2).state == "delivering"
    assert node.application.seen == [[FIRST.SOPInstanceUID, SECOND.SOPInstanceUID], [SECOND.SOPInstanceUID]]


def test_a_study_without_other_images_is_not_assessed_again(node: Node) -> None:
    uid = answer(node, FIRST)
    reject(node, FIRST)
    assert withdraw(node) == 1
    assert [row.version for row in node.table(schema.studies)] == [1]
    assert node.receive(FIRST) == uid  # the same bytes again
    assert [row.version for row in node.table(schema.studies)] == [1]


def test_a_study_that_waits_goes_on_without_the_image(node: Node) -> None:
    uid = node.receive(FIRST)
    node.receive(SECOND)
    reject(node, FIRST)
    assert withdraw(node) == 1
    node.wait(uid)
    node.assessor.assess(Study(uid, 1))
    assert node.application.seen == [[SECOND.SOPInstanceUID]]
    assert [row.version for row in node.table(schema.studies)] == [1]


def test_a_study_whose_images_were_all_rejected_before_its_turn_gets_no_report(node: Node) -> None:
    uid = node.receive(FIRST)
    reject(node, FIRST)
    node.wait(uid)
    node.assessor.assess(Study(uid, 1))
    row = node.study(uid)
    assert (row.state, row.finished, row.disposition) == ("not assessed", node.clock(), "not assessed")
    assert row.reason == "a rejection note names all of its images"
    assert node.table(schema.objects) == []
    assert node.application.seen == []
    assert withdraw(node) == 1


def test_a_study_that_is_being_assessed_waits(node: Node) -> None:
    uid = answer(node, FIRST)
    node.put(uid, state="running")
    reject(node, FIRST)
    assert withdraw(node) == 0
    node.put(uid, state="delivering")
    assert withdraw(node) == 1
    assert node.scalars(schema.deliveries.c.state) == ["recalled", "recalled"]


def test_a_study_that_begins_while_its_results_are_withdrawn_waits(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = node.receive(FIRST)
    reject(node, FIRST)

    def begin(*_: object) -> list[object]:
        node.put(uid, state="running")
        return []

    monkeypatch.setattr(withdrawal, "answers_to", begin)
    assert withdraw(node) == 0
    monkeypatch.undo()
    node.put(uid, state="stored")
    assert withdraw(node) == 1


def test_only_versions_with_the_image_are_withdrawn(node: Node) -> None:
    answer(node, FIRST)
    send_all(node)
    answer(node, SECOND, version=2)
    reject(node, SECOND)
    assert withdraw(node) == 1
    states = node.rows(
        sa.select(schema.objects.c.version, schema.deliveries.c.state)
        .join(schema.deliveries, schema.deliveries.c.sop_instance_uid == schema.objects.c.sop_instance_uid)
        .distinct()
    )
    assert sorted(map(tuple, states)) == [(1, "sent"), (2, "recalled")]


def test_results_whose_files_are_gone_raise_an_alarm(node: Node) -> None:
    answer(node, FIRST)
    send_all(node)
    for row in node.table(schema.objects):
        node.spool.path(row.file).unlink()
    reject(node, FIRST)
    assert withdraw(node) == 1
    (alarm,) = node.table(schema.alarms)
    assert alarm.kind == AlarmKind.RECALL.value
    assert "reject them in the archive" in alarm.text


def test_a_note_that_fails_the_check_has_its_alarm_and_is_made_once(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(node, FIRST)
    send_all(node)
    spoil_function(monkeypatch, "gateway.deliver.recall.build_rejection_note", without_language)
    reject(node, FIRST)
    assert withdraw(node) == 1
    assert withdraw(node) == 0
    assert [row.kind for row in node.table(schema.alarms)] == [AlarmKind.RECALL.value]


def test_a_note_about_images_that_never_came_is_done(node: Node) -> None:
    reject(node, FIRST)
    assert withdraw(node) == 1
    assert withdraw(node) == 0
