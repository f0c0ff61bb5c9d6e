"""An archive, and a node with a study for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from gateway.settings import Settings
from gateway.store.spool import Spool
from tests.gateway.archive import Archive, Sender, running
from tests.gateway.conftest import Clock


@pytest.fixture
def archive() -> Iterator[Archive]:
    with running(Archive()) as listening:
        yield listening


@pytest.fixture
def sender(settings: Settings, database: sa.Engine, spool: Spool, clock: Clock, archive: Archive) -> Sender:
    return Sender(settings, database, spool, clock).towards(archive)
