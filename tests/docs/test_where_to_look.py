"""The table "Where to look" names files and definitions that exist."""

from __future__ import annotations

import ast

import pytest

from tests.conftest import ROOT
from tests.statement import Row, tables

PAGE = ROOT / "docs" / "explanation" / "way-of-the-data.md"
ROWS = [row for table in tables(PAGE.read_text()) for row in table if "question" in row]


def defined(path: str) -> set[str]:
    """The names that a file defines: functions, classes, variables, and methods as ``Class.method``."""
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def test_the_table_is_there() -> None:
    assert len(ROWS) >= 7


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["question"])
def test_what_the_table_names_is_defined_there(row: Row) -> None:
    assert row["name"] in defined(row["file"])
