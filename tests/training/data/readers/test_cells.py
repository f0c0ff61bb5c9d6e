"""The meaning of single cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.study.errors import DataError
from candor.study.findings import Finding
from training.data.policy import CHEXPERT_FIVE, Uncertain
from training.data.readers.cells import Mark, mark_of, marks_of_labels, parse_labels, sex_of, view_of, years
from training.data.readers.chexpert import FINDINGS, LEFT_OUT, OBSERVATIONS
from training.data.readers.covid import one_patient_a_picture


@pytest.mark.parametrize(
    ("cell", "age"),
    [
        ("58", 58),
        ("058Y", 58),
        ("009M", 0.75),
        ("052W", pytest.approx(1, abs=0.01)),
        ("365D", pytest.approx(1, abs=0.01)),
        ("63.5", 63.5),
        ("0", 0),
        ("414", None),
        ("", None),
        ("adult", None),
        ("-3", None),
    ],
)
def test_ages_in_years(cell: str, age: float | None) -> None:
    assert years(cell) == age


@pytest.mark.parametrize(
    ("cell", "view"),
    [
        ("PA", "PA"),
        ("AP Supine", "AP"),
        ("AP semi erect", "AP"),
        ("L", "LL"),
        ("RL", "LL"),
        ("Lateral", "LL"),
        ("LATERAL", "LL"),
        ("Frontal", ""),
        ("?", ""),
        ("", ""),
    ],
)
def test_views(cell: str, view: str) -> None:
    assert view_of(cell) == view


def test_sexes() -> None:
    assert [sex_of(cell) for cell in ("F", "Female", "male", "M", "Unknown", "O", "")] == [
        "F",
        "F",
        "M",
        "M",
        "",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("cell", "mark"),
    [
        ("1", Mark.PRESENT),
        ("1.0", Mark.PRESENT),
        ("0.0", Mark.ABSENT),
        ("-1", Mark.UNCERTAIN),
        (" ", Mark.UNKNOWN),
    ],
)
def test_labels(cell: str, mark: Mark) -> None:
    assert mark_of(cell, Mark.UNKNOWN) is mark


@given(st.text(min_size=1).filter(str.strip))
def test_a_cell_is_a_label_or_refused(cell: str) -> None:
    try:
        known = float(cell) in (1, 0, -1)
    except ValueError:
        known = False
    if known:
        assert mark_of(cell, Mark.UNKNOWN) is not Mark.UNKNOWN
    else:
        with pytest.raises(DataError, match="unknown label"):
            mark_of(cell, Mark.UNKNOWN)


@given(st.sets(st.sampled_from(list(Finding))))
def test_a_list_of_labels_is_read_back(findings: set[Finding]) -> None:
    text = "|".join(finding.label for finding in findings) or "No Finding"
    assert parse_labels(text) == findings
    assert {finding for finding, mark in marks_of_labels(text).items() if mark is Mark.PRESENT} == findings


def test_every_observation_of_the_labeller_is_a_finding_or_left_out_for_a_reason() -> None:
    assert len(OBSERVATIONS) + len(LEFT_OUT) == 14
    assert not OBSERVATIONS.keys() & LEFT_OUT.keys()
    assert all(LEFT_OUT.values())
    assert set(FINDINGS) == set(OBSERVATIONS.values())


def test_the_policy_for_the_five_findings() -> None:
    assert {finding.display for finding in CHEXPERT_FIVE.exceptions} == {
        "Atelectasis",
        "Cardiomegaly",
        "Consolidation",
        "Pulmonary edema",
        "Pleural effusion",
    }
    assert {finding for finding in CHEXPERT_FIVE.exceptions if CHEXPERT_FIVE.of(finding) is Uncertain.ONES} == {
        Finding.ATELECTASIS,
        Finding.EDEMA,
        Finding.EFFUSION,
    }
    assert CHEXPERT_FIVE.of(Finding.MASS) is Uncertain.IGNORE


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("123456"))))
def test_patients_who_share_a_picture_are_one_and_no_others(pairs: list[tuple[str, str]]) -> None:
    joined = one_patient_a_picture(pairs)
    groups = {patient: {patient} for patient in joined}
    for picture, patient in pairs * len(pairs):  # as often as a chain can be long
        for other_picture, other in pairs:
            if picture == other_picture:
                groups[patient] |= groups[other]
    for one in joined:
        assert {other for other in joined if joined[other] == joined[one]} == groups[one]
