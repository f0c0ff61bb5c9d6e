"""An error's name and place, and never its message."""

from __future__ import annotations

import errno
import re

import pytest

from candor.files.privacy import Unexpected, cause_of, name_of, place_of
from candor.study.errors import OutputError


def raised(error: Exception) -> Exception:
    def deepest() -> None:
        raise error

    try:
        deepest()
    except Exception as caught:  # noqa: BLE001 - what is raised is a parameter
        return caught
    raise AssertionError


def test_an_error_is_named_and_placed_without_its_message() -> None:
    error = raised(KeyError("CANARY^BIRD"))
    assert name_of(error) == "KeyError"
    assert re.fullmatch(r"test_privacy\.py:\d+ raised > test_privacy\.py:\d+ deepest", place_of(error))
    unexpected = Unexpected.of(error)
    assert str(unexpected) == f"KeyError at {place_of(error)}"
    assert cause_of(unexpected) == "KeyError"


def test_a_place_is_no_longer_than_four_calls() -> None:
    def deeper(calls: int) -> None:
        if not calls:
            raise ValueError
        deeper(calls - 1)

    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its message is what nobody sees
        deeper(10)
    assert place_of(caught.value).count(" deeper") == 4


def test_the_words_of_the_operating_system_are_the_cause_and_no_path_is() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/spool/CANARY^BIRD")
    assert cause_of(full) == "No space left on device"
    wrapped = OutputError("CANARY^BIRD")
    wrapped.__cause__ = full
    assert cause_of(wrapped) == "No space left on device"
    assert cause_of(ValueError("CANARY^BIRD")) == "ValueError"
