"""The application's settings: the ``candor`` block of ``app.yaml``.

An unknown or impossible setting is an error that names the line. No value falls back to its default without one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

from candor.decide.costs import Costs, costs_of, equal_costs
from candor.files.reader import Block, read_settings
from candor.study.errors import DataError, SettingsError
from candor.study.findings import Finding, finding_named, findings_named
from candor.study.policy import CHECKS, DEFAULT_POLICY, Action, Policy
from candor.study.profile import Profile, ReportClass
from candor.study.reasons import Reason
from candor.study.result_object import KINDS, Kind
from candor.study.selection import DEFAULT_WORDS, Words, split

EngineChoice = Literal["auto", "onnx", "torch"]
ActionName = Literal["refuse", "defer", "notice"]

ENGINES: Final[tuple[str, ...]] = get_args(EngineChoice)
"""The values of the setting ``engine``."""

DEFAULT_OBJECTS: Final = tuple(kind for kind in KINDS if kind in Profile().kinds)

_LATER: Final = ("prevalence", "rule_out_missed", "words", "on_narrow_range")
"""Settings that were added after results had been made with the others."""

_WITHOUT_EFFECT: Final = {"engine", "images_per_batch"}
"""Settings that change no result. The name of the engine that ran is part of every result UID all the same."""


def _setting_of(check: Reason) -> str:
    return f"on_{check.name.lower()}"


def _check(reason: Reason) -> Any:
    text = f"What follows when an image has the reason {reason.code}: refuse, defer or notice. {reason.meaning}."
    return Field(default=DEFAULT_POLICY[reason].value, description=text)


def _phrases(default: tuple[str, ...], description: str) -> Any:
    return Field(default=default, description=description)


class WordTable(Block):
    """The words that say what a picture shows: phrases in any language.

    A phrase is found where all its words stand together in a value, whatever its capitals, accents and signs are;
    single letters in a row are one word, so that `P.A.` is `PA`. A value in which no phrase is found counts as not
    stated, and the checks of the picture judge. A list that is set replaces the default.
    """

    chest: tuple[str, ...] = _phrases(DEFAULT_WORDS.chest, "Body Part Examined: the chest.")
    other_body_parts: tuple[str, ...] = _phrases(
        DEFAULT_WORDS.other_body_parts, "Body Part Examined: something else; refused, even beside a word for the chest."
    )
    frontal: tuple[str, ...] = _phrases(DEFAULT_WORDS.frontal, "View Position: frontal.")
    decubitus: tuple[str, ...] = _phrases(DEFAULT_WORDS.decubitus, "View Position: the patient lies on the side.")
    other_views: tuple[str, ...] = _phrases(
        DEFAULT_WORDS.other_views, "View Position: another view; refused, even beside a word for a frontal one."
    )
    other_modalities: tuple[str, ...] = _phrases(DEFAULT_WORDS.other_modalities, "Modality: no radiography.")
    processing: tuple[str, ...] = _phrases(
        DEFAULT_WORDS.processing, "Presentation Intent Type: the image is not for presentation."
    )
    human: tuple[str, ...] = _phrases(
        DEFAULT_WORDS.human, "Patient Species Description: a human; any other species that is stated is refused."
    )
    animals: tuple[str, ...] = _phrases(DEFAULT_WORDS.animals, "Body Part Examined: that of an animal.")
    subtraction: tuple[str, ...] = _phrases(
        DEFAULT_WORDS.subtraction,
        "Image Type, Derivation Description, Acquisition Device Processing Description, and Series Description of a "
        "derived image: bones or soft tissue were taken away.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _phrases_of_a_list(cls, named: object) -> object:
        return tuple(named) if isinstance(named, list) else named

    @field_validator("*")
    @classmethod
    def _phrases_have_words(cls, named: tuple[str, ...]) -> tuple[str, ...]:
        for phrase in named:
            if not split(phrase):
                raise ValueError(f"{phrase!r} has neither letters nor digits")
        return named

    @property
    def table(self) -> Words:
        """The words as the selection of images reads them."""
        return Words(**self.model_dump())


class Settings(Block):
    """All settings of the application, each with its default.

    Raises
    ------
    pydantic.ValidationError
        A value is impossible; :func:`load_settings` raises a SettingsError that names its line.
    """

    engine: EngineChoice = Field(
        default="auto",
        description="What runs the network: onnx (CPU), torch (GPU where there is one), or auto: torch on a GPU, else "
        "onnx.",
    )
    max_overlays: int = Field(
        default=4,
        ge=0,
        le=14,
        description="Most heatmap overlays for a study, 0 to 14; PRESENT before DEFERRED, then the likeliest against "
        "prevalence.",
    )
    prevalence: dict[str, Any] | None = Field(
        default=None,
        description="How frequent findings are among the site's own images, by finding, in (0, 1): `{Effusion: 0.12}`. "
        "Probabilities and thresholds follow. null, and findings that are not named: the prevalence that the bundle "
        "assumes.",
    )
    deferral_cost: float | None = Field(
        default=None,
        gt=0,
        lt=0.5,
        description="Cost of deferring a finding, in (0, 0.5) of the cost of an error; replaces the bundle's "
        "thresholds. null keeps the bundle's.",
    )
    costs: dict[str, Any] | None = Field(
        default=None,
        description="The same with unequal costs, in any unit, by finding or for `default`: `Effusion: {missed: 10, "
        "false_alarm: 1, deferral: 0.2}`. Findings without costs keep the bundle's thresholds. Instead of "
        "`deferral_cost`.",
    )
    rule_out_missed: float | None = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Largest share of abnormal studies that may be called unremarkable: one of the promises that the "
        "bundle was fitted to, 0.05 or 0.1 for the one that ships. null rules no study out. Without effect where the "
        "bundle has no answer for the study.",
    )
    images_per_batch: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Most images of a study that go through the network at once, 1 to 64.",
    )
    shortcut_limit: float | None = Field(
        default=0.4,
        gt=0,
        description="Largest change of an answer, in log-odds, when marks and borders are blanked; a larger one gets "
        "the reason SHORTCUT. Over 0; null turns the audit off.",
    )
    objects: tuple[Kind, ...] = Field(
        default=DEFAULT_OBJECTS,
        description="Kinds of result objects: `sr` report, `sc` overlays, `gsps` outlines over the source image, `ko` "
        "key objects, `pm` all heatmaps as numbers. `sr` must be among them: every study gets a report. A "
        "node's destinations have their own `kinds`.",
    )
    report_class: Literal["comprehensive-3d", "comprehensive", "enhanced"] = Field(
        default="comprehensive-3d",
        description="The report's SOP class, for viewers that show only one: comprehensive-3d, comprehensive or "
        "enhanced; the content is the same. A node's destinations have their own.",
    )
    flag_deferrals: bool = Field(
        default=False,
        description="Whether key objects name the deferred images as well as the positive ones; most studies have a "
        "deferral. A node's destinations have their own.",
    )
    language: Literal["en-US", "de-DE"] = Field(
        default="en-US",
        description="The language of all words that people read in the results: en-US or de-DE.",
    )
    words: WordTable = WordTable()

    on_clipped: ActionName = _check(Reason.CLIPPED)
    on_narrow_range: ActionName = _check(Reason.NARROW_RANGE)
    on_inverted: ActionName = _check(Reason.INVERTED)
    on_rotated: ActionName = _check(Reason.ROTATED)
    on_mirrored: ActionName = _check(Reason.MIRRORED)
    on_looks_lateral: ActionName = _check(Reason.LOOKS_LATERAL)
    on_paediatric: ActionName = _check(Reason.PAEDIATRIC)
    on_age_unknown: ActionName = _check(Reason.AGE_UNKNOWN)
    on_much_text: ActionName = _check(Reason.MUCH_TEXT)
    on_borders: ActionName = _check(Reason.BORDERS)
    on_unlike_chest: ActionName = _check(Reason.UNLIKE_CHEST)
    on_unlike_training: ActionName = _check(Reason.UNLIKE_TRAINING)
    on_shortcut: ActionName = _check(Reason.SHORTCUT)

    @field_validator("objects", mode="before")
    @classmethod
    def _objects_of_a_list(cls, named: object) -> object:
        return tuple(named) if isinstance(named, list) else named

    @field_validator("objects")
    @classmethod
    def _objects_in_order(cls, named: tuple[Kind, ...]) -> tuple[Kind, ...]:
        """Sort the kinds, so that their order in the file makes no difference to the hash."""
        if len(set(named)) < len(named):
            raise ValueError("it must name each kind once")
        if "sr" not in named:
            raise ValueError("it must hold sr: every study gets a report")
        return tuple(kind for kind in KINDS if kind in named)

    @field_validator("prevalence")
    @classmethod
    def _prevalences_by_label(cls, table: dict[str, Any] | None) -> dict[str, float] | None:
        """Name the findings by label and in one order, so that neither makes a difference to the hash."""
        if not table:
            return None
        try:
            findings = findings_named(table)
        except DataError as error:
            raise ValueError(str(error)) from None
        if len(set(findings)) < len(findings):
            raise ValueError("it must name each finding once")
        for name, share in table.items():
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
                raise ValueError(f"the prevalence of {name} is {share!r}; it must lie between 0 and 1, both excluded")
        shares = dict(zip(findings, table.values(), strict=True))
        return {finding.label: float(shares[finding]) for finding in Finding if finding in shares}

    @field_validator("costs")
    @classmethod
    def _costs_are_whole(cls, table: dict[str, Any] | None, others: ValidationInfo) -> dict[str, Any] | None:
        if table is None:
            return None
        if others.data.get("deferral_cost") is not None:
            raise ValueError("deferral_cost must be null where costs are set")
        try:
            costs_of(table)
        except SettingsError as error:
            raise ValueError(str(error)) from None
        return table

    @property
    def profile(self) -> Profile:
        """The profile of a receiver that has no settings of its own."""
        return Profile(frozenset(self.objects), ReportClass(self.report_class), None, self.flag_deferrals)

    @property
    def prevalences(self) -> dict[Finding, float]:
        """The site's own prevalence of the findings that it has set."""
        return {finding_named(name): share for name, share in (self.prevalence or {}).items()}

    @property
    def cost_table(self) -> dict[Finding | None, Costs]:
        """The costs of errors and of deferring, by finding; the key None holds for all others."""
        if self.deferral_cost is not None:
            return {None: equal_costs(self.deferral_cost)}
        return {} if self.costs is None else costs_of(self.costs)

    @property
    def policy(self) -> Policy:
        """The action for each check."""
        return {reason: Action(getattr(self, _setting_of(reason))) for reason in CHECKS}

    @property
    def sha256(self) -> str:
        """Hash of the settings that change results, in hexadecimal: part of every result UID.

        Settings that came later than the others count where they are changed, so that the hash of older settings stays.
        """
        usual = {name for name in _LATER if getattr(self, name) == type(self).model_fields[name].default}
        values = self.model_dump(exclude=_WITHOUT_EFFECT | usual)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


class Application(Block):
    """The whole of ``app.yaml``: Candor's block, and those that the MAP packager reads."""

    application: object = None
    resources: object = None
    candor: Settings = Settings()

    @field_validator("candor", mode="before")
    @classmethod
    def _nothing_set(cls, block: object) -> object:
        return {} if block is None else block


def load_settings(path: Path) -> Settings:
    """Read the ``candor`` block of an ``app.yaml``; what it does not name keeps its default.

    Raises
    ------
    SettingsError
        The file cannot be read, is no YAML, or names a setting that is unknown or impossible.
    """
    return read_settings(path, Application).candor
