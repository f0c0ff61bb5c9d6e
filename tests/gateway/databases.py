"""A PostgreSQL server of the tests' own, where PostgreSQL is installed; SQLite needs none."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS

from gateway.store.database import open_database


def binaries() -> Path:
    """The folder with ``initdb``, or skip."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    if found is None:
        pytest.skip("PostgreSQL is not installed here (no initdb)")
    return Path(found).parent


def run_as() -> dict[str, Any]:
    """PostgreSQL does not run as root: then as the user ``postgres``."""
    other: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    return other | {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}


@contextmanager
def server() -> Iterator[str]:
    """Run a server; gives its address, without a database's name."""
    bin_folder = binaries()
    data = Path(tempfile.mkdtemp(prefix="candor-postgresql-"))  # pytest's folders are closed to other users
    if os.geteuid() == 0:
        shutil.chown(data, "postgres", "postgres")
    initdb: list[str | Path] = [bin_folder / "initdb", "-D", data, "-U", "node", "-A", "trust", "--no-sync"]
    subprocess.run(initdb, check=True, **run_as())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    process = subprocess.Popen([bin_folder / "postgres", "-D", data, *settings], **run_as())
    address = f"postgresql://node@127.0.0.1:{port}"
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.send_signal(signal.SIGQUIT)  # at once, without a checkpoint
        process.wait(60)
        shutil.rmtree(data)


_TEMPLATE = "candor_template"


def make_template(address: str) -> None:
    """Make a database with all tables, ours and the job runner's, for others to begin as copies of."""
    template = _new_database(address, _TEMPLATE, "template1")
    open_database(template).dispose()
    DBOS.migrate(template)


def new_database(address: str, name: str) -> str:
    """Make a database with its tables; returns its address."""
    return _new_database(address, name, _TEMPLATE)


def empty_database(address: str, name: str) -> str:
    """Make a database without tables; returns its address."""
    return _new_database(address, name, "template1")


def _new_database(address: str, name: str, template: str) -> str:
    database = sa.create_engine(f"{_driver(address)}/postgres", isolation_level="AUTOCOMMIT")
    with database.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    database.dispose()
    return f"{address}/{name}"


def _driver(address: str) -> str:
    return address.replace("postgresql://", "postgresql+psycopg://", 1)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    database = sa.create_engine(f"{_driver(address)}/postgres")
    give_up = time.monotonic() + 60
    while True:
        try:
            database.connect().close()
            break
        except sa.exc.OperationalError:
            if process.poll() is not None or time.monotonic() > give_up:
                raise
            time.sleep(0.05)
    database.dispose()
