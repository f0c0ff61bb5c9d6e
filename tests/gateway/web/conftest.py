"""What the tests of the page share."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from gateway.settings import Destination, Settings, Work
from gateway.store.spool import Spool
from gateway.store.tokens import Tokens
from tests.conftest import ROOT
from tests.gateway.conftest import Clock
from tests.gateway.web.node import Page


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords in no time; the tests of the verbs hash them as the node does."""
    monkeypatch.setattr(
        "gateway.web.access.accounts._hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    )


@pytest.fixture
def page(settings: Settings, database: sa.Engine, spool: Spool, tokens: Tokens, clock: Clock) -> Page:
    """A node with one destination, in shadow mode, without studies, and a bundle that is fitted to its site."""
    pacs = Destination(name="pacs", ae_title="PACS", host="192.0.2.7", port=104)
    work = Work(models=str(ROOT / "models"), application=str(ROOT / "app.yaml"))
    changed = {"destinations": (pacs,), "site": "NIH ChestX-ray14", "work": work}
    return Page(settings.model_copy(update=changed), database, spool, tokens, clock)
