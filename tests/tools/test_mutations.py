"""The mutation tool changes one thing at a time, and names the tests that have to notice."""

from __future__ import annotations

import json
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


def test_every_target_is_there() -> None:
    for target in mutations.TARGETS:
        assert (mutations.ROOT / target).exists()
        assert mutations.files_of([target])


TESTS = mutations.Tests(
    seconds={
        "tests/a/test_b.py::test_slow": 9.0,
        "tests/a/test_b.py::test_mirror": 1.0,
        "tests/a/test_c.py::test_folder": 0.5,
        "tests/d/test_d.py::test_fast": 0.1,
        "tests/d/test_d.py::test_slow_elsewhere": 9.0,
        "tests/a/test_b.py::test_other_process": 0.2,
    },
    lines={
        "a/b.py": {
            "1": [],
            "2": ["tests/a/test_c.py::test_folder"],
            "3": [
                "tests/a/test_b.py::test_mirror",
                "tests/a/test_b.py::test_slow",
                "tests/a/test_c.py::test_folder",
                "tests/a/test_c.py::test_fails",
                "tests/d/test_d.py::test_fast",
                "tests/d/test_d.py::test_slow_elsewhere",
            ],
        }
    },
)


def test_a_mutant_gets_the_tests_that_run_its_line_the_nearest_and_fastest_first() -> None:
    assert TESTS.of("a/b.py", 2) == ["tests/a/test_c.py::test_folder"]
    assert TESTS.of("a/b.py", 3) == [
        "tests/a/test_b.py::test_mirror",
        "tests/a/test_c.py::test_folder",
        "tests/d/test_d.py::test_fast",
        "tests/a/test_b.py::test_slow",
    ]


def test_a_line_that_no_test_runs_gets_the_tests_of_its_file() -> None:
    near = ["tests/a/test_b.py::test_other_process", "tests/a/test_b.py::test_mirror"]
    assert TESTS.of("a/b.py", 1) == [*near, *TESTS.of("a/b.py", 3)[1:]]


def test_tests_are_no_more_than_the_budget_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutations, "_BUDGET_S", 1.5)
    assert TESTS.of("a/b.py", 3) == ["tests/a/test_b.py::test_mirror", "tests/a/test_c.py::test_folder"]


def test_the_files_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutations, "ROOT", tmp_path)
    (tmp_path / "one.py").write_text("a = b < c\nd = e < f\n")
    (tmp_path / "two.py").write_text("a = b < c\n")
    assert [name for name, _ in mutations.drawn(["one.py", "two.py"], 0)] == ["one.py", "two.py", "one.py"]
    assert [mutant.line for _, mutant in mutations.drawn(["one.py", "two.py"], 0, line=2)] == [2]


def alone(script: str, *arguments: Path) -> str:
    """What a script prints in a process of its own: a fork of this one, which has threads, could wait for ever."""
    head = "import sys\nfrom pathlib import Path\nfrom tools import mutations\n"
    command = [sys.executable, "-c", head + script, *map(str, arguments)]
    return subprocess.run(command, cwd=mutations.ROOT, capture_output=True, text=True, check=True).stdout


def noticed(tree: Path, tests: list[str], longest_s: float = 300.0) -> bool:
    said = alone(f"print(mutations.is_noticed(Path(sys.argv[1]), {tests!r}, {longest_s}))", tree)
    return {"True\n": True, "False\n": False}[said]


def test_a_mutant_is_noticed_by_a_test_that_fails(tmp_path: Path) -> None:
    tree = _tree(tmp_path, **{"test_one.py": "def test_one():\n    assert 1 < 2\ndef test_two():\n    assert 1 > 2\n"})
    assert not noticed(tree, ["test_one.py::test_one"])
    assert noticed(tree, ["test_one.py::test_one", "test_one.py::test_two"])


def test_a_mutant_without_tests_is_not_noticed(tmp_path: Path) -> None:
    assert not mutations.is_noticed(_tree(tmp_path), [])


def test_a_mutant_whose_tests_hang_is_noticed(tmp_path: Path) -> None:
    hanging = "import threading\ndef test_one():\n    threading.Event().wait()\n"
    assert noticed(_tree(tmp_path, **{"test_one.py": hanging}), ["test_one.py::test_one"], 0.1)


def test_survivors_are_printed(tmp_path: Path) -> None:
    root = _tree(
        tmp_path,
        **{
            "pkg/code.py": "def f(a, b):\n    return a < b\n",
            "tests/pkg/test_code.py": "from pkg.code import f\ndef test_f():\n    assert f(1, 2) is True\n",
        },
    )
    table = tmp_path / "map.json"
    script = (
        "mutations.ROOT, mutations._WARM = Path(sys.argv[1]), ()\n"
        "assert mutations.main(['pkg/code.py', '--map', sys.argv[2]]) == 1\n"
    )
    assert alone(script, root, table) == (
        "--- pkg/code.py:2\n+++ pkg/code.py:2\n@@ -2 +2 @@\n-    return a < b\n+    return (a <= b)\n"
        "pkg/code.py: 2 mutants were run; 1 survived\n"
        "2 of 2 mutants were run; 1 survived\n"
    )
    assert (root / "pkg/code.py").read_text() == "def f(a, b):\n    return a < b\n"
    tests = mutations.Tests(**json.loads(table.read_text()))
    assert tests.of("pkg/code.py", 2) == ["tests/pkg/test_code.py::test_f"]


def _tree(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "root").mkdir(exist_ok=True)
    return folder / "root"


def test_the_command_says_how_it_is_bounded() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.mutations", "--most", "0"], cwd=mutations.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.startswith("0 of ")
