"""The page about backups, word by word: saved while studies arrive, killed, wiped, restored; nothing is lost."""

from __future__ import annotations

import shutil
import signal
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.node.crash import Node, Pacs, accepts, radiographs, send, wait_for
from gateway.store.schema import instances, objects, studies
from gateway.store.states import StudyState
from tests.conftest import ROOT
from tests.docs.commands import commands
from tests.docs.sandbox import Sandbox
from tests.gateway.databases import empty_database, make_template, new_database, server
from tools.small_pacs import received

PAGE = "docs/how-to/back-up-and-restore.md"
BEFORE, DURING, AFTER = 3, 4, 2
"""Studies: assessed before the backup, received between that of the database and that of the files, sent after it."""


class Page:
    """The commands of the page, each to be run once; those of the other database are left out."""

    def __init__(self, sandbox: Sandbox, database: str) -> None:
        self._sandbox = sandbox
        steps = [command for command in commands(PAGE) if command.module != "gateway"]  # the test starts the node
        dump, load = (step for step in steps if step.text.startswith(("pg_dump", "pg_restore")))
        instead = {"sqlite3 spool": dump, "cp backup/gateway.db": load}
        self._left = [step for step in steps if step not in (dump, load)]
        if not database.startswith("sqlite"):  # each in the place that the page names
            kept = [step for step in self._left if not step.text.startswith("sqlite3 backup")]
            self._left = [
                next((i for start, i in instead.items() if step.text.startswith(start)), step) for step in kept
            ]

    def run(self, last: Callable[[str], bool]) -> None:
        """Run as far as a command, and that one too."""
        while True:
            command = self._left.pop(0)
            self._sandbox.run(command)
            if last(command.text):
                return

    def run_rest(self) -> None:
        """Run what is left."""
        while self._left:
            self._sandbox.run(self._left.pop(0))


@pytest.mark.full
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_was_backed_up_goes_on_with_the_same_uids(tmp_path: Path, kind: str) -> None:
    if kind == "sqlite":
        round_trip(tmp_path, "sqlite:///spool/gateway.db", None)
        return
    with server() as address:
        make_template(address)
        round_trip(tmp_path, new_database(address, "node"), empty_database(address, "restored"))


def round_trip(folder: Path, database: str, restored: str | None) -> None:
    """Back up, lose everything, restore, and count.

    Parameters
    ----------
    restored
        An empty database; None where it is a file.
    """
    pacs = Pacs(folder / "pacs")
    node = Node(folder / "node", folder / "models", pacs.port, database=database)
    sandbox = Sandbox(node.folder, {"DATABASE": database})
    shutil.copytree(ROOT / "models", node.folder / "models")
    node.settings |= {"spool": "spool", "work": {"models": "models", "application": "app.yaml"}}
    node.write()
    page = Page(sandbox, database)
    sent = radiographs(BEFORE + DURING + AFTER)
    pacs.start()
    try:
        start(node)
        assert [send(node.port, image) for image in sent[:BEFORE]] == [0] * BEFORE
        wait_for(lambda: in_state(node, StudyState.DELIVERED) == BEFORE, 120.0, "the first studies")
        page.run(lambda text: "backup/gateway." in text)
        assert [send(node.port, image) for image in sent[BEFORE:-AFTER]] == [0] * DURING
        page.run(lambda text: text.startswith("cp -R gateway.yaml"))
        assert [send(node.port, image) for image in sent[-AFTER:]] == [0] * AFTER
        lose(node, "backup")
        sandbox.values["DATABASE"] = restored or database
        page.run_rest()
        if restored:
            node.settings["database"] = restored
            node.write()
        node.start()
        wait_for(lambda: accepts(node.port), 60.0, "the receiver")
        wait_for(lambda: in_state(node, StudyState.DELIVERED) == BEFORE + DURING, 180.0, "what was backed up")
        assert node.log().count('"file without row got one"') == DURING
        again = sent[:2] + sent[-AFTER:]  # two that it has, and what was lost
        assert [send(node.port, image) for image in again] == [0] * len(again)
        wait_for(lambda: in_state(node, StudyState.DELIVERED) == len(sent), 180.0, "all")
        assert node.stop() == 0
        agree(node, pacs, len(sent))
    finally:
        node.stop()
        pacs.stop()


def start(node: Node) -> None:
    """Start it live."""
    node.command("live", "--reason", "a test", "--foreign-fit", "a test")
    node.start()
    wait_for(lambda: accepts(node.port), 60.0, "the receiver")


def in_state(node: Node, state: StudyState) -> int:
    """How many studies are in a state."""
    engine = engine_of(node)
    with engine.connect() as connection:
        found = sa.select(sa.func.count()).select_from(studies).where(studies.c.state == state.value)
        number = connection.execute(found).scalar_one()
    engine.dispose()
    return int(number)


def engine_of(node: Node) -> sa.Engine:
    """The node's database, whose name counts from its folder."""
    url = str(node.settings["database"]).replace("postgresql://", "postgresql+psycopg://", 1)
    return sa.create_engine(url.replace("sqlite:///", f"sqlite:///{node.folder}/"))


def lose(node: Node, kept: str) -> None:
    """Kill every process of the node at once, as a power failure would, and delete all but the backup."""
    assert node._process is not None
    node._process.send_signal(signal.SIGKILL)
    node._process.wait()
    node._process = None
    for kind in ("receive", "work", "deliver", "upkeep", "web"):
        node.kill(kind)
    ended = ("receive", "work", "deliver", "upkeep")
    wait_for(lambda: not any(node.processes(kind) for kind in ended), 30.0, "the end")
    for name in ("spool", "models"):
        shutil.rmtree(node.folder / name)
    for name in ("gateway.yaml", "app.yaml"):
        (node.folder / name).unlink()
    assert (node.folder / kept).is_dir()


def agree(node: Node, pacs: Pacs, number: int) -> None:
    """No study without results, no UID with two contents, no image twice, and only its owner can read the spool."""
    contents: dict[str, set[str]] = defaultdict(set)
    for line in received(pacs.folder):
        contents[line["sop_instance_uid"]].add(line["sha256"])
    assert {len(found) for found in contents.values()} == {1}
    engine = engine_of(node)
    with engine.connect() as connection:
        made = set(connection.execute(sa.select(objects.c.sop_instance_uid)).scalars())
        versions = connection.execute(sa.select(studies.c.study_instance_uid, studies.c.version)).all()
        images = connection.execute(sa.select(sa.func.count()).select_from(instances)).scalar_one()
    engine.dispose()
    assert made == set(contents)
    assert sorted(row.version for row in versions) == [1] * number
    assert images == number
    assert (node.folder / "spool" / "token.key").stat().st_mode & 0o077 == 0
    assert (node.folder / "backup" / "spool.tar").stat().st_mode & 0o077 == 0
