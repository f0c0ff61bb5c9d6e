"""The programs that the page on Candor from Python shows, each run in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from candor.study.findings import Finding
from tests.conftest import ROOT
from tests.docs.commands import Block, blocks
from tests.map.radiograph import real_radiograph

PAGE = ROOT / "docs" / "how-to" / "use-from-python.md"
PROGRAMS = [block for block in blocks(PAGE.read_text()) if block.language == "python"]


def test_the_page_shows_programs() -> None:
    assert len(PROGRAMS) == 2


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: f"line {block.line}")
def test_a_program_runs(block: Block, tmp_path: Path) -> None:
    study = real_radiograph(tmp_path / "in")
    program = "\n".join(block.lines).replace('"IN"', repr(str(study)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    named = [finding for finding in Finding if finding.display in done.stdout or finding.label in done.stdout]
    assert len(named) == len(Finding)
