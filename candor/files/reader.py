"""Read a settings file (YAML) or a JSON file of a bundle into a pydantic model.

A fault is an error of Candor's own that names the file, the line, the key, its value and what it must be; for an
unknown setting it names the closest known one. A key that appears twice is refused, and so is a number that is not
finite. No value is replaced by its default without an error.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from candor.files.hashes import file_sha256
from candor.study.errors import BundleError, SettingsError

AnyModel = TypeVar("AnyModel", bound=BaseModel)
Place = Sequence[int | str]
"""Keys and list positions from the top of a file down to one value."""

MOST_FAULTS: Final = 5
"""The most faults of one file that an error names."""

_PLAIN: Final = {
    "an object": "a block of names and values",
    "a valid array": "a list",
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "a text",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}
"""Pydantic's words, with plainer ones to replace them."""

_QUOTE: Final = "'"
_LONGEST_VALUE: Final = 60  # characters of a value in an error


class Block(BaseModel):
    """A block of settings: frozen and strict; unknown settings are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True, allow_inf_nan=False)


class Record(BaseModel):
    """An object of a JSON file: frozen and strict; unknown keys are ignored, since other readers may need them."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("it must not be blank")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]
"""A string that is not blank."""


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number; JSON may write it as 64.0."""


def _foreign(value: object) -> dict[str, str]:
    """Return a value that JSON cannot hold, such as a date, in a form that no setting accepts."""
    return {type(value).__name__: str(value)}


def read_settings(path: Path, model: type[AnyModel]) -> AnyModel:
    """Read a settings file; what it does not name keeps its default.

    Parameters
    ----------
    path
        The YAML file; an empty one sets nothing.
    model
        The model of the whole file.

    Raises
    ------
    SettingsError
        The file cannot be read, is no YAML, or names a setting that is unknown, impossible or given twice.
    """
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        if (twin := _twin(root)) is not None:
            raise SettingsError(f"{path}{_line(root, twin)}: {twin[-1]!r} stands there twice")
        values = loader.construct_document(root) if root else None
        content = json.dumps({} if values is None else values, default=_foreign)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}); name another with --config") from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{path}{line} is not valid YAML: {' '.join(str(error).split())[:200]}") from error
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise SettingsError(f"{path}{_faults(error, model, json.loads(content), root)}") from error


@dataclass(frozen=True, slots=True)
class JsonFile:
    """A JSON file of a bundle, which holds one object.

    Parameters
    ----------
    path
        The file.
    remedy
        What a person should do about a fault in it: ``"export the bundle again"``.
    """

    path: Path
    remedy: str

    def read(self, model: type[AnyModel], at: str = "") -> AnyModel:
        """Read the file into a model.

        Parameters
        ----------
        model
            The model of the file, or of the object at ``at``.
        at
            The dotted path of the object in the file; "" for the whole file.

        Raises
        ------
        BundleError
            The file is missing or unreadable, is not JSON, gives a key twice, or has an invalid value.
        """
        try:
            values = part = json.loads(self.path.read_bytes(), object_pairs_hook=_without_twins)
        except OSError as error:
            raise BundleError(f"{self.path} cannot be read ({error.strerror}); {self.remedy}") from error
        except _Twin as error:
            raise self._fault(
                f"{self._line(_twin(self._root()) or ())}: {error.args[0]!r} stands there twice"
            ) from error
        except (ValueError, RecursionError) as error:
            raise self._fault(f" is no JSON ({error})") from error
        above: list[int | str] = []
        for key in filter(None, at.split(".")):
            above.append(key)
            if not isinstance(part, dict) or key not in part:
                self.refuse(".".join(map(str, above)), "is missing")
            part = part[key]
        try:
            return model.model_validate_json(json.dumps(part))
        except ValidationError as error:
            raise self._fault(_faults(error, model, values, self._root(), above)) from error

    def refuse(self, place: str, problem: str) -> NoReturn:
        """Raise an error about one value.

        Parameters
        ----------
        place
            The dotted path of the value; "" for the whole file.
        problem
            The rest of a sentence that begins with the path.

        Raises
        ------
        BundleError
            Always.
        """
        line = self._line(place.split(".")) if place else ""
        raise self._fault(f"{line}: {place}{' ' if place else ''}{problem}")

    def require_hash(self, place: str, expected: str, file: Path, known: str | None = None) -> None:
        """Check that a SHA-256 in this file is that of another file.

        Parameters
        ----------
        place
            The dotted path of the hash.
        expected
            The hash in this file, in hexadecimal.
        file
            The other file.
        known
            The other file's hash, where it is known already.

        Raises
        ------
        BundleError
            The hashes differ, or the other file cannot be read.
        """
        found = known or file_sha256(file)
        if expected != found:
            self.refuse(
                place,
                f"says that it belongs to the {file.name} with SHA-256 {expected[:12]}..., but {file} has "
                f"{found[:12]}...",
            )

    def _root(self) -> yaml.Node | None:
        """Return the file composed as YAML, for its line numbers; None for the rare JSON that is not YAML."""
        try:
            return yaml.compose(self.path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            return None  # the error then lacks the line

    def _line(self, place: Place) -> str:
        return _line(self._root(), place)

    def _fault(self, problem: str) -> BundleError:
        return BundleError(f"{self.path}{problem}; {self.remedy}")


class _Twin(ValueError):
    """A key appears twice in one object."""


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Twin(next(name for name in names if names.count(name) > 1))
    return values


def _twin(node: yaml.Node | None) -> list[int | str] | None:
    """Return the path of a key that appears twice in one block; YAML itself would take the last one."""
    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value]
        twins = [[name] for name in names if names.count(name) > 1]
        if twins:
            return list(twins[0])
    for part, child in _children(node):
        if (below := _twin(child)) is not None:
            return [part, *below]
    return None


def _children(node: yaml.Node | None) -> Iterator[tuple[int | str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((key.value, value) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)


def _line(root: yaml.Node | None, place: Place) -> str:
    """Return the line of a value, or of the innermost block around it, as text; "" where it is not known."""
    return f" line {_line_number(root, place)}" if root is not None else ""


def _line_number(root: yaml.Node | None, place: Place) -> int:
    line, node = 1, root
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == part]
        else:
            found = [(child, child) for position, child in _children(node) if position == part]
        if not found:
            break
        line, node = found[-1][0].start_mark.line + 1, found[-1][1]  # the last of twins, and of merged keys
    return line


def _faults(
    error: ValidationError, model: type[BaseModel], values: object, root: yaml.Node | None, above: Place = ()
) -> str:
    """Return the faults of a file with their lines: the rest of a sentence that begins with the file's name."""
    told: list[tuple[int, str]] = []
    for detail in error.errors(include_url=False):
        place = _place([*above, *detail["loc"]], values, missing=detail["type"] == "missing")
        told.append((_line_number(root, place), _said(detail, place, model)))
    told.sort(key=lambda fault: fault[0])
    lines = [f"line {line}: {text}" if root is not None else text for line, text in told[:MOST_FAULTS]]
    more = [f"and {len(told) - MOST_FAULTS} more faults"] if len(told) > MOST_FAULTS else []
    return (" " if root is not None else ": ") + "; ".join(lines + more)


