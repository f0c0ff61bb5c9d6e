"""The process that receives images."""

from __future__ import annotations

import socket
import threading

import pytest
import sqlalchemy as sa

from candor.study.errors import SettingsError
from gateway.processes.receive import receive
from gateway.settings import Settings
from gateway.store.spool import Spool


def test_a_port_that_is_taken(settings: Settings, database: sa.Engine, spool: Spool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        there = settings.receive.model_copy(update={"port": taken.getsockname()[1]})
        changed = settings.model_copy(update={"receive": there})
        with pytest.raises(SettingsError, match="Address already in use"):
            receive(changed, database, spool, lambda *_: None, threading.Event())
