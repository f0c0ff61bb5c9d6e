"""MkDocs' hook: make the README the home page, and add the files outside docs/ that pages link to."""

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
"""Folder of the site for files from outside docs/."""

_LINK: Final = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the home page, and all files outside docs/ that pages link to, directly or through others."""
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
    """Return a page with links between files of the repository turned into links between files of the site."""
    origin = origin_of(page.file.src_uri)

    def moved(link: re.Match[str]) -> str:
        target = resolved(origin, link[2])
        if not (ROOT / target).exists():
            return link[0]  # MkDocs says so
        here = PurePosixPath(page.file.src_uri).parent
        return link[1] + os.path.relpath(place_of(target), here) + link[3]

    return _LINK.sub(moved, markdown)


def targets(origin: str, markdown: str) -> list[str]:
    """Return the files of the repository that a page links to."""
    found = [resolved(origin, link[2]) for link in _LINK.finditer(markdown)]
    return [target for target in found if (ROOT / target).is_file()]


def resolved(origin: str, link: str) -> str:
    """Return a link of a file as a path below the repository's root."""
    return os.path.normpath(PurePosixPath(origin).parent / link)


def place_of(path: str) -> str:
    """Return the path of a file of the repository in the site's sources."""
    if path == _HOME:
        return "index.md"
    below = path.removeprefix(f"{_DOCS}/")
    return below if below != path else f"{_OTHERS}/{path}"


def origin_of(place: str) -> str:
    """Return the file of the repository for a source of the site: the inverse of :func:`place_of`."""
    if place == "index.md":
        return _HOME
    below = place.removeprefix(f"{_OTHERS}/")
    return below if below != place else f"{_DOCS}/{place}"
