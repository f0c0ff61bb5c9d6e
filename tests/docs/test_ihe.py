"""Every point of the IHE tables has a test that exists and runs, or says that it is not done, and why."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.conftest import ROOT
from tests.statement import Row, tables

PAGE = ROOT / "docs" / "reference" / "ihe.md"
WORDINGS = ("quoted", "unconfirmed")
POINTS = [row for each in tables(PAGE.read_text()) for row in each]
CLAIMED = [row for row in POINTS if row["test"] != "none"]


def named(row: Row) -> list[str]:
    return [node.strip() for node in row["test"].split(",")]


@cache
def definitions(path: str) -> dict[str, ast.FunctionDef]:
    """The test functions of a file by their node ids, with those of its classes."""
    module = ast.parse((ROOT / path).read_text())
    found = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    for group in (node for node in module.body if isinstance(node, ast.ClassDef)):
        found |= {f"{group.name}::{node.name}": node for node in group.body if isinstance(node, ast.FunctionDef)}
    return found


def is_left_out(function: ast.FunctionDef) -> bool:
    """Whether a mark of its own keeps it out of the default run: full, skip, skipif or xfail."""
    marks = (ast.unparse(decorator) for decorator in function.decorator_list)
    return any(re.match(r"pytest\.mark\.(full|skip|skipif|xfail)\b", mark) for mark in marks)


def test_the_tables_are_there() -> None:
    assert len(CLAIMED) >= 30
    assert len(POINTS) - len(CLAIMED) > 10
    assert {"AIR: Evidence Creator", "AIW-I"} <= set(re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE))


@pytest.mark.parametrize("row", CLAIMED, ids=lambda row: row["point"][:60])
def test_what_is_claimed_has_tests_that_exist_and_run(row: Row) -> None:
    for node in named(row):
        path, _, name = node.partition("::")
        assert (ROOT / path).is_file(), node
        assert name in definitions(path), node
        assert name.rpartition("::")[2].startswith("test_"), node
    assert any(not is_left_out(definitions(node.split("::", 1)[0])[node.split("::", 1)[1]]) for node in named(row))


@pytest.mark.parametrize("row", CLAIMED, ids=lambda row: row["point"][:60])
def test_what_is_claimed_stands_in_code_that_exists(row: Row) -> None:
    paths = re.findall(r"[\w/]+(?:\.py|/)", row["where"])
    assert paths
    assert all((ROOT / path).exists() for path in paths), row["where"]


@pytest.mark.parametrize("row", [row for row in POINTS if row not in CLAIMED], ids=lambda row: row["point"][:60])
def test_what_is_not_done_says_so_and_why(row: Row) -> None:
    assert row["what Candor does"].startswith("Not done"), row
    assert len(row["what Candor does"]) > len("Not done: because")
    assert not row["where"]


@pytest.mark.parametrize("row", POINTS, ids=lambda row: row["point"][:60])
def test_every_point_says_how_sure_its_wording_is(row: Row) -> None:
    """A section of a supplement is named only where its wording is quoted."""
    assert row["wording"].startswith(WORDINGS)
    if re.search(r"\b\d+\.\d+\.\d+", row["point"]):
        assert row["wording"].startswith("quoted")
