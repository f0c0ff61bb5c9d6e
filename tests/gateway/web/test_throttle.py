"""Guesses at passwords are slowed down, also those at the same time; and they keep nobody else out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from gateway.web.access import accounts
from gateway.web.access.accounts import Logins, TooManyFailures, User, add_user
from gateway.web.access.roles import Role
from gateway.web.access.throttle import Throttle
from tests.gateway.conftest import Clock

PASSWORD = "correct horse battery"
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def logins(database: sa.Engine, clock: Clock) -> Logins:
    add_user(database, "ann", Role.VIEWER, PASSWORD)
    return Logins(database, clock, 60)


def fail(throttle: Throttle, name: str, address: str) -> bool:
    """Make a try that fails; returns whether it was let through."""
    with throttle.try_once(name, address) as made:
        return made is not None


def succeed(throttle: Throttle, name: str, address: str) -> bool:
    """Make a try that succeeds; returns whether it was let through."""
    with throttle.try_once(name, address) as made:
        if made is not None:
            made.succeeded = True
        return made is not None


def at_once(number: int, act: Callable[[int], object]) -> list[object]:
    """Do something in so many threads, none of which begins before all are there."""
    ready = threading.Barrier(number)

    def one(which: int) -> object:
        ready.wait(60)
        return act(which)

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(one, range(number)))


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were looked at."""
    seen: list[str] = []
    real = accounts._matches

    def matches(password_hash: str | None, password: str) -> bool:
        seen.append(password)
        return real(password_hash, password)

    monkeypatch.setattr(accounts, "_matches", matches)
    return seen


def guess(logins: Logins, name: str, password: str, address: str) -> str:
    try:
        return "right" if logins.check(name, password, address) else "wrong"
    except TooManyFailures:
        return "wait"


def test_of_guesses_at_the_same_time_no_more_are_checked_than_are_allowed(logins: Logins, checked: list[str]) -> None:
    said = at_once(60, lambda which: guess(logins, "ann", f"wrong horse {which}", HERE))
    assert len(checked) == said.count("wrong") <= 8
    assert said.count("wait") >= 52


def test_names_at_the_same_time_share_what_their_address_may(logins: Logins, checked: list[str]) -> None:
    for _ in range(3):
        at_once(40, lambda which: guess(logins, f"user{which}", "wrong horse battery", HERE))
    assert len(checked) <= 40


def test_few_wait_for_a_hash_at_the_same_time(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    throttle = Throttle(clock)
    inside, most, lock, full = [0], [0], threading.Lock(), threading.Event()

    def enter(which: int) -> None:
        with throttle.try_once(f"user{which}", f"192.0.2.{which}") as made:
            if made is None:
                full.set()
                return
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            assert full.wait(60)  # until somebody is sent away
            with lock:
                inside[0] -= 1

    at_once(40, enter)
    assert most[0] == 16


def test_failures_elsewhere_lock_nobody_out(logins: Logins) -> None:
    for _ in range(20):
        guess(logins, "ann", "wrong horse battery", ELSEWHERE)
    assert guess(logins, "ann", PASSWORD, ELSEWHERE) == "wait"
    assert guess(logins, "ann", PASSWORD, HERE) == "right"  # with the right password, from an address never seen


def test_who_has_logged_in_from_an_address_is_not_held_up_there(clock: Clock) -> None:
    throttle = Throttle(clock)
    assert succeed(throttle, "ann", HERE)
    while fail(throttle, f"name{len(throttle._failures)}", HERE):
        pass
    assert not succeed(throttle, "bob", HERE)
    for number in range(250):
        fail(throttle, "ann", f"203.0.{number}.1")
    assert succeed(throttle, "ann", HERE)


def test_guesses_from_everywhere_are_slowed_down_together(clock: Clock) -> None:
    throttle = Throttle(clock)
    let_through = sum(fail(throttle, f"name{number}", f"203.0.{number}.1") for number in range(250))
    assert let_through == 200
    assert not succeed(throttle, "ann", HERE)
    clock.pass_s(1)
    assert succeed(throttle, "ann", HERE)  # slowed down, and not locked
    clock.pass_s(301)
    assert all(fail(throttle, f"name{number}", f"203.0.{number}.1") for number in range(100))


def test_a_known_user_guesses_no_more_than_others(clock: Clock) -> None:
    throttle = Throttle(clock)
    assert succeed(throttle, "ann", HERE)
    assert sum(fail(throttle, "ann", HERE) for _ in range(20)) == 8


def test_an_ipv6_host_is_one_whatever_address_it_chooses(clock: Clock) -> None:
    throttle = Throttle(clock)
    assert sum(fail(throttle, "ann", f"2001:db8:1:2::{number:x}") for number in range(20)) == 8
    assert fail(throttle, "ann", "2001:db8:1:3::1")
    assert sum(fail(throttle, "bob", address) for address in ["192.0.2.9", "::ffff:192.0.2.9"] * 10) == 8


def test_addresses_and_names_are_forgotten_in_time(clock: Clock) -> None:
    throttle = Throttle(clock)
    for number in range(40):
        assert fail(throttle, f"name{number}", HERE)
    assert not fail(throttle, "somebody", HERE)
    assert succeed(throttle, "somebody", ELSEWHERE)
    clock.pass_s(301)
    assert succeed(throttle, "somebody", HERE)


def test_failures_do_not_fill_the_memory(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.access.throttle._REMEMBERED", 10)
    throttle = Throttle(clock)
    for number in range(50):
        fail(throttle, f"name{number}", f"192.0.2.{number}")
        succeed(throttle, f"other{number}", f"192.0.2.{number}")
    assert len(throttle._failures) <= 10
    assert len(throttle._known) <= 10
    assert not throttle._waiting


@pytest.mark.parametrize("name", ["a\0b", "x" * 100_000, "<b>", ""])
def test_a_name_that_nobody_can_have_is_nobodys(logins: Logins, name: str) -> None:
    assert guess(logins, name, PASSWORD, HERE) == "wrong"
    assert all(len(part) < 100 for key in logins._throttle._failures for part in key)


def test_a_check_that_breaks_off_counts_as_failed_and_waits_no_more(
    logins: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_to_match(*_: object) -> bool:
        raise MemoryError

    monkeypatch.setattr(accounts, "_matches", fail_to_match)
    for _ in range(8):
        with pytest.raises(MemoryError):
            logins.check("ann", PASSWORD, HERE)
    assert guess(logins, "ann", PASSWORD, HERE) == "wait"
    assert not logins._throttle._waiting


def test_who_is_let_in_is_who_asked(logins: Logins) -> None:
    assert logins.check("ann", PASSWORD, HERE) == User("ann", Role.VIEWER)
