"""Open the node's database: SQLite in WAL mode on one machine, PostgreSQL where several share the work."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from candor.files.privacy import name_of
from candor.study.errors import SettingsError
from gateway.logs import log_event
from gateway.store.migrate import migrate
from gateway.store.schema import VERSION, metadata, schema_version

_BUSY_S: Final = 30
"""How long one process waits for another's transaction."""

_RESTORE: Final = "correct the setting 'database', or restore a backup (docs/how-to/back-up-and-restore.md)"


def open_database(url: str, spool: Path | None = None) -> sa.Engine:
    """Connect, make the tables where they are not there yet, and bring those of an earlier version up to date.

    Parameters
    ----------
    url
        The setting ``database``.
    spool
        The setting ``spool``, where a new database is refused if the spool holds images; None to take it all the same.

    Raises
    ------
    SettingsError
        The database cannot be reached, is damaged or has tables of another version, or it is new and the spool is not.
    """
    ping = not url.startswith("sqlite")  # a server may have gone away; a file does not
    database = sa.create_engine(driver_url(url), connect_args=_connect_args(url), pool_pre_ping=ping)
    if database.dialect.name == "sqlite":
        _prepare_sqlite(database, Path(url.removeprefix("sqlite:///")))
    where = database.url.render_as_string(hide_password=True)
    try:
        _make_tables(database, where, spool)
    except (sa.exc.DBAPIError, sqlite3.DatabaseError) as error:
        name = name_of(getattr(error, "orig", error))
        if name == sqlite3.DatabaseError.__name__:
            raise SettingsError(f"the database {where} is damaged, or is no database; {_RESTORE}") from error
        raise SettingsError(f"the database {where} cannot be used ({name}); check it") from error
    return database


def driver_url(url: str) -> str:
    """Name the driver that we use for PostgreSQL."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def _connect_args(url: str) -> dict[str, Any]:
    """Let no call wait for ever: a server that has vanished without a word is noticed."""
    if url.startswith("sqlite"):
        return {"timeout": _BUSY_S}
    probes = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4}
    return {"connect_timeout": _BUSY_S, "tcp_user_timeout": _BUSY_S * 1000, **probes}


def _prepare_sqlite(database: sa.Engine, file: Path) -> None:
    """Keep the file to its owner, and make a committed transaction outlast a power loss."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))

    @sa.event.listens_for(database, "connect")
    def _on_connect(connection: Any, _: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")


def _make_tables(database: sa.Engine, where: str, spool: Path | None) -> None:
    with writing(database) as connection:  # a node that was updated starts all its processes at once
        if database.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(4242424242)"))
        if spool is not None and not sa.inspect(connection).has_table(schema_version.name) and _holds_images(spool):
            raise SettingsError(
                f"the database {where} is new, and the spool {spool} holds images: users, mode, audit trail and what "
                f"was sent would be forgotten; {_RESTORE}, or begin anew with 'serve --new-database'"
            )
        metadata.create_all(connection)
        found = connection.execute(sa.select(schema_version.c.version)).scalar()
        if found is None:
            connection.execute(upsert(database, schema_version, {"version": VERSION}))
        elif not migrate(connection, found):
            raise SettingsError(
                f"the database has tables of version {found}, and this is version {VERSION}; "
                "drain the node, then start it with a new database"
            )


def _holds_images(spool: Path) -> bool:
    return next(spool.glob("instances/??/*.dcm"), None) is not None


def upsert(database: sa.Engine, table: sa.Table, values: dict[str, Any], *updated: str) -> sa.Insert:
    """Return an INSERT of a row; where its primary key is there, it sets the columns named (none: leaves the row).

    Parameters
    ----------
    database
        For its dialect.
    table
        Gets the row.
    values
        The row, by the names of its columns.
    updated
        Names of columns.
    """
    row = insert(database.dialect.name, table).values(**values)
    keys = list(table.primary_key.columns)
    if not updated:
        return row.on_conflict_do_nothing(index_elements=keys)  # type: ignore[no-any-return]
    return row.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=keys, set_={name: row.excluded[name] for name in updated}
    )


