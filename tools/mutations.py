"""Change the code of the node in small ways, one at a time, and print the changes that no test notices.

    python -m tools.mutations [FILE ...] [--most 300] [--seconds 3600] [--seed 0] [--line N] ...

A mutant lives in a copy of the tree: a comparison is turned, "and" becomes "or", a condition is negated or forgotten, a
constant is moved, None is returned, or a call on a line of its own is left out. First the tests run on the code as it
is, and coverage says which of them run which line. Then each mutant gets the tests that run its line, in a fork of one
warm process, until one fails. The files take turns, so that few mutants are still some of each. The exit code is 1
where a mutant survives.
"""

from __future__ import annotations

import argparse
import ast
import copy
import difflib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import accumulate, chain, zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

import coverage
import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
TARGETS: Final = (
    "gateway/receive", "gateway/store/spool.py", "gateway/assess/assessor.py", "gateway/deliver/deliverer.py",
    "gateway/deliver/commitment.py", "gateway/deliver/recall.py", "gateway/jobs/lease.py",
)  # fmt: skip

_SLOW_S: Final = 2.0
"""A test that takes longer comes last, and only for the modules that its folder mirrors."""

_BUDGET_S: Final = 30.0
"""A mutant gets tests that take so long together."""

_WARM: Final = ("app", "dbos", "hypothesis", "pynetdicom")
"""Imported before the first fork: what takes long, and no mutant changes."""

_LEFT_OUT: Final = {".git", ".venv", "models", "site", "work"}
_MEMORY: Final = Path("/dev/shm")
"""What tests wait to see on the disk is there at once."""

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


class Tests(NamedTuple):
    """The tests of a package, run on the code as it is.

    Parameters
    ----------
    seconds
        For each that passes, by its node ID.
    lines
        By file and line, both as text: the tests that run it.
    """

    seconds: dict[str, float]
    lines: dict[str, dict[str, list[str]]]

    def of(self, name: str, line: int) -> list[str]:
        """Return the tests that have to notice a mutant, in the order in which they run.

        Parameters
        ----------
        name
            Of the file.
        line
            Where no test runs it (an import or another process does), the tests of the whole file count.
        """
        folder, ran = f"{(Path('tests') / name).parent}/", self.lines.get(name, {})
        mirror = f"{folder}test_{Path(name).name}::"
        found = ran.get(str(line)) or [
            *chain(*ran.values()),
            *(test for test in self.seconds if test.startswith(mirror)),
        ]
        slow = {test for test, seconds in self.seconds.items() if seconds > _SLOW_S}
        tests = [test for test in set(found) & self.seconds.keys() if test not in slow or test.startswith(folder)]
        tests.sort(
            key=lambda test: (
                test in slow, not test.startswith(mirror), not test.startswith(folder), self.seconds[test], test
            )
        )  # fmt: skip
        together = accumulate(self.seconds[test] for test in tests)
        return [test for test, seconds in zip(tests, together, strict=True) if seconds <= _BUDGET_S]


class _Clock:
    """A plugin of pytest that writes down the seconds of each test that passes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._not_passed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if not report.passed:
            self._not_passed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        for test in self._not_passed:
            del self.seconds[test]


class _Choice:
    """A plugin of pytest that runs some of the tests, in their order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._place = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self._place), key=lambda i: self._place[i.nodeid])


def examine(tree: Path, package: str, target: Path) -> None:
    """Run a package's tests on the code as it is, and write what they are to a file.

    Parameters
    ----------
    tree
        A copy of the tree.
    package
        Its name. Tests with PostgreSQL are left out: with SQLite the same lines run in less time.
    target
        JSON; :class:`Tests` is made of it.
    """
    _forked(_examine, tree, package, target.resolve(), limit_s=None)


def _examine(package: str, target: Path) -> int:
    clock, measured = _Clock(), Path("coverage").resolve()
    os.environ["COVERAGE_FILE"] = str(measured)
    options = (f"--cov={package}", "--cov-context=test", "--cov-report=", "--cov-fail-under=0", "-k=not postgresql")
    code = pytest.main([*_options(), *options, f"tests/{package}"], plugins=[clock])
    data = coverage.CoverageData(str(measured))
    data.read()
    lines = {
        Path(name).relative_to(Path.cwd()).as_posix(): {
            str(line): sorted({context.rpartition("|")[0] for context in contexts} - {""})
            for line, contexts in data.contexts_by_lineno(name).items()
        }
        for name in data.measured_files()
    }
    target.write_text(json.dumps(Tests(clock.seconds, lines)._asdict()))
    return code


