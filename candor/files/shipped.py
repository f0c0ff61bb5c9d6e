"""Find the files that ship with the code: ``app.yaml``, ``gateway.yaml``, and the demonstration bundle in ``models``.

``setup.py`` copies them into the wheel, below ``candor/shipped``. In a checkout they are beside the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent.parent


def shipped_folder(package: Path = _PACKAGE) -> Path:
    """Return the folder of the shipped files: in the package where it is installed, else the folder around it.

    Parameters
    ----------
    package
        The folder of the package ``candor``.
    """
    inside = package / "shipped"
    return inside if inside.is_dir() else package.parent


def shipped(name: str) -> Path:
    """Return the path of a file or folder that ships, such as ``app.yaml``."""
    return shipped_folder() / name
