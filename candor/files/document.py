"""Read a JSON file of the bundle, checking each value as it is taken.

Nothing of a bundle is trusted because it parses: an error names the file, the key and what to do.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from candor.study.errors import BundleError

_LARGEST: Final = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object that knows where it stands.

    Parameters
    ----------
    values
        The object's keys and values.
    file
        Where it was read.
    remedy
        What a person does about a bad value: ``"export the bundle again"``.
    place
        The dotted path of the object in its file; "" for the whole.
    """

    values: dict[str, object]
    file: Path
    remedy: str
    place: str = ""

    def refuse(self, problem: str) -> NoReturn:
        """Raise a BundleError that names the file, the place, the problem and the remedy."""
        raise BundleError(f"{self.file}: {self.place}{' ' if self.place else ''}{problem}; {self.remedy}")

    def at(self, key: str) -> Document:
        """Take the object under a key."""
        value = self._take(key, dict, "an object")
        return Document(value, self.file, self.remedy, self._path(key))

    def text(self, key: str) -> str:
        """Take a string that is not blank."""
        value: str = self._take(key, str, "a text")
        if not value.strip():
            self.refuse_value(key, "is blank")
        return value

    def texts(self, key: str) -> list[str]:
        """Take a list of strings."""
        value: list[object] = self._take(key, list, "a list of texts")
        texts = [item for item in value if isinstance(item, str)]
        if len(texts) != len(value):
            self.refuse_value(key, "is not a list of texts")
        return texts

    def truth(self, key: str) -> bool:
        """Take true or false."""
        value: bool = self._take(key, bool, "true or false")
        return value

    def number(self, key: str, low: float = -_LARGEST, high: float = _LARGEST) -> float:
        """Take a finite number in [low, high]; a bool is none."""
        value = self._take(key, (int, float), "a number")
        if isinstance(value, bool) or not low <= value <= high:  # NaN fails the comparison too
            bounds = "a finite number" if high == _LARGEST else f"a number from {low:g} to {high:g}"
            self.refuse_value(key, f"is {json.dumps(value)[:40]}, not {bounds}")
        return float(value)

    def numbers(self, key: str) -> list[float]:
        """Take a list of finite numbers."""
        value: list[object] = self._take(key, list, "a list of numbers")
        return [Document({key: item}, self.file, self.remedy, self.place).number(key) for item in value]

    def integer(self, key: str, low: int, high: int) -> int:
        """Take a whole number in [low, high]."""
        value = self.number(key, low, high)
        if value != int(value):
            self.refuse_value(key, f"is {value:g}, not a whole number")
        return int(value)

    def number_or_none(self, key: str, low: float, high: float) -> float | None:
        """Take a number in [low, high], or null."""
        return None if key in self.values and self.values[key] is None else self.number(key, low, high)

    def require_hash(self, key: str, file: Path, known: str | None = None) -> None:
        """Check that the SHA-256 under a key is that of a file; ``known`` spares hashing it again."""
        expected, found = self.text(key), known or file_sha256(file)
        if expected != found:
            self.refuse_value(
                key,
                f"says that it belongs to the {file.name} with SHA-256 {expected[:12]}..., but {file} "
                f"has {found[:12]}...",
            )

    def refuse_value(self, key: str, problem: str) -> NoReturn:
        """Raise a BundleError about the value under a key."""
        Document(self.values, self.file, self.remedy, self._path(key)).refuse(problem)

    def _path(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def _take(self, key: str, kinds: type | tuple[type, ...], name: str) -> Any:
        if key not in self.values:
            self.refuse_value(key, "is missing")
        if not isinstance(self.values[key], kinds):
            self.refuse_value(key, f"is not {name}")
        return self.values[key]


def file_sha256(file: Path) -> str:
    """Hash a file of a bundle, in hexadecimal.

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


def read_document(file: Path, remedy: str) -> Document:
    """Read a JSON file that holds one object.

    Raises
    ------
    BundleError
        The file is missing or unreadable, is no JSON, holds no object, or gives a key twice.
    """
    try:
        values = json.loads(file.read_bytes(), object_pairs_hook=_without_twins)
    except OSError as error:
        raise BundleError(f"{file} cannot be read ({error.strerror}); {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{file} is no JSON ({error}); {remedy}") from error
    if not isinstance(values, dict):
        raise BundleError(f"{file} holds no JSON object; {remedy}")
    return Document(values, file, remedy)


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return values
