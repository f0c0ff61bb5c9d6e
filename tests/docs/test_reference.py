"""The documentation says what the code does."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml

from candor import __version__
from candor.settings import Settings, load_settings
from tests.conftest import ROOT


def test_the_reference_is_what_the_code_says() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "make_reference.py"), "--check"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def test_the_shipped_settings_are_the_defaults_and_all_of_them() -> None:
    assert load_settings(ROOT / "app.yaml") == Settings()
    written = yaml.safe_load((ROOT / "app.yaml").read_text())
    assert set(written["candor"]) == set(Settings.model_fields)
    assert written["application"]["version"] == __version__


def test_every_target_of_the_makefile_that_the_docs_name_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {target for page in pages for target in re.findall(r"make ([a-z]+)\b", code_of(page.read_text()))}
    assert named
    assert named <= targets


def code_of(markdown: str) -> str:
    """The inline code and the indented or fenced blocks of a page."""
    inline = re.findall(r"`([^`\n]+)`", markdown)
    blocks = re.findall(r"^(?: {4,})(.+)$", markdown, re.MULTILINE)
    return "\n".join([*inline, *blocks])


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), f"{page}: {target}"
