"""The mutation tool changes one thing at a time, and names the tests that have to notice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import mutations


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("a = b < c", {"a = (b <= c)"}),
        ("a = b is None", {"a = (b is not None)"}),
        ("a = b and c", {"a = (b or c)"}),
        ("a = not b", {"a = (b)"}),
        ("a = b + 1", {"a = (b - 1)", "a = b + (2)"}),
        ("a = True", {"a = (False)"}),
        ("a = 'text'", set()),
        ("if a:\n    b()", {"if (not a):\n    b()", "if a:\n    pass"}),
        ("def f():\n    return a", {"def f():\n    return None"}),
        ("def f():\n    return None", set()),
        ("log_event('a')", set()),
        ("@dataclass(slots=True)\nclass A:\n    b: int", set()),
        ("a = x.where(b, c)", {"a = (x.where(c))", "a = (x.where(b))"}),
        ("ä = ('é', 1)", {"ä = ('é', (2))"}),
    ],
)
def test_each_mutant_has_one_change(source: str, changed: set[str]) -> None:
    assert {mutant.text for mutant in mutations.mutants(source)} == changed


def test_mutants_know_their_line() -> None:
    (mutant,) = mutations.mutants("a = b\n\nc = d == e\n")
    assert mutant.line == 3
    assert mutations.difference("a = b\n\nc = d == e\n", mutant.text, "x") == (
        "--- x\n+++ x\n@@ -3 +3 @@\n-c = d == e\n+c = (d != e)"
    )


def test_every_target_is_there_and_has_tests() -> None:
    for target in mutations.TARGETS:
        assert (mutations.ROOT / target).exists()
    for name in mutations.files_of(mutations.TARGETS):
        assert mutations.tests_of(name)


def test_a_mutant_is_noticed_by_a_test_that_fails(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_one():\n    assert 1 < 2\n")
    assert not mutations.is_noticed(tmp_path, "test_one.py")
    (tmp_path / "test_one.py").write_text("def test_one():\n    assert 1 > 2\n")
    assert mutations.is_noticed(tmp_path, "test_one.py")


def test_a_mutant_whose_tests_hang_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_one.py").write_text("import threading\ndef test_one():\n    threading.Event().wait()\n")
    monkeypatch.setattr(mutations, "_LONGEST_S", 0.1)
    assert mutations.is_noticed(tmp_path, "test_one.py")


def test_survivors_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {
        "pkg/code.py": "def f(a, b):\n    return a < b\n",
        "tests/pkg/test_code.py": "from pkg.code import f\ndef test_f():\n    assert f(1, 2) is True\n",
    }.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    monkeypatch.setattr(mutations, "ROOT", tmp_path / "root")
    assert mutations.main(["pkg/code.py"]) == 1
    assert capsys.readouterr().out == (
        "--- pkg/code.py:2\n+++ pkg/code.py:2\n@@ -2 +2 @@\n-    return a < b\n+    return (a <= b)\n"
        "2 of 2 mutants were run; 1 survived\n"
    )
    assert (tmp_path / "root/pkg/code.py").read_text() == "def f(a, b):\n    return a < b\n"


def test_the_command_says_how_it_is_bounded() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.mutations", "--most", "0"], cwd=mutations.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.startswith("0 of ")