def is_noticed(tree: Path, tests: Sequence[str], longest_s: float = 300.0) -> bool:
    """Run tests in a copy of the tree, and return whether one fails, or they hang.

    Parameters
    ----------
    tree
        With a mutant in it.
    tests
        Node IDs, in the order in which they run.
    longest_s
        Tests that take longer hang; that is noticed too.
    """
    unnoticed = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    return bool(tests) and _forked(_run, tree, tests, limit_s=longest_s) not in unnoticed


def _run(tests: Sequence[str]) -> int:
    files = dict.fromkeys(test.partition("::")[0] for test in tests)
    return pytest.main([*_options(), "-x", *files], plugins=[_Choice(tests)])


def _options() -> list[str]:
    return ["-q", "-p", "no:cacheprovider", f"--basetemp={Path.cwd().with_name('files')}"]


def _forked(what: Callable[..., int], tree: Path, *values: Any, limit_s: float | None) -> int | None:
    """Call a function in a fork of this process, in a tree; returns its exit code, or None where it hangs."""
    process = multiprocessing.get_context("fork").Process(target=_in_tree, args=(what, tree.resolve(), values))
    process.start()
    try:
        process.join(limit_s)
        return process.exitcode
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()


def _in_tree(what: Callable[..., int], tree: Path, values: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setpgid(0, 0)
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "CANDOR_DATA": str(ROOT.parent / "shared" / "data")}
    os.environ["TMPDIR"] = tempfile.tempdir = str(tree.parent)
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(quiet, descriptor)
    os._exit(what(*values))


def files_of(names: Sequence[str]) -> list[str]:
    """Return the modules to mutate; a folder stands for those in it."""
    paths = [ROOT / name for name in names]
    found = [file for path in paths for file in ([path] if path.is_file() else sorted(path.glob("[!_]*.py")))]
    return [file.relative_to(ROOT).as_posix() for file in found]


def drawn(names: Sequence[str], seed: int, line: int | None = None) -> list[tuple[str, Mutant]]:
    """Return the mutants of some files in an order of chance, in which the files take turns.

    Parameters
    ----------
    names
        Of the files.
    seed
        Another gives another order.
    line
        Only mutants of this line.
    """
    chance, files = random.Random(seed), []
    for name in names:
        files.append([(name, each) for each in mutants((ROOT / name).read_text()) if line in (None, each.line)])
        chance.shuffle(files[-1])
    return [each for turn in zip_longest(*files) for each in turn if each is not None]


def main(words: Sequence[str] | None = None) -> int:
    """Run mutants, print those that survive, and count them by file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", default=TARGETS, help="by default what keeps the promise")
    parser.add_argument("--most", type=int, default=300, help="mutants, drawn by chance")
    parser.add_argument("--seconds", type=float, default=3600.0, help="after which no mutant is begun")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--line", type=int, help="only mutants of this line")
    parser.add_argument("--longest", type=float, default=300.0, help="seconds, after which a mutant's tests hang")
    parser.add_argument("--map", type=Path, help="which tests run which line; written where it is missing")
    options = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # nothing stays in memory
    every = drawn(files_of(options.files), options.seed, options.line)
    chosen, done, survived = every[: options.most], Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="candor-mutants-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        tree, table = Path(folder) / "tree", options.map or Path(folder) / "map.json"
        tests = _prepared(tree, Path(chosen[0][0]).parts[0], table) if chosen else Tests({}, {})
        end = time.monotonic() + options.seconds
        for name, mutant in chosen:
            if time.monotonic() > end:
                break
            began = time.monotonic()
            (tree / name).write_text(mutant.text)
            if not is_noticed(tree, tests.of(name, mutant.line), options.longest):
                survived[name] += 1
                print(difference((ROOT / name).read_text(), mutant.text, f"{name}:{mutant.line}"), flush=True)
            shutil.copy2(ROOT / name, tree / name)
            done[name] += 1
            print(f"{name}:{mutant.line}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    for name, number in sorted(done.items()):
        print(f"{name}: {number} mutants were run; {survived[name]} survived")
    print(f"{done.total()} of {len(every)} mutants were run; {survived.total()} survived")
    return 1 if survived else 0


def _prepared(tree: Path, package: str, table: Path) -> Tests:
    """Copy the tree, import what takes long, and look which tests run which line."""
    copy_tree(tree)
    for module in _WARM:
        import_module(module)
    if not table.exists():
        examine(tree, package, table)
    return Tests(**json.loads(table.read_text()))


if __name__ == "__main__":
    sys.exit(main())
