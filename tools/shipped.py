"""The packages that Candor ships: the application, the node, and all that they need to run."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

PROJECT: Final = Path(__file__).parent.parent / "pyproject.toml"
EXTRAS: Final = ("sdk", "node")
"""The extras in the images; those for training, tests and checks are not in them."""


def shipped() -> dict[str, Distribution]:
    """Return the packages that Candor and its extras require, as installed in this environment.

    Returns
    -------
    Normalised name (PEP 503) to the installed distribution, sorted; without Candor itself.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        A required package is not installed; run `make setup`.
    """
    found: dict[tuple[str, frozenset[str]], Distribution] = {}
    pending = _needs(_own(), frozenset())
    while pending:
        name, extras = pending.pop()
        key = (normalised(name), extras)
        if key not in found:
            found[key] = distribution(name)
            pending += _needs(found[key].requires or (), extras)
    return {name: found[name, extras] for name, extras in sorted(found, key=lambda key: key[0])}


def normalised(name: str) -> str:
    """Return a package's name as indexes write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _own() -> list[str]:
    table = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    return [*table["dependencies"], *(line for extra in EXTRAS for line in table["optional-dependencies"][extra])]


def _needs(texts: Iterable[str], extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    needs = []
    for text in texts:
        requirement = Requirement(text)
        asked = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(requirement.marker.evaluate(environment) for environment in asked):
            needs.append((requirement.name, frozenset(requirement.extras)))
    return needs
