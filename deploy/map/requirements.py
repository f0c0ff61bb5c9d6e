"""Print the requirements in ``pyproject.toml``, one on each line.

python requirements.py pyproject.toml --extra sdk    for the Dockerfile: without torch, which is an argument there
python requirements.py pyproject.toml --extra sdk --pinned constraints.txt
                                                     for monai-deploy package: torch too, with versions
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"([\w.-]+)(\[[\w,.-]+\])?")
"""A requirement's package and its extras; its version may follow."""


def requirements(project: Path, extra: str | None = None) -> list[str]:
    """Return the dependencies of a project.

    Parameters
    ----------
    project
        The file ``pyproject.toml``.
    extra
        An extra whose dependencies are added; None for none.
    """
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    return [*table["dependencies"], *(table["optional-dependencies"][extra] if extra else ())]


def pinned(lines: list[str], constraints: Path) -> list[str]:
    """Return the requirements, each with the one version that the constraints name.

    Parameters
    ----------
    lines
        Requirements, with or without version specifiers.
    constraints
        A file with a line ``name==version`` for each package.

    Raises
    ------
    KeyError
        There is no constraint for a package.
    """
    pins = dict(line.split("==") for line in constraints.read_text(encoding="utf-8").splitlines() if "==" in line)
    versions = {_key(name): version for name, version in pins.items()}
    return [f"{_matched(line)[0]}=={versions[_key(line)]}" for line in lines]


def _key(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", _matched(requirement)[1]).lower()


def _matched(requirement: str) -> re.Match[str]:
    found = _NAME.match(requirement)
    if found is None:
        raise ValueError(f"{requirement!r} names no package")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the requirements that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("project", type=Path, metavar="pyproject.toml")
    parser.add_argument("--extra", help="with the dependencies of this extra")
    parser.add_argument("--pinned", type=Path, metavar="constraints.txt", help="with versions, torch too")
    options = parser.parse_args(arguments)
    lines = requirements(options.project, options.extra)
    lines = pinned(lines, options.pinned) if options.pinned else [line for line in lines if _key(line) != "torch"]
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
