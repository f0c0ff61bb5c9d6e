"""DIMSE status codes."""

from __future__ import annotations

import pytest
from pynetdicom import status as theirs

from gateway.dimse.status import NotTaken, Status, explain


@pytest.mark.parametrize("status", Status)
def test_each_is_what_pynetdicom_knows_it_as(status: Status) -> None:
    """An independent list: each code has the category there that its meaning has here."""
    category = theirs.code_to_category(status.code)
    expected = {"success": "Success", "warning": "Warning"}.get(status.meaning.split(":")[0], "Failure")
    assert category == expected
    assert status.clause.startswith(("PS3.4 ", "PS3.7 "))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x0000, "success (0x0000, PS3.7 C.1.1)"),
        (0xA701, "refused: out of resources (0xA701)"),
        (0xA912, "error: data set does not match SOP class (0xA912)"),
        (0xC211, "error: cannot understand (0xC211)"),
        (0x7777, "a status that PS3.4 B.2.3 does not know (0x7777)"),
    ],
)
def test_explaining(code: int, words: str) -> None:
    assert explain(code) == words


def test_a_refusal_says_status_and_reason() -> None:
    assert str(NotTaken(Status.OUT_OF_RESOURCES, "why")) == "0xA700 refused: out of resources: why"
