"""The documentation becomes a site that needs no internet, and no link of it leads nowhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

_FETCHED = re.compile(
    r"<(?:script|img|iframe)[^>]* src=\"(https?:)?//|<link[^>]* rel=\"stylesheet\"[^>]* href=\"(https?:)?//"
)


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config), "-d", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; its build fails for a link to nothing, and for a page that the contents leave out."""
    folder = tmp_path_factory.mktemp("site")
    built = build(ROOT / "mkdocs.yml", folder)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_there_and_the_readme_is_the_first(site: Path) -> None:
    pages = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if not (site / page).exists()} == set()
    assert "two commands" in (site / "index.html").read_text().lower()


def test_a_page_outside_the_folder_comes_along_with_its_pictures(site: Path) -> None:
    card = (site / "repository" / "models" / "cxr" / "docs" / "evaluation.html").read_text()
    pictures = [name for name in re.findall(r'<img[^>]* src="([^"]+)"', card) if not name.startswith("data:")]
    assert pictures
    assert all((site / "repository" / "models" / "cxr" / "docs" / name).exists() for name in pictures)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not _FETCHED.search(page.read_text()), page


def test_a_link_to_nothing_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# A page\n\n[away](nowhere.md)\n")
    config = (ROOT / "mkdocs.yml").read_text().split("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(config.replace("hooks: [tools/site.py]", ""))
    built = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert built.returncode != 0
    assert "nowhere.md" in built.stderr
