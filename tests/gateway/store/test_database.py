"""The database: its settings, its version, transactions of several processes, and the clock that is one for all."""

from __future__ import annotations

import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from candor.study.errors import SettingsError
from gateway.settings import Settings
from gateway.store.alarms import AlarmKind, clear_alarm, raise_alarm
from gateway.store.counters import count
from gateway.store.database import database_clock, database_now, open_database, upsert, writing
from gateway.store.migrate import _STEPS
from gateway.store.schema import alarms, counters, node_state, objects, schema_version
from tests.gateway.databases import empty_database


def test_sqlite_outlasts_a_power_loss_and_is_its_owners_alone(settings: Settings, database: sa.Engine) -> None:
    with database.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    file = Path(settings.database.removeprefix("sqlite:///"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_tables_are_made_once_and_their_version_is_checked(either: Settings) -> None:
    database = open_database(either.database)
    open_database(either.database).dispose()
    with database.begin() as connection:
        connection.execute(schema_version.update().values(version=0))
    with pytest.raises(SettingsError, match="tables of version 0, and this is version 3; drain the node"):
        open_database(either.database)
    with database.begin() as connection:
        connection.execute(schema_version.update().values(version=4))
    with pytest.raises(SettingsError, match="tables of version 4, and this is version 3; drain the node"):
        open_database(either.database)
    database.dispose()


OBJECT = {
    "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.59",
    "series_instance_uid": "1.2.3",
    "study_instance_uid": "1.2",
    "version": 1,
    "file": "a.dcm",
    "sha256": "0" * 64,
    "made": 1.0,
}
"""A row of the table of objects as version 1 had it, but for its UID and its kind."""


def make_version_1(database: sa.Engine) -> None:
    """Give the tables back the form of version 1, with a report and a rejection note."""
    with database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE objects DROP COLUMN editions"))
        connection.execute(sa.text("ALTER TABLE studies DROP COLUMN over_limit"))
        for column in ("deleted", "worklist_priority", "any_abnormality", "look_first"):
            connection.execute(sa.text(f"ALTER TABLE studies DROP COLUMN {column}"))
        connection.execute(sa.text("ALTER TABLE deliveries DROP COLUMN despite_shadow"))
        connection.execute(sa.text("ALTER TABLE destinations DROP COLUMN unanswered"))
        connection.execute(schema_version.update().values(version=1))
        for uid, kind in (("1.2.3.1", "sr"), ("1.2.3.2", "ko")):
            values = {"sop_instance_uid": uid, "kind": kind, **OBJECT}
            names = ", ".join(values)
            places = ", ".join(f":{name}" for name in values)
            connection.execute(sa.text(f"INSERT INTO objects ({names}) VALUES ({places})"), values)


def test_a_node_of_version_1_starts_with_its_tables(either: Settings) -> None:
    database = open_database(either.database)
    make_version_1(database)
    database.dispose()
    with ThreadPoolExecutor(5) as processes:  # all of a node's start at once
        for opened in processes.map(open_database, [either.database] * 5):
            opened.dispose()
    database = open_database(either.database)
    with writing(database) as connection:
        assert connection.execute(sa.select(schema_version.c.version)).scalars().all() == [3]
        new = {"sop_instance_uid": "1.2.3.3", "kind": "ko", "profiles": ["a"], **OBJECT}
        connection.execute(objects.insert().values(new))
        rows = connection.execute(sa.select(objects.c.kind, objects.c.profiles).order_by(objects.c.sop_instance_uid))
        assert rows.all() == [("sr", None), ("note", None), ("ko", ["a"])]
    database.dispose()


def test_a_migration_that_fails_leaves_the_tables_as_they_were(
    either: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(either.database)
    make_version_1(database)
    with monkeypatch.context() as patch:
        patch.setitem(_STEPS, 1, (*_STEPS[1], "UPDATE no_such_table SET a = 1"))
        with pytest.raises((SettingsError, sa.exc.ProgrammingError)):
            open_database(either.database)
    with database.connect() as connection:
        assert connection.execute(sa.select(schema_version.c.version)).scalars().all() == [1]
        assert "editions" not in {column["name"] for column in sa.inspect(connection).get_columns("objects")}
    database.dispose()


def test_a_database_that_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(
        SettingsError, match=r"postgresql\+psycopg://u:\*\*\*@127\.0\.0\.1:1/x cannot be used"
    ) as refused:
        open_database("postgresql://u:secret@127.0.0.1:1/x")
    assert "secret" not in str(refused.value)


def test_the_clock_is_the_databases(either: Settings) -> None:
    database = open_database(either.database)
    with database.connect() as connection:
        assert connection.execute(sa.select(database_now(database))).scalar() == pytest.approx(time.time(), abs=60)
    database.dispose()


def test_a_process_goes_by_the_databases_clock_whatever_its_machines_says(
    either: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(either.database)
    if database.dialect.name == "sqlite":
        assert database_clock(database) is time.time  # it is the machine's
        return
    real, ticks = time.time(), [50.0]
    monkeypatch.setattr(time, "time", lambda: real + 3600.0)
    clock = database_clock(database, lambda: ticks[0])
    first = clock()
    assert first == pytest.approx(real, abs=60)
    ticks[0] += 9.0
    assert clock() == first + 9.0  # counted on, without a look
    ticks[0] += 1.0
    assert clock() == pytest.approx(real, abs=60)
    database.dispose()
    with monkeypatch.context() as away:
        away.setattr(database, "connect", lambda: (_ for _ in ()).throw(sa.exc.OperationalError("", None, Exception())))
        last = clock()
        ticks[0] += 11.0
        assert clock() == last + 11.0
    database.dispose()


def test_upsert_inserts_updates_or_leaves(either: Settings) -> None:
    database = open_database(either.database)

    def put(value: str, *updated: str) -> str:
        with writing(database) as connection:
            connection.execute(upsert(database, node_state, {"key": "mode", "value": value}, *updated))
            return str(connection.execute(sa.select(node_state.c.value)).scalar())

    assert [put("a"), put("b"), put("c", "value")] == ["a", "a", "c"]
    database.dispose()


def test_writers_that_read_first_wait_for_each_other(either: Settings) -> None:
    database = open_database(either.database)

    def add() -> None:
        for _ in range(20):
            with writing(database) as connection:
                count(connection, "instances_received_total", peer="a")

    threads = [threading.Thread(target=add) for _ in range(4)]
    with writing(database) as connection:
        count(connection, "instances_received_total", 0.0, peer="a")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.connect() as connection:
        assert connection.execute(sa.select(counters.c.labels, counters.c.value)).all() == [('peer="a"', 80.0)]
    database.dispose()


def test_a_transaction_that_fails_leaves_nothing(either: Settings) -> None:
    database = open_database(either.database)

    def fail() -> None:
        with writing(database) as connection:
            count(connection, "x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.connect() as connection:
        assert connection.execute(sa.select(counters)).all() == []
    database.dispose()


def test_an_alarm_is_one_until_it_is_cleared(database: sa.Engine) -> None:
    raise_alarm(database, AlarmKind.DISK, "", "the disk is full", 1.0)
    raise_alarm(database, AlarmKind.DISK, "", "the disk is full", 2.0)
    raise_alarm(database, AlarmKind.DESTINATION, "pacs", "no answer", 2.0)
    clear_alarm(database, AlarmKind.DISK, "", 3.0)
    raise_alarm(database, AlarmKind.DISK, "", "again", 4.0)
    with database.connect() as connection:
        rows = connection.execute(
            sa.select(alarms.c.kind, alarms.c.raised, alarms.c.cleared).order_by(alarms.c.id)
        ).all()
    assert rows == [("disk", 1.0, 3.0), ("destination", 2.0, None), ("disk", 4.0, None)]


@pytest.fixture
def full_spool(tmp_path: Path) -> Path:
    folder = tmp_path / "full" / "instances" / "ab"
    folder.mkdir(parents=True)
    (folder / f"{'ab' * 32}.dcm").touch()
    return tmp_path / "full"


@pytest.mark.parametrize("left_behind", [None, b""])
def test_a_new_database_for_a_spool_with_images_is_refused(
    tmp_path: Path, full_spool: Path, left_behind: bytes | None
) -> None:
    file = tmp_path / "gateway.db"
    if left_behind is not None:
        file.write_bytes(left_behind)
    for _ in range(2):
        with pytest.raises(SettingsError, match=r"gateway.db is new, and the spool .*full holds images: .*--new-datab"):
            open_database(f"sqlite:///{file}", full_spool)
    open_database(f"sqlite:///{file}").dispose()
    open_database(f"sqlite:///{file}", full_spool).dispose()  # it is not new any more


def test_a_new_database_of_a_server_is_refused_too(postgresql: str, full_spool: Path) -> None:
    address = empty_database(postgresql, "node_new")
    with pytest.raises(SettingsError, match="is new, and the spool"):
        open_database(address, full_spool)
    open_database(address).dispose()
    open_database(address, full_spool).dispose()


def test_a_damaged_database_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "gateway.db"
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(SettingsError, match=r"gateway.db is damaged, or is no database; .* restore a backup"):
        open_database(f"sqlite:///{file}")
    file.unlink()
    open_database(f"sqlite:///{file}").dispose()
    content = bytearray(file.read_bytes())
    content[110:4096] = b"\xff" * (4096 - 110)
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="is damaged, or is no database"):
        open_database(f"sqlite:///{file}")


def test_a_server_that_is_away_is_one_clear_line() -> None:
    with pytest.raises(SettingsError, match=r"postgresql.*127.0.0.1:1/none cannot be used \(OperationalError\); check"):
        open_database("postgresql://node:secret@127.0.0.1:1/none")
