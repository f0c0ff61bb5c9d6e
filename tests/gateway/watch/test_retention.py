"""Retention: by age and by disk, never before delivery is sure."""

from __future__ import annotations

import errno
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.dimse.header import read_head
from gateway.receive.journal import Journal, Received
from gateway.settings import Keep, Settings, Studies
from gateway.store import schema
from gateway.store.database import writing
from gateway.store.mode import note_act, set_mode
from gateway.store.spool import Spool
from gateway.store.states import Mode, Priority
from gateway.store.study import Study
from gateway.watch.retention import retain
from tests.gateway.conftest import PACS, Clock
from tests.gateway.network import file_of, image
from tests.gateway.node import Node

DAY_S = 86400.0


DESTINATIONS = (PACS, PACS.model_copy(update={"name": "committing", "commitment": True}))


@pytest.fixture
def node(settings: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(settings.model_copy(update={"destinations": DESTINATIONS}), clock)
    yield node
    node.close()


@pytest.fixture
def node_of_either(either: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(either.model_copy(update={"destinations": DESTINATIONS}), clock)
    yield node
    node.close()


def assessed(node: Node, seed: str = "a") -> str:
    uid = node.receive(image(seed))
    node.wait(uid)
    node.assessor.assess(Study(uid, 1))
    return uid


def sweep(node: Node) -> int:
    return retain(node.database, node.settings, node.spool, node.jobs, node.clock())


def files(node: Node) -> list[str]:
    folders = [node.spool.root / name for name in ("instances", "studies")]
    return [path.name for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_what_is_older_than_its_days_goes_and_its_rows_stay(node_of_either: Node) -> None:
    node = node_of_either
    uid = assessed(node)
    node.clock.pass_s(7 * DAY_S - 1)
    assert sweep(node) == 0
    assert len(files(node)) == 4  # the image, its link, report, overlay
    node.clock.pass_s(1)
    assert sweep(node) == 1
    assert files(node) == []
    assert node.study(uid).purged == node.clock()
    assert len(node.table(schema.objects)) == 2
    assert len(node.table(schema.instances)) == 1
    assert sweep(node) == 0


def test_a_report_whose_file_is_gone_is_named_by_the_next(node: Node) -> None:
    uid = assessed(node)
    (report,) = [row for row in node.table(schema.objects) if row.kind == "sr"]
    node.clock.pass_s(8 * DAY_S)
    assert sweep(node) == 1
    node.receive(image("b", study="a"))
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    (named,) = node.application.predecessors[-1]
    four = (named.study_instance_uid, named.series_instance_uid, named.sop_class_uid, named.sop_instance_uid)
    assert four == (uid, report.series_instance_uid, report.sop_class_uid, report.sop_instance_uid)


def test_a_study_goes_with_all_its_versions_and_not_while_one_is_open(node_of_either: Node) -> None:
    node = node_of_either
    uid = assessed(node)
    node.clock.pass_s(8 * DAY_S)
    node.receive(image("b", study="a"))
    assert sweep(node) == 0
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    node.clock.pass_s(6 * DAY_S)
    assert sweep(node) == 0
    node.clock.pass_s(DAY_S)
    assert sweep(node) == 1
    assert files(node) == []
    assert node.study(uid, 1).purged == node.study(uid, 2).purged == node.clock()


@pytest.mark.parametrize(
    ("pacs", "committing", "goes"),
    [
        ("sent", "committed", True),
        ("committed", "committed", True),
        ("due", "committed", False),
        ("dead", "committed", False),
        ("sent", "sent", False),
        ("sent", "due", False),
    ],
)
def test_nothing_goes_before_its_delivery_is_sure(node: Node, pacs: str, committing: str, goes: bool) -> None:
    set_mode(node.database, Mode.LIVE, "operator", node.clock())
    uid = assessed(node)
    node.put(uid, state="delivered", finished=node.clock())
    for name, state in (("pacs", pacs), ("committing", committing)):
        table = schema.deliveries
        node.execute(table.update().where(table.c.destination == name).values(state=state))
    node.clock.pass_s(100 * DAY_S)
    assert sweep(node) == int(goes)
    assert (files(node) == []) is goes


def test_when_the_disk_fills_the_oldest_go_first_and_only_as_many_as_are_needed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = []
    for seed in "cab":
        uids.append(assessed(node, seed))
        node.clock.pass_s(60)
    waiting = node.receive(image("d"))
    node.settings = node.settings.model_copy(update={"keep": Keep(purge_below_gib=10.0)})
    monkeypatch.setattr(Spool, "free_bytes", lambda spool: (13 - len(list(spool.root.glob("studies/*")))) << 30)
    assert sweep(node) == 0  # 10 GiB are free
    monkeypatch.setattr(Spool, "free_bytes", lambda spool: (11 - len(list(spool.root.glob("studies/*")))) << 30)
    assert sweep(node) == 2
    assert [node.study(uid).purged is not None for uid in (*uids, waiting)] == [True, True, False, False]


def test_a_study_that_comes_to_life_while_a_sweep_looks_stays(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = assessed(node)
    node.clock.pass_s(8 * DAY_S)

    def late(database: Any) -> Any:
        monkeypatch.undo()
        node.receive(image("b", study="a"))
        return writing(database)

    monkeypatch.setattr("gateway.watch.retention.writing", late)
    assert sweep(node) == 0
    assert node.study(uid).purged is None
    assert len(files(node)) == 5


def test_own_results_the_trail_and_old_alarms_go_too(node_of_either: Node) -> None:
    node = node_of_either
    uid = node.receive(image("a"))
    node.execute(schema.instances.update().values(state="own result"))
    node.execute(schema.studies.delete())
    values = {"kind": "disk", "subject": "", "text": "", "raised": node.clock()}
    node.execute(schema.alarms.insert().values(values | {"cleared": node.clock()}))
    node.execute(schema.alarms.insert().values(values))
    with writing(node.database) as connection:
        note_act(connection, "operator", "replay", node.tokens.token(uid), node.clock())
    node.clock.pass_s(8 * DAY_S)
    sweep(node)
    assert files(node) == []
    assert len(node.table(schema.alarms)) == 2
    assert len(node.table(schema.audit_trail)) == 1
    node.clock.pass_s(360 * DAY_S)
    sweep(node)
    assert [row.cleared for row in node.table(schema.alarms)] == [None]
    assert node.table(schema.audit_trail) == []


def test_what_comes_again_after_it_was_purged_is_assessed_again_and_not_sent_again(node_of_either: Node) -> None:
    node = node_of_either
    set_mode(node.database, Mode.LIVE, "operator", node.clock())
    uid = node.receive(image("a"))
    node.receive(image("b", study="a"))
    node.wait(uid)
    node.assessor.assess(Study(uid, 1))
    node.put(uid, state="delivered", finished=node.clock())
    node.execute(schema.deliveries.update().values(state="committed"))
    before = [(row.sop_instance_uid, row.sha256) for row in node.table(schema.objects)]
    node.receive(image("a"))
    assert node.scalars(schema.studies.c.version) == [1]
    node.clock.pass_s(8 * DAY_S)
    assert sweep(node) == 1
    node.receive(image("a"))
    node.receive(image("b", study="a"))
    assert (node.study(uid, 2).state, node.study(uid, 2).images) == ("receiving", 2)
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    assert node.study(uid, 2).state == "delivering"
    assert [(row.sop_instance_uid, row.sha256) for row in node.table(schema.objects)] == before
    assert all(node.spool.path(row.file).is_file() for row in node.table(schema.objects))
    assert {row.state for row in node.table(schema.deliveries)} == {"committed"}


def test_receipt_and_retention_of_a_study_keep_apart(node_of_either: Node) -> None:
    """A sweep that comes while an image of the study is being recorded waits, and then leaves the study alone."""
    node = node_of_either
    uid = assessed(node)
    node.clock.pass_s(8 * DAY_S)
    stored = node.spool.store(file_of(image("b", study="a")))
    received = Received(stored, read_head(node.spool.path(stored.file)), node.clock(), Priority.ROUTINE, "A", "B", "C")
    purged: list[int] = []
    thread = threading.Thread(target=lambda: purged.append(sweep(node)))
    with writing(node.database) as connection:
        Journal(node.tokens, node.settings).record(connection, received)
        thread.start()
        if node.database.dialect.name == "postgresql":
            wait_for(
                lambda: bool(node.rows(sa.text("SELECT 1 FROM pg_locks WHERE NOT granted"))) or not thread.is_alive()
            )
    thread.join(60)
    assert purged == [0]
    assert node.study(uid, 2).images == 2
    assert all(node.spool.path(file).is_file() for file in node.scalars(schema.instances.c.file))


def wait_for(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_a_result_that_came_again_stays_its_days_anew(node: Node) -> None:
    node.receive(image("a"))
    node.execute(schema.instances.update().values(state="own result"))
    node.execute(schema.study_instances.delete())
    node.execute(schema.studies.delete())
    node.clock.pass_s(8 * DAY_S)
    node.receive(image("a"))
    sweep(node)
    assert len(files(node)) == 1
    node.clock.pass_s(8 * DAY_S)
    sweep(node)
    assert files(node) == []


def test_a_study_over_the_limit_goes_as_any_other(node: Node) -> None:
    node.settings = node.settings.model_copy(update={"studies": Studies(max_images=2)})
    uid = assessed(node)
    for seed in "bcd":
        node.receive(image(seed, study="a"))
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    node.receive(image("e", study="a"))
    node.clock.pass_s(8 * DAY_S)
    assert sweep(node) == 1
    assert files(node) == []


def test_a_purge_that_is_cut_short_is_finished_by_the_next_sweep(
    node_of_either: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = node_of_either
    uid, other = assessed(node), assessed(node, "b")
    node.clock.pass_s(8 * DAY_S)

    def fails(*_: Any) -> None:
        raise OSError(errno.EIO, "the disk fails")

    with monkeypatch.context() as broken:
        broken.setattr("gateway.watch.retention._delete_tree", fails)
        assert sweep(node) == 2
    assert [(node.study(each).purged, node.study(each).deleted) for each in (uid, other)] == [(node.clock(), None)] * 2
    assert len(files(node)) == 6  # links, reports, overlays
    assert sweep(node) == 0
    assert files(node) == []
    assert list((node.spool.root / "studies").iterdir()) == []
    assert node.study(uid).deleted == node.clock()


def test_the_database_is_free_while_a_tree_is_deleted(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = assessed(node)
    node.clock.pass_s(8 * DAY_S)
    rmtree, received = shutil.rmtree, []

    def slow(*arguments: Any, **options: Any) -> None:
        received.append(node.receive(image("b", study="a")))
        rmtree(*arguments, **options)

    monkeypatch.setattr(shutil, "rmtree", slow)
    assert sweep(node) == 1
    assert received == [uid]
    node.wait(uid, 2)
    node.assessor.assess(Study(uid, 2))
    assert node.study(uid, 2).disposition is not None


def test_what_comes_again_while_its_study_goes_stays(node_of_either: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node = node_of_either
    uid = assessed(node)
    node.clock.pass_s(8 * DAY_S)
    calls = iter(range(9))

    def late(database: Any) -> Any:
        if next(calls) == 1:  # the study is marked, and no file is deleted yet
            node.receive(image("a"))
        return writing(database)

    monkeypatch.setattr("gateway.watch.retention.writing", late)
    assert sweep(node) == 1
    assert node.study(uid, 2).images == 1
    (file,) = node.scalars(schema.instances.c.file)
    assert node.spool.path(file).is_file()
    assert (node.study(uid, 1).deleted, node.study(uid, 2).purged) == (node.clock(), None)
