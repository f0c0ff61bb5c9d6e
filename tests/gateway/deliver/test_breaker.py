"""The circuit breaker: several processes share it, and one of them tries a destination that was down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from gateway.deliver import breaker
from gateway.settings import Deliver, Settings
from gateway.store.database import open_database
from gateway.store.schema import alarms, destinations

DELIVER = Deliver(breaker_failures=3, breaker_s=30.0)
NOW = 1000.0


@pytest.fixture
def shared(either: Settings) -> Iterator[sa.Engine]:
    database = open_database(either.database)
    yield database
    database.dispose()


def fail(database: sa.Engine, times: int, now: float = NOW) -> None:
    for _ in range(times):
        breaker.failed(database, "pacs", "it is down", DELIVER, now)


def row(database: sa.Engine) -> sa.Row[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(sa.select(destinations)).one()


def opened(database: sa.Engine) -> list[str]:
    with database.connect() as connection:
        return list(connection.execute(sa.select(alarms.c.text).where(alarms.c.cleared.is_(None))).scalars())


def test_it_opens_after_so_many_failures_in_a_row(shared: sa.Engine) -> None:
    fail(shared, 2)
    assert breaker.wait_s(shared, "pacs", DELIVER, NOW) == 0
    assert opened(shared) == []
    fail(shared, 1)
    assert breaker.wait_s(shared, "pacs", DELIVER, NOW) == 30.0
    assert breaker.wait_s(shared, "pacs", DELIVER, NOW + 29) == 1.0
    assert opened(shared) == ["pacs is down: it is down"]


def test_a_success_in_between_begins_the_count_anew(shared: sa.Engine) -> None:
    fail(shared, 2)
    breaker.succeeded(shared, "pacs", NOW)
    fail(shared, 2)
    assert breaker.wait_s(shared, "pacs", DELIVER, NOW) == 0
    assert row(shared).last_success == NOW


def test_when_its_time_is_over_one_may_try_and_the_others_wait(shared: sa.Engine) -> None:
    fail(shared, 3)
    later = NOW + 30
    assert breaker.wait_s(shared, "pacs", DELIVER, later) == 0
    assert breaker.wait_s(shared, "pacs", DELIVER, later) == 30.0


def test_the_trial_closes_it_or_opens_it_again(shared: sa.Engine) -> None:
    fail(shared, 3)
    breaker.wait_s(shared, "pacs", DELIVER, NOW + 30)
    fail(shared, 1, NOW + 31)
    assert breaker.wait_s(shared, "pacs", DELIVER, NOW + 60) == 1.0
    assert breaker.wait_s(shared, "pacs", DELIVER, NOW + 61) == 0
    breaker.succeeded(shared, "pacs", NOW + 62)
    assert breaker.wait_s(shared, "pacs", DELIVER, NOW + 62) == 0
    assert opened(shared) == []


def test_of_two_that_find_its_time_over_at_once_one_tries(shared: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(shared, 3)
    later = NOW + 30
    writing = breaker.writing
    others: list[float] = []

    def overtaken(database: sa.Engine) -> object:
        monkeypatch.setattr(breaker, "writing", writing)
        others.append(breaker.wait_s(shared, "pacs", DELIVER, later))
        return writing(database)

    monkeypatch.setattr(breaker, "writing", overtaken)
    assert breaker.wait_s(shared, "pacs", DELIVER, later) == 30.0
    assert others == [0.0]


def test_an_unknown_destination_is_let_out(shared: sa.Engine) -> None:
    assert breaker.wait_s(shared, "new", DELIVER, NOW) == 0


def test_a_remark_changes_nothing_but_the_reason(shared: sa.Engine) -> None:
    breaker.remark(shared, "pacs", "storage commitment: refused")
    assert (row(shared).reason, row(shared).failures) == ("storage commitment: refused", 0)


def test_an_association_without_an_answer_never_opens_it_and_raises_the_alarm(shared: sa.Engine) -> None:
    fail(shared, 2)
    for _ in range(3):
        assert opened(shared) == []
        breaker.failed(shared, "pacs", "no answer", DELIVER, NOW, is_connected=True)
    assert breaker.wait_s(shared, "pacs", DELIVER, NOW) == 0
    assert (row(shared).failures, row(shared).unanswered) == (0, 3)
    assert opened(shared) == ["pacs takes no object: no answer"]
    breaker.succeeded(shared, "pacs", NOW)
    assert (row(shared).unanswered, opened(shared)) == (0, [])
