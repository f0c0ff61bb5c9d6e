"""The journal after a crash: what has a file gets a row, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.dimse.header import part_10_header, read_head
from gateway.receive.journal import Journal, Received
from gateway.settings import Settings
from gateway.store import schema
from gateway.store.database import open_database, writing
from gateway.store.spool import Spool
from gateway.store.states import Priority
from gateway.store.tokens import Tokens
from tests.gateway.conftest import Clock
from tests.gateway.network import file_of, image, rejection_note

KILLED = """
import os, signal, sys
from pathlib import Path
from gateway.receive import journal
from gateway.store.database import open_database
from gateway.receive.receiver import Receiver
from gateway.settings import load_settings
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

journal.Journal.record = die
settings = load_settings(Path(sys.argv[1]))
settings = settings.model_copy(update={"receive": settings.receive.model_copy(update={"port": 0})})
spool = Spool(Path(settings.spool))
receiver = Receiver(settings, open_database(settings.database), spool, Tokens(spool.root), None)
receiver.start()
print(receiver.port, flush=True)
import time
time.sleep(60)
"""


@pytest.fixture
def both(either: Settings) -> Iterator[sa.Engine]:
    """SQLite, then PostgreSQL."""
    database = open_database(either.database)
    yield database
    database.dispose()


@pytest.fixture
def journal(tokens: Tokens, settings: Settings) -> Journal:
    return Journal(tokens, settings)


def rows(database: sa.Engine, table: sa.Table = schema.instances) -> list[sa.Row[tuple[object, ...]]]:
    with database.connect() as connection:
        return list(connection.execute(sa.select(table)))


def test_a_receiver_killed_between_file_and_row(
    tmp_path: Path, settings: Settings, database: sa.Engine, spool: Spool, journal: Journal
) -> None:
    """The sender hears nothing, and the next start finds the image all the same."""
    from tests.gateway.network import store

    config = tmp_path / "gateway.yaml"
    config.write_text(
        f"database: {settings.database}\nspool: {settings.spool}\n"
        "receive: {host: 127.0.0.1}\nkeep: {reserve_gib: 0.0}\n"
    )
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(config)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        port = int(process.stdout.readline())
    assert "Status" not in store(port, image())
    assert process.wait(30) == -signal.SIGKILL
    assert not rows(database)
    assert len(list(spool.instances())) == 1

    assert journal.reconcile(database, spool) == 1
    (row,) = rows(database)
    assert row.sop_instance_uid == image().SOPInstanceUID
    assert rows(database, schema.studies)[0].images == 1
    assert journal.reconcile(database, spool) == 0


def test_who_sent_it_is_filled_in_when_it_comes_again(
    both: sa.Engine, spool: Spool, journal: Journal, clock: Clock
) -> None:
    stored = spool.store(file_of(image()))
    journal.reconcile(both, spool)
    assert rows(both)[0].calling_ae_title == ""
    head = read_head(spool.path(stored.file))
    again = Received(stored, head, clock(), Priority.ROUTINE, "MODALITY", "CANDOR", "192.0.2.1")
    with writing(both) as connection:
        assert not journal.record(connection, again)
    (row,) = rows(both)
    assert (row.calling_ae_title, row.called_ae_title, row.peer) == ("MODALITY", "CANDOR", "192.0.2.1")


def test_a_sender_is_filled_in_where_it_is_missing_and_nowhere_else(
    database: sa.Engine, spool: Spool, journal: Journal, clock: Clock
) -> None:
    """Where results go may depend on who sent the images."""
    files = [spool.store(file_of(image(seed))).file for seed in "ab"]
    journal.reconcile(database, spool)
    for title in ("FIRST", "SECOND"):
        stored = spool.store(file_of(image("a")))
        again = Received(stored, read_head(spool.path(stored.file)), clock(), Priority.ROUTINE, title, "CANDOR", "C")
        with writing(database) as connection:
            journal.record(connection, again)
    assert {row.file: row.calling_ae_title for row in rows(database)} == {files[0]: "FIRST", files[1]: ""}


def test_an_image_that_comes_again_keeps_the_time_when_it_came_first(
    database: sa.Engine, spool: Spool, journal: Journal, clock: Clock
) -> None:
    stored = spool.store(file_of(image()))
    head, first = read_head(spool.path(stored.file)), clock()
    for _ in range(2):
        with writing(database) as connection:
            journal.record(connection, Received(stored, head, clock(), Priority.ROUTINE, "A", "B", "C"))
        clock.pass_s(60)
    assert [row.received for row in rows(database)] == [first]


def test_a_row_found_by_its_file_has_the_files_time_and_urgency(
    database: sa.Engine, spool: Spool, journal: Journal
) -> None:
    stored = spool.store(file_of(image(RequestedProcedurePriority="STAT", StudyDate="")))
    os.utime(spool.path(stored.file), (1.7e9, 1.7e9))
    journal.reconcile(database, spool)
    (row,) = rows(database)
    assert (row.received, row.priority, row.bytes) == (1.7e9, Priority.URGENT.value, stored.bytes)


def test_a_file_that_is_no_image_is_left_alone(database: sa.Engine, spool: Spool, journal: Journal) -> None:
    spool.store(b"not DICOM")
    spool.store(part_10_header("1.2.3", "1.2.4", "1.2.840.10008.1.2"))
    assert journal.reconcile(database, spool) == 0
    assert not rows(database)
    assert len(list(spool.instances())) == 2


def test_a_rejection_note_without_a_row_is_read(database: sa.Engine, spool: Spool, journal: Journal) -> None:
    """A crash between its file and its row must not lose what it says."""
    rejected = image("1")
    assert spool.store(file_of(rejected))
    assert spool.store(file_of(rejection_note("113001", rejected)))
    assert journal.reconcile(database, spool) == 2
    assert {row.state for row in rows(database)} == {"rejected", "rejection note"}


def test_two_associations_with_the_same_bytes_make_one_row(
    both: sa.Engine, spool: Spool, journal: Journal, clock: Clock
) -> None:
    stored = spool.store(file_of(image()))
    received = Received(stored, read_head(spool.path(stored.file)), clock(), Priority.ROUTINE, "A", "B", "C")
    new: list[bool] = []

    def record() -> None:
        with writing(both) as connection:
            new.append(journal.record(connection, received))

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(new) == [False, False, False, True]
    counted = {(row.name, row.labels): row.value for row in rows(both, schema.counters)}
    assert counted == {("instances_received_total", 'state="kept"'): 1.0, ("instances_again_total", ""): 3.0}


def test_a_crash_before_the_commit_leaves_neither_row_nor_study(
    both: sa.Engine, spool: Spool, journal: Journal, clock: Clock
) -> None:
    stored = spool.store(file_of(image()))
    received = Received(stored, read_head(spool.path(stored.file)), clock(), Priority.ROUTINE, "A", "B", "C")

    def crash() -> None:
        with writing(both) as connection:
            journal.record(connection, received)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert not rows(both)
    assert not rows(both, schema.studies)
    assert not rows(both, schema.counters)
