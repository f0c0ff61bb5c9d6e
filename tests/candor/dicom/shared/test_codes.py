"""The codes: within DICOM's lengths, one concept each, and plain text."""

from __future__ import annotations

import pytest
from pydicom.sr.coding import Code

from candor.dicom.shared import codes
from candor.study.findings import PRIVATE_SCHEME, Finding
from candor.study.reasons import Reason
from candor.study.result import Decision, Disposition

ALL = [
    *(value for value in vars(codes).values() if isinstance(value, Code)),
    *map(codes.reason_code, Reason),
    *map(codes.disposition_code, Disposition),
    *map(codes.presence_code, Decision),
    *(codes.concept(coded) for finding in Finding for coded in (finding.code, finding.site)),
]


@pytest.mark.parametrize("code", sorted(set(ALL)), ids=lambda code: f"{code.scheme_designator}-{code.value}")
def test_code_fits_the_code_sequence_macro(code: Code) -> None:
    assert 0 < len(code.value) <= 16
    assert 0 < len(code.scheme_designator) <= 16
    assert 0 < len(code.meaning) <= 64
    assert (code.value + code.meaning).isascii()


def test_one_code_has_one_meaning() -> None:
    meanings = {(code.value, code.scheme_designator): code.meaning for code in ALL}
    assert all(meanings[code.value, code.scheme_designator] == code.meaning for code in ALL)


def test_private_codes_are_told_apart() -> None:
    private = [codes.reason_code(reason) for reason in Reason] + [codes.disposition_code(each) for each in Disposition]
    assert {code.scheme_designator for code in private} == {PRIVATE_SCHEME}
    assert len({code.value for code in private}) == len(private)


def test_private_scheme_names_itself() -> None:
    item = codes.private_scheme()
    assert item.CodingSchemeDesignator == PRIVATE_SCHEME
    assert len(item.CodingSchemeName) > 0


@pytest.mark.parametrize(
    ("decision", "value"),
    [
        (Decision.PRESENT, "52101004"),
        (Decision.ABSENT, "272519000"),
        (Decision.DEFERRED, "373068000"),
        (Decision.NOT_ASSESSED, "373068000"),
    ],
)
def test_only_what_was_answered_is_present_or_absent(decision: Decision, value: str) -> None:
    assert codes.presence_code(decision).value == value


@pytest.mark.parametrize(
    ("probability", "shown"), [(0.0, 0.0), (0.00214, 0.21), (0.01, 1.0), (0.1234, 12.3), (0.99456, 99.46), (1.0, 100.0)]
)
def test_percent_keeps_two_decimals_near_the_ends(probability: float, shown: float) -> None:
    assert codes.percent(probability) == shown
