"""MkDocs' hook: the README is the home page, and a link that leaves docs/ takes what it names along into the site."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parent.parent
_DOCS: Final = "docs"
_HOME: Final = "README.md"
_OTHERS: Final = "repository"
"""Folder of the site for what stands outside docs/."""

_LINK: Final = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the home page and everything that a page names outside docs/, and what that names in turn."""
    files.append(File.generated(config, place_of(_HOME), abs_src_path=str(ROOT / _HOME)))
    pending = [origin_of(file.src_uri) for file in files.documentation_pages()]
    while pending:
        origin = pending.pop()
        for target in targets(origin, (ROOT / origin).read_text()):
            place = place_of(target)
            if place.startswith(_OTHERS) and files.get_file_from_path(place) is None:
                files.append(File.generated(config, place, abs_src_path=str(ROOT / target)))
                pending += [target] if target.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between files of the site."""
    origin = origin_of(page.file.src_uri)

    def moved(link: re.Match[str]) -> str:
        target = resolved(origin, link[2])
        if not (ROOT / target).exists():
            return link[0]  # MkDocs says so
        here = PurePosixPath(page.file.src_uri).parent
        return link[1] + os.path.relpath(place_of(target), here) + link[3]

    return _LINK.sub(moved, markdown)


def targets(origin: str, markdown: str) -> list[str]:
    """List the files of the repository that a page links to."""
    found = [resolved(origin, link[2]) for link in _LINK.finditer(markdown)]
    return [target for target in found if (ROOT / target).is_file()]


def resolved(origin: str, link: str) -> str:
    """Turn a link of a file into a path below the repository's root."""
    return os.path.normpath(PurePosixPath(origin).parent / link)


def place_of(path: str) -> str:
    """Say where a file of the repository stands in the site's sources."""
    if path == _HOME:
        return "index.md"
    below = path.removeprefix(f"{_DOCS}/")
    return below if below != path else f"{_OTHERS}/{path}"


def origin_of(place: str) -> str:
    """Say which file of the repository a source of the site is: the inverse of :func:`place_of`."""
    if place == "index.md":
        return _HOME
    below = place.removeprefix(f"{_OTHERS}/")
    return below if below != place else f"{_DOCS}/{place}"
