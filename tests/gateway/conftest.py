"""What the tests of the node share: settings in a temporary folder, its database and spool, and a clock to turn."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.settings import Destination, Keep, Receive, Settings
from gateway.store.database import open_database
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens
from tests.gateway.databases import make_template, new_database, server

PACS = Destination(name="pacs", ae_title="PACS", host="192.0.2.9", port=104)


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.time = 1_767_268_800.0  # 2026-01-01, 12:00 UTC

    def __call__(self) -> float:
        return self.time

    def pass_s(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The defaults, with everything below ``tmp_path``, no disk reserve, and any free port."""
    return Settings(
        database=f"sqlite:///{tmp_path}/spool/gateway.db",
        spool=str(tmp_path / "spool"),
        receive=Receive(host="127.0.0.1", idle_timeout_s=5.0).model_copy(update={"port": 0}),
        keep=Keep(reserve_gib=0.0, purge_below_gib=0.0),
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[sa.Engine]:
    database = open_database(settings.database)
    yield database
    database.dispose()


@pytest.fixture
def spool(settings: Settings) -> Spool:
    return Spool(Path(settings.spool))


@pytest.fixture
def tokens(settings: Settings) -> Tokens:
    return Tokens(Path(settings.spool))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL server of our own; skips where PostgreSQL is not installed."""
    with server() as address:
        make_template(address)
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """The settings with SQLite, then with a new database of PostgreSQL."""
    if request.param == "sqlite":
        return settings
    address = request.getfixturevalue("postgresql")
    return settings.model_copy(update={"database": new_database(address, f"node_{secrets.token_hex(6)}")})


@pytest.fixture
def process_state() -> Iterator[None]:
    """What the start of a process changes, put back afterwards."""
    mask, hooks = os.umask(0o022), (sys.excepthook, threading.excepthook)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    logging.getLogger("dbos").handlers.clear()  # they hold the standard error of an earlier test, which is closed
    root, ours = logging.getLogger(), logging.getLogger("candor")
    before = (root.handlers[:], ours.handlers[:], ours.propagate, ours.level, logging.lastResort)
    yield
    root.handlers[:], ours.handlers[:], ours.propagate, logging.lastResort = before[0], before[1], before[2], before[4]
    ours.setLevel(before[3])
    os.umask(mask)
    sys.excepthook, threading.excepthook = hooks
    for number, handler in handlers.items():
        signal.signal(number, handler)
