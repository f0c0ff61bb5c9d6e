"""Hashes of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from candor.study.errors import BundleError


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file of a bundle, in hexadecimal.

    Raises
    ------
    BundleError
        The file cannot be read.
    """
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{file} cannot be read ({error.strerror}); restore it or export the bundle again") from error
