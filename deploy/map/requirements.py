"""Print what ``pyproject.toml`` asks for, one requirement a line.

python requirements.py pyproject.toml                            for the Dockerfile: all but torch, an argument there
python requirements.py pyproject.toml --extra gateway            what an extra adds
python requirements.py pyproject.toml --pinned constraints.txt   for monai-deploy package: torch too, with versions
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"[\w.-]+")


def requirements(project: Path, extra: str | None = None) -> list[str]:
    """Read the dependencies of a project, or those of one of its extras."""
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    lines: list[str] = table["dependencies"] if extra is None else table["optional-dependencies"][extra]
    return list(lines)


def pinned(lines: list[str], constraints: Path) -> list[str]:
    """Give every requirement the version that the constraints name.

    Raises
    ------
    KeyError
        They name none for a package.
    """
    pins = dict(line.split("==") for line in constraints.read_text(encoding="utf-8").splitlines() if "==" in line)
    versions = {_key(name): version for name, version in pins.items()}
    return [f"{line}=={versions[_key(line)]}" for line in lines]


def _key(requirement: str) -> str:
    found = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the requirements that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("project", type=Path, metavar="pyproject.toml")
    parser.add_argument("--extra", help="print what this extra adds")
    parser.add_argument("--pinned", type=Path, metavar="constraints.txt", help="with versions, torch too")
    options = parser.parse_args(arguments)
    lines = requirements(options.project, options.extra)
    lines = pinned(lines, options.pinned) if options.pinned else [line for line in lines if line != "torch"]
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
