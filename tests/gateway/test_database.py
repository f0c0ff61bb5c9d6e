"""The database: its settings, its version, transactions of several processes, and the clock that is one for all."""

from __future__ import annotations

import stat
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from cxr.errors import SettingsError
from gateway.alarms import AlarmKind, clear_alarm, raise_alarm
from gateway.counters import count
from gateway.database import database_now, open_database, upsert, writing
from gateway.schema import alarms, counters, node_state, schema_version
from gateway.settings import Settings


def test_sqlite_outlasts_a_power_loss_and_is_its_owners_alone(settings: Settings, engine: sa.Engine) -> None:
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    file = Path(settings.database.removeprefix("sqlite:///"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_tables_are_made_once_and_their_version_is_checked(either: Settings) -> None:
    engine = open_database(either.database)
    open_database(either.database).dispose()
    with engine.begin() as connection:
        connection.execute(schema_version.update().values(version=0))
    with pytest.raises(SettingsError, match="tables of version 0, and this is version 1; drain the node"):
        open_database(either.database)
    engine.dispose()


def test_a_database_that_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(
        SettingsError, match=r"postgresql\+psycopg://u:\*\*\*@127\.0\.0\.1:1/x cannot be used"
    ) as refused:
        open_database("postgresql://u:secret@127.0.0.1:1/x")
    assert "secret" not in str(refused.value)


def test_the_clock_is_the_databases(either: Settings) -> None:
    engine = open_database(either.database)
    with engine.connect() as connection:
        assert connection.execute(sa.select(database_now(engine))).scalar() == pytest.approx(time.time(), abs=60)
    engine.dispose()


def test_upsert_inserts_updates_or_leaves(either: Settings) -> None:
    engine = open_database(either.database)

    def put(value: str, *updated: str) -> str:
        with writing(engine) as connection:
            connection.execute(upsert(engine, node_state, {"key": "mode", "value": value}, *updated))
            return str(connection.execute(sa.select(node_state.c.value)).scalar())

    assert [put("a"), put("b"), put("c", "value")] == ["a", "a", "c"]
    engine.dispose()


def test_writers_that_read_first_wait_for_each_other(either: Settings) -> None:
    engine = open_database(either.database)

    def add() -> None:
        for _ in range(20):
            with writing(engine) as connection:
                count(connection, "instances_received_total", peer="a")

    threads = [threading.Thread(target=add) for _ in range(4)]
    with writing(engine) as connection:
        count(connection, "instances_received_total", 0.0, peer="a")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.connect() as connection:
        assert connection.execute(sa.select(counters.c.labels, counters.c.value)).all() == [('peer="a"', 80.0)]
    engine.dispose()


def test_a_transaction_that_fails_leaves_nothing(either: Settings) -> None:
    engine = open_database(either.database)

    def fail() -> None:
        with writing(engine) as connection:
            count(connection, "x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with engine.connect() as connection:
        assert connection.execute(sa.select(counters)).all() == []
    engine.dispose()


def test_an_alarm_is_one_until_it_is_cleared(engine: sa.Engine) -> None:
    raise_alarm(engine, AlarmKind.DISK, "", "the disk is full", 1.0)
    raise_alarm(engine, AlarmKind.DISK, "", "the disk is full", 2.0)
    raise_alarm(engine, AlarmKind.DESTINATION, "pacs", "no answer", 2.0)
    clear_alarm(engine, AlarmKind.DISK, "", 3.0)
    raise_alarm(engine, AlarmKind.DISK, "", "again", 4.0)
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(alarms.c.kind, alarms.c.raised, alarms.c.cleared).order_by(alarms.c.id)
        ).all()
    assert rows == [("disk", 1.0, 3.0), ("destination", 2.0, None), ("disk", 4.0, None)]
