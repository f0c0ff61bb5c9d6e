"""The application's settings: the ``candor`` block of ``app.yaml``.

An unknown or impossible setting is an error that names the line; nothing falls back in silence.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final, cast

import yaml

from candor.decide.costs import Costs, costs_of, equal_costs
from candor.study.errors import SettingsError
from candor.study.findings import Finding
from candor.study.policy import CHECKS, DEFAULT_POLICY, Action, Policy
from candor.study.profile import Profile, ReportClass
from candor.study.reasons import Reason
from candor.study.result_object import KINDS, Kind
from candor.words.texts import Language

ENGINES = ("auto", "onnx", "torch")
"""What the setting ``engine`` may say."""

BLOCKS = ("application", "resources", "candor")
"""The top-level blocks of ``app.yaml``: the first two are the MAP's."""

DEFAULT_OBJECTS: Final = tuple(kind for kind in KINDS if kind in Profile().kinds)


def _setting(default: Any, text: str, *, changes_results: bool) -> Any:
    return field(default=default, metadata={"help": text, "changes_results": changes_results})


def _setting_of(check: Reason) -> str:
    return f"on_{check.name.lower()}"


def _check(reason: Reason) -> Any:
    text = f"What follows when an image has the reason {reason.code}: refuse, defer or notice. {reason.meaning}."
    return _setting(DEFAULT_POLICY[reason].value, text, changes_results=True)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the application, each with its default.

    Raises
    ------
    SettingsError
        A value is impossible.
    """

    engine: str = _setting(
        "auto",
        "What runs the network: onnx (CPU), torch (GPU where there is one), or auto: torch on a GPU, else onnx.",
        changes_results=False,  # the engine's own name is part of every result UID
    )
    max_overlays: int = _setting(
        4,
        "Most heatmap overlays for a study, 0 to 14; PRESENT before DEFERRED, then the likeliest against prevalence.",
        changes_results=True,
    )
    deferral_cost: float | None = _setting(
        None,
        "Cost of deferring a finding, in (0, 0.5) of the cost of an error; replaces the bundle's thresholds. "
        "null keeps the bundle's.",
        changes_results=True,
    )
    costs: Mapping[str, Mapping[str, float]] | None = _setting(
        None,
        "The same with unequal costs, in any unit, by finding or for `default`: `Effusion: {missed: 10, false_alarm: "
        "1, deferral: 0.2}`. Findings without costs keep the bundle's thresholds. Instead of `deferral_cost`.",
        changes_results=True,
    )
    images_per_batch: int = _setting(
        8,
        "Most images of a study that go through the network at once, 1 to 64.",
        changes_results=False,
    )
    shortcut_limit: float | None = _setting(
        0.4,
        "Most that blanking marks and borders may move an answer, in log-odds, over 0: past it, the reason SHORTCUT "
        "is given. null leaves the audit out.",
        changes_results=True,
    )
    objects: Sequence[str] = _setting(
        DEFAULT_OBJECTS,
        "Kinds of result objects: `sr` report, `sc` overlays, `gsps` outlines over the source image, `ko` key objects, "
        "`pm` all heatmaps as numbers. Never without `sr`: no report would be silence. A node's destinations have "
        "their own `kinds`.",
        changes_results=True,
    )
    report_class: str = _setting(
        ReportClass.COMPREHENSIVE_3D.value,
        "The report's SOP class, for viewers that show but one: comprehensive-3d, comprehensive or enhanced; the "
        "content is the same. A node's destinations have their own.",
        changes_results=True,
    )
    flag_deferrals: bool = _setting(
        False,
        "Whether key objects name the deferred images as well as the positive ones; most studies have a deferral. "
        "A node's destinations have their own.",
        changes_results=True,
    )
    language: str = _setting(
        Language.ENGLISH.value,
        "The language of all words that people read in the results: en-US or de-DE.",
        changes_results=True,
    )

    on_clipped: str = _check(Reason.CLIPPED)
    on_inverted: str = _check(Reason.INVERTED)
    on_rotated: str = _check(Reason.ROTATED)
    on_mirrored: str = _check(Reason.MIRRORED)
    on_looks_lateral: str = _check(Reason.LOOKS_LATERAL)
    on_paediatric: str = _check(Reason.PAEDIATRIC)
    on_age_unknown: str = _check(Reason.AGE_UNKNOWN)
    on_much_text: str = _check(Reason.MUCH_TEXT)
    on_borders: str = _check(Reason.BORDERS)
    on_unlike_chest: str = _check(Reason.UNLIKE_CHEST)
    on_unlike_training: str = _check(Reason.UNLIKE_TRAINING)
    on_shortcut: str = _check(Reason.SHORTCUT)

    def __post_init__(self) -> None:
        _require(self.engine in ENGINES, "engine", self.engine, f"one of {', '.join(ENGINES)}")
        _require(_whole(self.max_overlays, 0, 14), "max_overlays", self.max_overlays, "a whole number from 0 to 14")
        _require(
            _whole(self.images_per_batch, 1, 64), "images_per_batch", self.images_per_batch, "a whole number, 1 to 64"
        )
        cost = self.deferral_cost
        _require(
            cost is None or (isinstance(cost, float) and 0 < cost < 0.5),
            "deferral_cost",
            cost,
            "null, or a number between 0 and 0.5",
        )

        limit = self.shortcut_limit
        _require(
            limit is None or (isinstance(limit, float) and 0 < limit < math.inf),
            "shortcut_limit",
            limit,
            "null, or a number over 0",
        )
        if self.costs is not None:
            _require(cost is None, "deferral_cost", cost, "null where costs are set")
            costs_of(self.costs)
        self._require_objects()
        for name, words in (("report_class", ReportClass), ("language", Language)):
            known = [word.value for word in cast(type[Enum], words)]
            _require(getattr(self, name) in known, name, getattr(self, name), f"one of {', '.join(known)}")
        _require(isinstance(self.flag_deferrals, bool), "flag_deferrals", self.flag_deferrals, "true or false")
        actions = [action.value for action in Action]
        for name in map(_setting_of, CHECKS):
            _require(getattr(self, name) in actions, name, getattr(self, name), f"one of {', '.join(actions)}")

    def _require_objects(self) -> None:
        """Look at the kinds, and bring them into their one order: another order is no other setting."""
        named = self.objects
        one_of = f"a list of {', '.join(KINDS)}, each once"
        is_list = isinstance(named, list | tuple)
        _require(is_list and all(named.count(kind) == 1 and kind in KINDS for kind in named), "objects", named, one_of)
        _require("sr" in named, "objects", named, "a list with sr: a study without its report is silence")
        object.__setattr__(self, "objects", tuple(kind for kind in KINDS if kind in named))

    @property
    def profile(self) -> Profile:
        """What is written for a receiver of which no more is known than these settings."""
        kinds = cast(Sequence[Kind], self.objects)
        return Profile(frozenset(kinds), ReportClass(self.report_class), None, self.flag_deferrals)

    @property
    def cost_table(self) -> dict[Finding | None, Costs]:
        """The costs of errors and of deferring, by finding; the key None holds for all others."""
        if self.deferral_cost is not None:
            return {None: equal_costs(self.deferral_cost)}
        return {} if self.costs is None else costs_of(self.costs)

    @property
    def policy(self) -> Policy:
        """What follows from each check."""
        return {reason: Action(getattr(self, _setting_of(reason))) for reason in CHECKS}

    @property
    def sha256(self) -> str:
        """Hash of the settings that change results, in hexadecimal: part of every result UID."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.metadata["changes_results"]}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _require(fits: bool, name: str, value: object, wanted: str) -> None:
    """Raise an error that begins with the setting's name, by which its line is found."""
    if not fits:
        raise SettingsError(f"{name} is {value!r}; it must be {wanted}")


