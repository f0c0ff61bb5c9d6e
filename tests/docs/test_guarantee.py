"""What the pages about the guarantee say is what the code does: commands, costs and the counts that are needed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from candor.command_line import verb_parser
from candor.decide.costs import Costs
from candor.decide.gate import cost_thresholds
from tests.conftest import ROOT
from training.__main__ import GROUPS
from training.gate.guarantee import Promise

HOW_TO = ROOT / "docs" / "how-to" / "set-costs-and-guarantees.md"
PAGES = (HOW_TO, ROOT / "docs" / "evidence-guarantee.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_are_understood(page: Path) -> None:
    commands = re.findall(r"^    python -m training (.+)$", page.read_text(), re.MULTILINE)
    assert commands
    parser = verb_parser("training", "", GROUPS)
    for command in commands:
        assert parser.parse_args(shlex.split(command)).verb


def test_the_table_of_costs_is_that_of_the_gate() -> None:
    rows = re.findall(r"\| missed (\S+), false alarm (\S+), deferral (\S+) \| (\S+) \| (\S+) \|", HOW_TO.read_text())
    assert len(rows) == 3
    for missed, false_alarm, deferral, lo, hi in rows:
        pair = cost_thresholds(Costs(float(missed), float(false_alarm), float(deferral)))
        assert (pair.lo, pair.hi) == (pytest.approx(float(lo)), pytest.approx(float(hi)))


def test_the_positives_that_are_needed_are_those_of_the_test() -> None:
    rows = re.findall(r"^\| (\d+)% \| (\d+) \| (\d+) \|$", HOW_TO.read_text(), re.MULTILINE)
    assert len(rows) == 4
    for missed, *needed in rows:
        for confidence, count in zip((0.90, 0.95), needed, strict=True):
            assert Promise(int(missed) / 100, 0.5, confidence).positives_needed == int(count)


def test_a_joint_confidence_is_bonferronis() -> None:
    page = (ROOT / "docs" / "explanation" / "guarantee.md").read_text()
    assert f"`--confidence 0.99` keeps all 14 with at least {1 - 14 * (1 - 0.99):.0%}" in page
