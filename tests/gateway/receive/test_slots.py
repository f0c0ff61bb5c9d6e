"""Slots for connections: limits by address, and the reserve of those who have sent before."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.receive.callers import Callers
from gateway.receive.slots import Slots
from gateway.settings import Caller, Receive

NEAR, FAR, ROUTER = "192.0.2.1", "198.51.100.{}", "192.0.2.9"
LISTED = (
    Caller(ae_title="MODALITY"),
    Caller(ae_title="ROUTER", addresses=(ROUTER,), max_connections=5),
)


def slots(*callers: Caller, **settings: int) -> Slots:
    return Slots(Callers(Receive(callers=callers, **settings)))


def taken(counted: Slots, address: str, tries: int = 100) -> int:
    """How many connections an address gets."""
    return sum(not counted.take(address) for _ in range(tries))


def test_an_address_has_a_limit_and_a_caller_its_own() -> None:
    counted = slots(*LISTED, max_connections_per_address=3)
    assert taken(counted, NEAR) == 3
    assert taken(counted, ROUTER) == 5
    assert counted.take(NEAR) == "too many connections from this address are open"
    counted.free(NEAR)
    assert taken(counted, NEAR) == 1
    assert counted.taken == 8


def test_a_caller_may_have_a_lower_limit_than_others() -> None:
    lower = Caller(ae_title="MODALITY", addresses=("192.0.2.0/24",), max_connections=2)
    assert taken(slots(lower), NEAR) == 2
    assert slots(lower).take(FAR.format(1)) == "no caller has this address"


def test_a_limit_of_its_own_needs_addresses() -> None:
    with pytest.raises(ValidationError, match="needs addresses"):
        Caller(ae_title="MODALITY", max_connections=2)


@pytest.mark.parametrize(
    ("address", "alike"),
    [("2001:db8::1", "2001:db8::ffff:1"), ("192.0.2.1", "::ffff:192.0.2.1"), ("fe80::1%eth0", "fe80::2%eth1")],
)
def test_addresses_that_count_as_one(address: str, alike: str) -> None:
    counted = slots(max_connections_per_address=2)
    assert (taken(counted, address, 1), taken(counted, alike)) == (1, 1)


def test_strangers_leave_a_quarter_to_those_who_were_here() -> None:
    counted = slots(*LISTED, max_associations=8, max_connections_per_address=100)
    counted.remember(NEAR)
    assert sum(taken(counted, FAR.format(k), 1) for k in range(100)) == 18
    assert counted.take(FAR.format(1)) == "too many connections are open"
    assert taken(counted, NEAR) == 6
    assert counted.may_associate(FAR.format(1), 6)
    assert not counted.may_associate(FAR.format(1), 7)
    assert counted.may_associate(NEAR, 8)
    assert not counted.may_associate(NEAR, 9)


def test_nothing_is_reserved_without_a_list() -> None:
    counted = slots(max_associations=8)
    assert sum(taken(counted, FAR.format(k), 1) for k in range(100)) == 24
    assert counted.may_associate(NEAR, 8)