def load_settings(path: Path) -> Settings:
    """Read the ``candor`` block of an ``app.yaml``; what it does not name keeps its default.

    Raises
    ------
    SettingsError
        The file cannot be read, is no YAML, or names a setting that is unknown or impossible.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}); name another with --config") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid YAML: {_first_line(error)}") from error
    blocks = _entries(root, path, BLOCKS)
    names = tuple(f.name for f in dataclasses.fields(Settings))
    entries = _entries(blocks.get("candor"), path, names)
    values = {name: _value(node, path) for name, node in entries.items()}
    try:
        return Settings(**values)
    except SettingsError as error:
        raise SettingsError(f"{path}{_line_of(error, entries)}: {error}") from error


def _line_of(error: SettingsError, entries: Mapping[str, yaml.Node]) -> str:
    """Say on which line the setting stands that an error names first; "" where it does not stand there."""
    name = re.match(r"\w+", str(error))
    node = entries.get(name[0]) if name else None
    return f" line {node.start_mark.line + 1}" if node else ""


def _entries(node: yaml.Node | None, path: Path, known: tuple[str, ...]) -> dict[str, yaml.Node]:
    if node is None or node.tag == "tag:yaml.org,2002:null":
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise SettingsError(f"{path} line {node.start_mark.line + 1}: expected 'name: value' lines")
    entries: dict[str, yaml.Node] = {}
    for key, value in node.value:
        where = f"{path} line {key.start_mark.line + 1}"
        if key.value not in known:
            raise SettingsError(f"{where}: unknown setting {key.value!r}; {_advice(str(key.value), known)}")
        if key.value in entries:
            raise SettingsError(f"{where}: {key.value!r} stands there twice")
        entries[key.value] = value
    return entries


def _advice(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


def _value(node: yaml.Node, path: Path) -> Any:
    try:
        return yaml.safe_load(yaml.serialize(node))
    except yaml.YAMLError as error:
        raise SettingsError(
            f"{path} line {node.start_mark.line + 1} is not valid YAML: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
