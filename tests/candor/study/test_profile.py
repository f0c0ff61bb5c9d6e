"""Profiles: what a receiver takes, and what rows and files call it by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from candor.study.findings import Finding
from candor.study.profile import Profile, ReportClass
from candor.study.result_object import KINDS, ResultObject

USUAL = Profile()
REPORT = ResultObject("sr", "sr.dcm", "1.1", "1.2", "1.3", profiles=frozenset({USUAL.key}))
OVERLAY = ResultObject("sc", "sc-1.dcm", "1.4", "1.5", "1.6", Finding.MASS, "1.7")
OUTLINES = replace(OVERLAY, kind="gsps", finding=None)
MAP = replace(OUTLINES, kind="pm")


def test_the_key_names_the_same_profile_the_same_whatever_the_order() -> None:
    findings = frozenset({Finding.MASS, Finding.EFFUSION})
    one = Profile(frozenset({"ko", "sr"}), ReportClass.ENHANCED, findings, flag_deferrals=True)
    assert one.key == "enhanced:sr+ko:Effusion+Mass:deferrals"
    assert USUAL.key == "comprehensive-3d:sr+sc+gsps+ko:all"


@pytest.mark.parametrize(
    "changes",
    [
        {"kinds": frozenset(KINDS)},
        {"report_class": ReportClass.COMPREHENSIVE},
        {"findings": frozenset({Finding.MASS})},
        {"findings": frozenset()},
        {"flag_deferrals": True},
    ],
)
def test_another_profile_has_another_key(changes: dict[str, object]) -> None:
    assert replace(USUAL, **changes).key != USUAL.key


def test_a_receiver_takes_its_kinds_its_findings_and_its_own_documents() -> None:
    assert USUAL.of([REPORT, OVERLAY, OUTLINES, MAP]) == [REPORT, OVERLAY, OUTLINES]
    other = replace(USUAL, report_class=ReportClass.ENHANCED)
    assert not other.takes(REPORT)
    assert other.takes(replace(REPORT, profiles=frozenset({USUAL.key, other.key})))
    assert replace(USUAL, findings=frozenset({Finding.MASS})).takes(OVERLAY)
    choosy = replace(USUAL, findings=frozenset({Finding.NODULE}))
    assert not choosy.takes(OVERLAY)
    assert choosy.takes(OUTLINES)
    assert not replace(USUAL, kinds=frozenset({"sc"})).takes(REPORT)