def insert(dialect: str, table: sa.Table) -> Any:
    """Begin an INSERT that knows ON CONFLICT: both databases have it, and SQLAlchemy keeps it with each.

    Parameters
    ----------
    dialect
        ``"sqlite"`` or ``"postgresql"``.
    table
        Gets the row.
    """
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)


def insert_once(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> bool:
    """Insert a row unless its primary key is there; returns whether it was inserted.

    Parameters
    ----------
    connection
        In a transaction.
    table
        Gets the row.
    values
        The row, by the names of its columns.
    """
    keys = tuple(table.primary_key.columns)
    return connection.execute(once(connection.dialect.name, table, keys, keys[0]), values).first() is not None


@cache
def once(dialect: str, table: sa.Table, keys: tuple[sa.Column[Any], ...], returned: sa.Column[Any]) -> sa.Executable:
    """Insert a row and return a column of it; nothing where the keys are there.

    Made once for each table: to make a statement takes longer than to execute it.

    Parameters
    ----------
    dialect
        ``"sqlite"`` or ``"postgresql"``.
    table
        Gets the row.
    keys
        Columns that no two rows share.
    returned
        The column that is returned.
    """
    row = insert(dialect, table)
    return row.on_conflict_do_nothing(index_elements=keys).returning(returned)  # type: ignore[no-any-return]


def database_now(database: sa.Engine) -> sa.ColumnElement[float]:
    """Seconds since 1970 by the database's own clock, which is one for all machines."""
    if database.dialect.name == "postgresql":
        return sa.literal_column("extract(epoch from clock_timestamp())", sa.Double)
    return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Double)


_AGREED_S: Final = 10.0
"""How long a process goes by its own clock between two looks at the database's."""


def database_clock(database: sa.Engine, ticks: Callable[[], float] = time.monotonic) -> Callable[[], float]:
    """Return a clock that gives the database's time, in seconds since 1970: it is one for all machines of a node.

    With PostgreSQL the database is asked now and then, and in between the process counts on by a clock that nobody
    sets. Where the database does not answer, it counts on. With SQLite the database's clock is the machine's.

    Parameters
    ----------
    database
        The node's.
    ticks
        Returns seconds of any origin, which never go back.
    """
    if database.dialect.name == "sqlite":
        return time.time
    return _DatabaseClock(database, ticks)


class _DatabaseClock:
    """The database's time, counted on between two looks."""

    def __init__(self, database: sa.Engine, ticks: Callable[[], float]) -> None:
        self._database, self._ticks = database, ticks
        self._lock = threading.Lock()
        self._looked = ticks()
        self._offset = self._look()

    def __call__(self) -> float:
        with self._lock:
            if self._ticks() - self._looked >= _AGREED_S:
                self._looked = self._ticks()
                try:
                    self._offset = self._look()
                except sa.exc.SQLAlchemyError as error:
                    log_event("the database's clock cannot be read", "warning", kind=name_of(error))
            return self._offset + self._ticks()

    def _look(self) -> float:
        """Return what the database's time is ahead of the ticks."""
        with self._database.connect() as connection:
            return float(connection.execute(sa.select(database_now(self._database))).scalar_one()) - self._ticks()


def lock_study(connection: sa.Connection, study_instance_uid: str, alone: bool = False) -> None:
    """Keep retention and receipt of a study apart, until the transaction ends.

    With SQLite a transaction that writes (:func:`writing`) keeps out all others anyway.

    Parameters
    ----------
    connection
        In a transaction that writes, before it reads or writes anything else.
    study_instance_uid
        Study Instance UID (0020,000D).
    alone
        Whether to keep everybody out, to delete the study's files; else only those who want to be alone.
    """
    if connection.dialect.name == "postgresql":
        lock = sa.func.pg_advisory_xact_lock if alone else sa.func.pg_advisory_xact_lock_shared
        connection.execute(sa.select(lock(sa.func.hashtextextended(study_instance_uid, 0))))


@contextmanager
def writing(database: sa.Engine) -> Iterator[sa.Connection]:
    """Open a transaction that is going to write.

    SQLite takes the write lock at once: a transaction that reads first and writes later would fail, not wait, when
    another has written in between.
    """
    with database.connect() as connection:
        if database.dialect.name == "sqlite":
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
        else:
            with connection.begin():
                yield connection
