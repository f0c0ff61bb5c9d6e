"""The README's pictures come from real radiographs through the shipped bundle, by one command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import ROOT
from tools.browser import CHROMIUM
from tools.pictures import IMAGES

MADE = {"page-studies.png", "page-study.png", "result.jpg"}


def test_no_other_picture_is_shown() -> None:
    assert {path.name for path in IMAGES.iterdir()} == MADE
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"images/([\w.-]+)\)", page.read_text())}
    assert shown == MADE


@pytest.mark.full
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_command_makes_them_all(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tools.pictures", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == MADE
    for name in MADE:
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] >= 1400
            assert len(picture.convert("L").getcolors(256) or ()) > 50  # no empty page
