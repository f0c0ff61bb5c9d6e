"""Change the code of the node in small ways, one at a time, and print the changes that no test notices.

    python -m tools.mutations [FILE ...] [--most 60] [--seconds 1800] [--seed 0] [--line N]

A mutant lives in a copy of the tree: a comparison is turned, "and" becomes "or", a condition is negated or forgotten, a
constant is moved, None is returned, or a call on a line of its own is left out. The test file that mirrors the module
runs first, then the others of its folder. The exit code is 1 where a mutant survives both.
"""

from __future__ import annotations

import argparse
import ast
import copy
import difflib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
TARGETS: Final = (
    "gateway/receive", "gateway/store/spool.py", "gateway/assess/assessor.py", "gateway/deliver/deliverer.py",
    "gateway/deliver/commitment.py", "gateway/deliver/recall.py", "gateway/jobs/lease.py",
)  # fmt: skip

_LONGEST_S: Final = 300.0
"""A mutant whose tests take longer hangs, and is noticed."""

_LEFT_OUT: Final = {".git", ".venv", "models", "__pycache__", "site", "work"}
_LOG: Final = "log_event"
"""A log line may be left out unnoticed."""

_CONDITIONS: Final = ("where", "and_")
"""Calls that take conditions of a query."""

_TURNED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


class Mutant(NamedTuple):
    """One change of one file: the line, counted from 1, and the whole text after it."""

    line: int
    text: str


def mutants(source: str) -> Iterator[Mutant]:
    """Make all mutants of a module; only the changed node is written anew, so that a diff shows nothing else."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if hasattr(node, "decorator_list"):
            node.decorator_list = []  # dataclass(slots=False) is the same to every test
    for node in ast.walk(tree):
        place = node.test if isinstance(node, ast.If | ast.IfExp | ast.While) else node
        for changed in (*_statements(copy.deepcopy(node)), *_expressions(copy.deepcopy(node))):
            text = _replaced(source, place, changed)
            if text != source and _is_code(text):
                yield Mutant(place.lineno, text)  # type: ignore[attr-defined]


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Make the variants of a statement, or of its condition."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield ast.UnaryOp(ast.Not(), test)
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call(func=function)) if _name(function) != _LOG:
            yield ast.Pass()


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    """Make the variants of an expression."""
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in _TURNED:
            node.ops = [_TURNED[type(operator)]()]
            yield node
        case ast.BoolOp(op=operator):
            node.op = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield node
        case ast.BinOp(op=ast.Add() | ast.Sub() as operator):
            node.op = ast.Sub() if isinstance(operator, ast.Add) else ast.Add()
            yield node
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Call(func=function, args=[_, _, *_]) if _name(function) in _CONDITIONS:
            for k in range(len(node.args)):
                yield ast.Call(function, node.args[:k] + node.args[k + 1 :], node.keywords)


def _name(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _replaced(source: str, place: Any, changed: ast.AST) -> str:
    whole, text = source.encode(), ast.unparse(changed)
    lines = [0, *accumulate(map(len, whole.splitlines(keepends=True)))]
    begin, end = lines[place.lineno - 1] + place.col_offset, lines[place.end_lineno - 1] + place.end_col_offset
    text = f"({text})" if isinstance(changed, ast.expr) else text
    return (whole[:begin] + text.encode() + whole[end:]).decode()


def _is_code(text: str) -> bool:
    """Return whether a text can be compiled; inside an f-string not every change can."""
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def difference(before: str, after: str, name: str) -> str:
    """Return a unified diff of a file's two texts, without context."""
    return "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="", n=0))


def copy_tree(target: Path) -> None:
    """Copy what tests need; models and environment are linked."""
    shutil.copytree(ROOT, target, ignore=lambda _, names: _LEFT_OUT & set(names), symlinks=True)
    for name in ("models", ".venv"):
        if (ROOT / name).exists():
            (target / name).symlink_to((ROOT / name).resolve())


def is_noticed(tree: Path, tests: str) -> bool:
    """Run a file or folder of tests in a copy of the tree, and return whether one fails, or they hang."""
    command = [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "CANDOR_DATA": str(ROOT.parent / "shared" / "data")}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=tree, env=environment, stdout=quiet, stderr=quiet, process_group=0) as process:
        try:
            return process.wait(_LONGEST_S) != 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return True


def files_of(names: Sequence[str]) -> list[str]:
    """Return the modules to mutate; a folder stands for those in it."""
    paths = [ROOT / name for name in names]
    found = [file for path in paths for file in ([path] if path.is_file() else sorted(path.glob("[!_]*.py")))]
    return [file.relative_to(ROOT).as_posix() for file in found]


def tests_of(name: str) -> list[str]:
    """Return what has to notice a mutant: the test file that mirrors the module, where there is one, and its folder."""
    folder = Path("tests") / Path(name).parent
    return [path.as_posix() for path in (folder / f"test_{Path(name).name}", folder) if (ROOT / path).exists()]


def main(words: Sequence[str] | None = None) -> int:
    """Run mutants and print those that survive."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", default=TARGETS, help="by default what keeps the promise")
    parser.add_argument("--most", type=int, default=60, help="mutants, drawn by chance")
    parser.add_argument("--seconds", type=float, default=1800.0, help="for the whole run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--line", type=int, help="only mutants of this line")
    options = parser.parse_args(words)
    end, survivors, done = time.monotonic() + options.seconds, 0, 0
    named = [(name, each) for name in files_of(options.files) for each in mutants((ROOT / name).read_text())]
    chosen = [(name, mutant) for name, mutant in named if options.line in (None, mutant.line)]
    random.Random(options.seed).shuffle(chosen)
    with tempfile.TemporaryDirectory(prefix="candor-mutants-") as folder:
        tree = Path(folder) / "tree"
        copy_tree(tree)
        for name, mutant in chosen[: options.most]:
            if time.monotonic() > end:
                break
            before = (tree / name).read_text()
            (tree / name).write_text(mutant.text)
            if not any(is_noticed(tree, tests) for tests in tests_of(name)):
                survivors += 1
                print(difference(before, mutant.text, f"{name}:{mutant.line}"), flush=True)
            (tree / name).write_text(before)
            done += 1
    print(f"{done} of {len(chosen)} mutants were run; {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
