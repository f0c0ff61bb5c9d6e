"""Check that public functions with two or more parameters describe each of them (numpy style).

``python -m tools.docstrings [FOLDER ...]`` lists the functions that do not; by default it looks through all packages.
A constructor may describe its parameters in the docstring of its class, and a method that overrides another may refer
to it ("See :meth:`Engine.run`."). Ruff checks the rest of the style, but none of its rules asks for the section itself.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("candor", "operators", "gateway", "training", "deploy", "app.py")
FEWEST: Final = 2

Function = ast.FunctionDef | ast.AsyncFunctionDef


def undescribed(source: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the public functions whose docstrings lack parameters.

    Yields
    ------
    Line, name, and the parameters that are not described.
    """
    for function, owner in _public(ast.parse(source)):
        names = _parameters(function, owner)
        if len(names) < FEWEST:
            continue
        text = ast.get_docstring(function) or ""
        if owner is not None and function.name == "__init__":
            text = f"{ast.get_docstring(owner)}\n{text}"
        missing = [] if text.startswith("See :") else [name for name in names if not _describes(text, name)]
        if missing:
            yield function.lineno, f"{owner.name}.{function.name}" if owner else function.name, missing


def _public(node: ast.Module | ast.ClassDef) -> Iterator[tuple[Function, ast.ClassDef | None]]:
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from _public(child)
        elif isinstance(child, Function) and (not child.name.startswith("_") or child.name == "__init__"):
            yield child, node if isinstance(node, ast.ClassDef) else None


def _named(decorator: ast.expr) -> str:
    return ast.unparse(decorator).rpartition(".")[2]


def _parameters(function: Function, owner: ast.ClassDef | None) -> list[str]:
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    bound = owner is not None and "staticmethod" not in map(_named, function.decorator_list)
    return names[1:] if bound else names


def _describes(docstring: str, name: str) -> bool:
    """Return whether a line below "Parameters" begins with the name, alone or in a list with commas."""
    _, _, section = docstring.partition("Parameters\n")
    return re.search(rf"^\s*(?:\*{{0,2}}\w+, )*{re.escape(name)}(?:,.*)?(?: ?:.*)?$", section, re.MULTILINE) is not None


def main(places: list[str]) -> int:
    """Print one line for each function that lacks something; return 1 where there is any."""
    found = 0
    for place in places or PACKAGES:
        path = ROOT / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for line, name, missing in undescribed(file.read_text(encoding="utf-8")):
                print(f"{file.relative_to(ROOT)}:{line}: {name} does not describe {', '.join(missing)}")
                found += 1
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
