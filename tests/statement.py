"""The DICOM conformance statement, read as a reader does: sections by their headings, tables by their columns."""

from __future__ import annotations

import re
from functools import cache
from itertools import takewhile

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "reference" / "dicom-conformance.md"

Row = dict[str, str]


@cache
def section(heading: str) -> str:
    """The text below a heading, to the next one of the same rank or a higher one."""
    lines = PAGE.read_text().splitlines()
    (start,) = (number for number, line in enumerate(lines) if line.lstrip("# ").strip() == heading and line[:1] == "#")
    rank = len(lines[start]) - len(lines[start].lstrip("#"))
    below = takewhile(lambda line: not re.match(rf"#{{1,{rank}}} ", line), lines[start + 1 :])
    return "\n".join(below)


@cache
def tables(text: str) -> list[list[Row]]:
    """The tables of a text; a cell without its backquotes."""
    found: list[list[Row]] = []
    header: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not line.startswith("|"):
            header = []
        elif not header:
            header = cells
            found.append([])
        elif set("".join(cells)) != {"-"}:
            found[-1].append({name: cell.replace("`", "") for name, cell in zip(header, cells, strict=True)})
    return found


def table(heading: str, number: int = 0) -> list[Row]:
    """A table below a heading."""
    return tables(section(heading))[number]


def uids(cell: str) -> list[str]:
    """The UIDs of a cell."""
    return re.findall(r"\b[12](?:\.\d+)+\b", cell)
