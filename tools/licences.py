"""Check the licences of everything that Candor ships against the list of accepted ones.

    python -m tools.licences           write docs/reference/licences.md
    python -m tools.licences --check   say what is not accepted, or where the page is not what it would write

A package whose licence is not on the list is an error: add the licence, with a reason where it needs one, or do
without.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.shipped import normalised, shipped

PAGE: Final = Path(__file__).parent.parent / "docs" / "reference" / "licences.md"

ACCEPTED: Final = {
    "0BSD": "0BSD",
    "Apache-2.0": "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception": "Apache-2.0 WITH LLVM-exception",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "BSD-2-Clause": "BSD-2-Clause",
    "BSD-3-Clause": "BSD-3-Clause",
    "BSL-1.0": "BSL-1.0",
    "CC0-1.0": "CC0-1.0",
    "MIT": "MIT",
    "MIT License": "MIT",
    "MIT-0": "MIT-0",
    "MIT-CMU": "MIT-CMU",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PSF-2.0": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "ZPL-2.1": "ZPL-2.1",
    "Zlib": "Zlib",
}
"""Licences that any package may have: the name in its metadata, and the SPDX identifier."""

FOR_A_REASON: Final = {
    ("nvidia-cuda-runtime", "LicenseRef-NVIDIA-Proprietary"): "free to use and to redistribute by NVIDIA's terms; "
    "holoscan is linked against it",
    ("psycopg", "LGPL-3.0-only"): "used as it is published, as a library that anybody can replace",
    ("psycopg-binary", "LGPL-3.0-only"): "the same",
}
"""Licences that a single package may have, with the reason."""


@dataclass(frozen=True, slots=True)
class Licensed:
    """A shipped package with the licences in its metadata, which all apply together."""

    name: str
    version: str
    licences: tuple[str, ...]

    @property
    def refused(self) -> list[str]:
        """The licences that are not accepted."""
        return [given for given in self.licences if given not in ACCEPTED and (self.name, given) not in FOR_A_REASON]


def licensed() -> list[Licensed]:
    """Return every shipped package with its licences."""
    names = shipped()
    command = [sys.executable, "-m", "piplicenses", "--from=mixed", "--format=json", "--with-system"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = {normalised(row["Name"]): row["License"] for row in json.loads(printed)}
    return [Licensed(name, package.version, _parts(rows[name])) for name, package in names.items()]


def page(packages: Iterable[Licensed]) -> str:
    """Return the page of packages and licences."""
    by_licence: dict[str, list[str]] = {}
    for package in packages:
        terms = " and ".join(sorted({ACCEPTED.get(given, given) for given in package.licences}))
        by_licence.setdefault(terms, []).append(package.name)
    rows = [f"| {terms} | {', '.join(names)} |" for terms, names in sorted(by_licence.items())]
    reasons = [f"- {name}, {terms}: {reason}." for (name, terms), reason in FOR_A_REASON.items()]
    return "\n".join(
        [
            "# Licences",
            "",
            "Written by `python -m tools.licences`. Candor is under Apache-2.0. What it ships, the application and the",
            "node with all that they need to run, is under:",
            "",
            "| licence | packages |",
            "|---|---|",
            *rows,
            "",
            "Accepted for a reason:",
            "",
            *reasons,
            "",
            "No package is under the GPL or the AGPL. The wheels of opencv-python-headless bring FFmpeg with them,",
            "under the LGPL-2.1; nothing here calls it.",
            "",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(prog="python -m tools.licences", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args(arguments).check
    packages = licensed()
    refused = [f"{package.name}: {', '.join(package.refused)}" for package in packages if package.refused]
    for line in refused:
        print(f"licences: not accepted: {line}", file=sys.stderr)
    written = page(packages)
    if not check:
        PAGE.write_text(written)
    stale = check and PAGE.read_text() != written
    if stale:
        print(f"licences: {PAGE.name} is stale; run python -m tools.licences", file=sys.stderr)
    print(f"{len(packages)} packages, {len(refused)} with a licence that is not accepted")
    return 1 if refused or stale else 0


def _parts(text: str) -> tuple[str, ...]:
    """Return the licences in a package's metadata; some have the whole text there."""
    named = text.splitlines()[0]
    return tuple(part.strip() for half in named.split(";") for part in half.split(" AND "))


if __name__ == "__main__":
    sys.exit(main())
