"""The groups of an image: what is stated, at the borders of the age bands, and what is unknown."""

from __future__ import annotations

import pytest

from candor.decide.groups import GROUPS, groups_of


@pytest.mark.parametrize(
    ("age", "band"),
    [
        (0, "under 40"),
        (39.9, "under 40"),
        (40, "40 to 59"),
        (59, "40 to 59"),
        (60, "60 and over"),
        (120, "60 and over"),
    ],
)
def test_a_band_begins_at_its_first_year(age: float, band: str) -> None:
    assert groups_of("AP", "F", age) == {"view": "AP", "sex": "F", "age": band}
    assert band in GROUPS["age"]


def test_what_is_not_a_group_is_unknown() -> None:
    assert groups_of("LL", "O", None) == {}
    assert groups_of("", "", 50) == {"age": "40 to 59"}
