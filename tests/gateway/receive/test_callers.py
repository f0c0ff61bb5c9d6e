"""The list of callers."""

from __future__ import annotations

from hashlib import sha256

import pytest

from gateway.receive.callers import Callers, Rejection
from gateway.settings import Caller, Receive

DER = b"a certificate"
PINNED = sha256(DER).hexdigest()

MODALITY = Caller(ae_title="MODALITY", addresses=("192.0.2.0/24", "2001:db8::1"))
PINNED_ONE = Caller(ae_title="PINNED", certificate_sha256=PINNED)
TWIN = Caller(ae_title="MODALITY", addresses=("198.51.100.7",), priority="urgent")
LISTED = Callers(Receive(callers=(MODALITY, PINNED_ONE, TWIN)))


@pytest.mark.parametrize(
    ("calling", "address", "certificate", "expected"),
    [
        ("MODALITY", "192.0.2.77", None, MODALITY),
        ("MODALITY", "::ffff:192.0.2.77", None, MODALITY),
        ("MODALITY", "2001:db8::1%eth0", None, MODALITY),
        ("MODALITY", "198.51.100.7", None, TWIN),
        ("MODALITY", "198.51.100.8", None, Rejection.ADDRESS),
        ("modality", "192.0.2.77", None, Rejection.CALLING_AE_TITLE),
        ("PINNED", "203.0.113.5", DER, PINNED_ONE),
        ("PINNED", "203.0.113.5", b"another", Rejection.CERTIFICATE),
        ("PINNED", "203.0.113.5", None, Rejection.CERTIFICATE),
    ],
)
def test_who_is_let_in(calling: str, address: str, certificate: bytes | None, expected: Caller | Rejection) -> None:
    assert LISTED.admit(calling, "CANDOR", address, certificate) == expected


def test_the_called_ae_title() -> None:
    assert LISTED.admit("PINNED", "OTHER", "203.0.113.5", DER) is Rejection.CALLED_AE_TITLE
    lax = Callers(Receive(callers=(PINNED_ONE,), require_called_ae_title=False))
    assert lax.admit("PINNED", "OTHER", "203.0.113.5", DER) == PINNED_ONE


def test_without_a_list_anybody_may_send() -> None:
    anybody = Callers(Receive())
    assert anybody.admit("WHOEVER", "CANDOR", "203.0.113.5", None) is None
    assert anybody.may_connect("203.0.113.5")


def test_addresses_are_looked_at_before_a_byte_is_read() -> None:
    listed = Callers(Receive(callers=(MODALITY,)))
    assert listed.may_connect("192.0.2.1")
    assert not listed.may_connect("203.0.113.5")
    assert LISTED.may_connect("203.0.113.5"), "one of them may call from anywhere"
