"""Versions of a study by a fake clock: what joins which, and when a version is complete."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
import sqlalchemy as sa
from pydicom.uid import ComputedRadiographyImageStorage

from candor.study.provenance import derived_uid
from gateway.dimse.header import Head
from gateway.receive.journal import Journal, Received
from gateway.settings import Settings, Studies
from gateway.store import schema
from gateway.store.database import writing
from gateway.store.spool import Stored
from gateway.store.states import Priority, StudyState
from gateway.store.study import Study, complete, newest_version, priority_by_age, touch
from tests.gateway.conftest import Clock
from tests.gateway.network import image
from tests.gateway.node import Node

ALL_STATES = tuple(StudyState)


@pytest.fixture
def node(either: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(either, clock)
    yield node
    node.close()


def complete_versions(node: Node, settings: Studies) -> list[int]:
    query = sa.select(schema.studies.c.version).where(complete(node.clock(), settings))
    return [row[0] for row in node.rows(query)]


def test_images_of_a_version_prolong_its_quiet_period_and_its_deadline(node: Node) -> None:
    uid = node.receive(image("a"))
    node.clock.pass_s(7)
    node.receive(image("b", study="a", series="a"))
    row = node.study(uid)
    assert (row.images, row.first_image, row.last_image) == (2, node.clock() - 7, node.clock())
    assert row.deadline == node.clock() + 900
    assert row.state == "receiving"
    assert row.token == node.tokens.token(uid)


def test_the_quiet_period_counts_from_the_last_image(node: Node) -> None:
    node.receive(image("a"))
    node.clock.pass_s(9)
    node.receive(image("b", study="a"))
    node.clock.pass_s(9.9)
    assert complete_versions(node, node.settings.studies) == []
    node.clock.pass_s(0.1)
    assert complete_versions(node, node.settings.studies) == [1]


def test_without_a_quiet_period_a_study_is_complete_at_once(node: Node) -> None:
    node.receive(image("a"))
    assert complete_versions(node, Studies(quiet_s=0.0)) == [1]


def test_a_study_that_keeps_growing_is_cut_at_its_limit(node: Node) -> None:
    settings = Studies(growing_limit_s=30.0)
    for number in range(4):
        node.receive(image(str(number), study="a"))
        node.clock.pass_s(9)
    assert complete_versions(node, settings) == [1]
    assert complete_versions(node, Studies(growing_limit_s=37.0)) == []


def limited(node: Node, most: int) -> None:
    node.settings = node.settings.model_copy(update={"studies": Studies(max_images=most)})


def test_one_image_too_many_makes_a_study_complete(node: Node) -> None:
    limited(node, 2)
    uid = node.receive(image("a"))
    node.receive(image("b", study="a"))
    assert complete_versions(node, node.settings.studies) == []
    assert node.study(uid).over_limit is None
    node.receive(image("c", study="a"))
    assert complete_versions(node, node.settings.studies) == [1]
    assert node.study(uid).over_limit == node.clock()


def test_late_images_that_come_to_too_many_make_one_more_version_and_no_other(node: Node) -> None:
    limited(node, 2)
    uid = node.receive(image("a"))
    node.receive(image("b", study="a"))
    node.put(uid, state="delivered")
    node.receive(image("c", study="a"))
    assert node.study(uid, 2).over_limit == node.clock()
    for state in ("waiting", "running", "delivering", "not assessed", "failed"):
        node.put(uid, 2, state=state)
        before = node.study(uid, 2)
        node.clock.pass_s(1000)
        node.receive(image(state, study="a"))
        after = node.study(uid, 2)
        assert (after.state, after.images) == (state, before.images + 1)
        assert (after.last_image, after.deadline) == (before.last_image, before.deadline)
    assert node.scalars(schema.studies.c.version) == [1, 2]
    node.put(uid, 2, purged=node.clock())
    node.receive(image("d", study="a"))
    assert (node.study(uid, 3).images, node.study(uid, 3).over_limit) == (1, None)


def test_thousands_of_images_are_one_version_and_as_many_rows(node: Node) -> None:
    """More radiographs than any study has: what is no radiograph is not kept."""
    uid, most = derived_uid("large"), node.settings.studies.max_images
    journal = Journal(node.tokens, node.settings)
    for number in range(3459):
        sha256 = f"{number:064x}"
        head = Head(
            ComputedRadiographyImageStorage,
            derived_uid("large", str(number)),
            uid,
            derived_uid("series"),
            None,
            False,
            False,
        )
        stored = Stored(f"instances/{sha256[-2:]}/{sha256}.dcm", sha256, 1000)
        with writing(node.database) as connection:
            journal.record(connection, Received(stored, head, node.clock(), Priority.ROUTINE, "A", "B", "C"))
        if number >= most:  # as if the node answered at once
            node.put(uid, state="not assessed")
    (study,) = node.table(schema.studies)
    assert (study.version, study.images, study.over_limit) == (1, 3459, node.clock())
    count = sa.select(sa.func.count())
    assert (
        node.rows(count.select_from(schema.instances))
        == node.rows(count.select_from(schema.study_instances))
        == [(3459,)]
    )
    if node.database.dialect.name == "sqlite":
        assert sum(path.stat().st_size for path in node.spool.root.glob("gateway.db*")) < 50e6


@pytest.mark.parametrize("state", [state for state in StudyState if state is not StudyState.RECEIVING])
def test_a_late_image_makes_a_new_version_that_begins_with_the_earlier_images(node: Node, state: StudyState) -> None:
    uid = node.receive(image("a"))
    node.put(uid, state=state.value)
    node.clock.pass_s(100)
    node.receive(image("b", study="a"))
    first, second = node.study(uid, 1), node.study(uid, 2)
    assert (first.state, first.images) == (state.value, 1)
    assert (second.state, second.images, second.first_image) == ("receiving", 2, node.clock())
    linked = schema.study_instances.c.instance
    assert len(node.rows(sa.select(linked).where(schema.study_instances.c.version == 2))) == 2


def test_a_new_version_takes_over_nothing_that_was_superseded_or_purged(node: Node) -> None:
    uid = node.receive(image("a"))
    node.receive(image("b", study="a"))
    node.execute(schema.instances.update().where(schema.instances.c.id == 1).values(state="superseded"))
    node.put(uid, state="stored")
    node.receive(image("c", study="a"))
    assert node.study(uid, 2).images == 2
    node.put(uid, 2, state="stored", purged=1.0)
    node.receive(image("d", study="a"))
    assert node.study(uid, 3).images == 1


def test_a_version_is_as_urgent_as_its_most_urgent_image(node: Node) -> None:
    uid = node.receive(image("a"), Priority.BACKFILL)
    assert node.study(uid).priority == Priority.BACKFILL.value
    node.receive(image("b", study="a"), Priority.URGENT)
    node.receive(image("c", study="a"), Priority.ROUTINE)
    assert node.study(uid).priority == Priority.URGENT.value


def test_an_image_that_comes_by_an_older_clock_takes_nothing_back(node: Node) -> None:
    uid = node.receive(image("a"))
    node.clock.pass_s(-50)
    node.receive(image("b", study="a"))
    assert node.study(uid).last_image == node.clock() + 50


def test_the_same_bytes_again_are_no_image(node: Node) -> None:
    uid = node.receive(image("a"))
    node.put(uid, state="stored")
    node.receive(image("a"))
    assert node.scalars(schema.studies.c.version) == [1]


def test_an_image_joins_the_version_that_another_association_began_meanwhile(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = node.receive(image("a"))
    answers = iter([0, 1])  # the first look came before the other association's commit
    monkeypatch.setattr("gateway.store.study.newest_version", lambda connection, uid: next(answers))
    with writing(node.database) as connection:
        study = touch(connection, uid, "a" * 24, Priority.ROUTINE, node.clock(), node.settings.studies)
    assert study == Study(uid, 1)
    assert node.study(uid).images == 2


def test_no_log_line_or_traceback_shows_the_uid_of_a_study() -> None:
    study = Study("1.2.3.4", 2)
    assert repr(study) == str(study) == "Study(version=2)"
    assert study.before == Study("1.2.3.4", 1)
    assert study.key == {"study_instance_uid": "1.2.3.4", "version": 2}


def test_only_one_of_two_makes_a_change_of_state(node: Node) -> None:
    uid = node.receive(image("a"))
    with writing(node.database) as connection:
        assert newest_version(connection, uid) == 1
        assert Study(uid, 1).move(connection, (StudyState.RECEIVING,), StudyState.WAITING, queued=5.0)
        assert not Study(uid, 1).move(connection, (StudyState.RECEIVING,), StudyState.FAILED)
        assert not Study(uid, 2).move(connection, ALL_STATES, StudyState.FAILED)
    assert (node.study(uid).state, node.study(uid).queued) == ("waiting", 5.0)


@pytest.mark.parametrize(
    ("asked", "study_date", "expected"),
    [
        (Priority.URGENT, date(2026, 1, 1), Priority.URGENT),
        (Priority.URGENT, date(2025, 12, 25), Priority.URGENT),
        (Priority.URGENT, date(2025, 12, 24), Priority.BACKFILL),
        (Priority.ROUTINE, date(1999, 1, 1), Priority.BACKFILL),
        (Priority.ROUTINE, None, Priority.ROUTINE),
        (Priority.ROUTINE, date(2030, 1, 1), Priority.ROUTINE),
    ],
)
def test_studies_that_were_taken_long_ago_run_last(
    asked: Priority, study_date: date | None, expected: Priority
) -> None:
    assert priority_by_age(asked, study_date, date(2026, 1, 1), Studies(max_study_age_d=7.0)) is expected