def _place(loc: Place, values: Any, *, missing: bool) -> list[int | str]:
    """Return pydantic's path without the parts that are not in the file: the names of a union's members."""
    place: list[int | str] = []
    for part in loc:
        if part in values if isinstance(values, dict) else isinstance(values, list) and isinstance(part, int):
            values = values[part]
            place.append(part)
    return [*place, loc[-1]] if missing else place


def _said(detail: ErrorDetails, place: Place, model: type[BaseModel]) -> str:
    name, value = ".".join(map(str, place)), detail["input"]
    if detail["type"] == "extra_forbidden":
        return f"unknown setting {name!r}; {_advice(detail['loc'], model)}"
    if detail["type"] == "missing":
        return f"{name} is missing"
    if detail["type"] == "union_tag_not_found":
        return f"{name}.{detail['ctx']['discriminator'].strip(_QUOTE)} is missing"
    if detail["type"] == "union_tag_invalid":
        kind = detail["ctx"]
        return f"{name}.{kind['discriminator'].strip(_QUOTE)} is {kind['tag']!r}; it must be {kind['expected_tags']}"
    problem = re.sub(r"^\w+ should ", "it must ", detail["msg"].removeprefix("Value error, "))
    for theirs, ours in _PLAIN.items():
        problem = problem.replace(theirs, ours)
    problem = problem[:1].lower() + problem[1:]
    if not name:
        return problem
    shown = repr(value) if len(repr(value)) <= _LONGEST_VALUE else f"{repr(value)[:_LONGEST_VALUE]}..."
    return f"{name}: {problem}" if isinstance(value, dict | BaseModel) else f"{name} is {shown}; {problem}"


def _advice(loc: Place, model: type[BaseModel]) -> str:
    for part in loc[:-1]:
        if part in model.model_fields:
            model = next(_models(model.model_fields[str(part)].annotation), model)
    known = list(model.model_fields)
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models in a field's type, such as ``Tls | None`` or ``tuple[Caller, ...]``."""
    if isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
