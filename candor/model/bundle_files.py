"""The fields of a bundle's JSON files that loading needs.

The models of the optional files are in the modules that use them: :mod:`candor.decide.learned_gate`,
:mod:`candor.decide.percentiles`, :mod:`candor.ood.familiarity`.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from candor.decide.calibration import Beta, CalibrationKind, Curve, Isotonic, Line, LogitMap
from candor.decide.gate import Thresholds
from candor.files.reader import Record, Text, Whole
from candor.model.preprocess import InputSpec
from candor.study.errors import DataError
from candor.study.findings import findings_named

Share = Annotated[float, Field(ge=0, le=1)]


class ModelPart(Record):
    """Candor's part of ``metadata.json``."""

    architecture: Text
    findings: tuple[str, ...]
    input: InputSpec
    weights_sha256: Text
    graph_sha256: Text

    @field_validator("findings")
    @classmethod
    def _are_known_and_different(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        try:
            findings = findings_named(labels)
        except DataError as error:
            raise ValueError(str(error)) from None
        if not findings or len(set(findings)) < len(findings):
            raise ValueError("it must name each finding once, and at least one")
        return labels


class MetadataFile(Record):
    """``metadata.json``."""

    name: Text
    version: Text
    intended_use: Text
    candor: ModelPart


class LinePart(Record):
    """One finding in ``calibration.json`` whose curve is a line."""

    kind: Literal["identity", "temperature", "platt"]
    slope: float
    intercept: float
    fitted_prevalence: Share
    assumed_prevalence: Share


class BetaPart(Record):
    """One finding in ``calibration.json`` with a beta curve."""

    kind: Literal["beta"]
    a: float
    b: float
    c: float
    fitted_prevalence: Share
    assumed_prevalence: Share


class IsotonicPart(Record):
    """One finding in ``calibration.json`` with an isotonic curve, by its knots."""

    kind: Literal["isotonic"]
    logits: tuple[float, ...]
    log_odds: tuple[float, ...]
    fitted_prevalence: Share
    assumed_prevalence: Share


CurvePart = LinePart | BetaPart | IsotonicPart


def logit_map(part: CurvePart) -> LogitMap:
    """Return one finding's calibration.

    Raises
    ------
    ValueError
        The values do not form a curve.
    """
    match part:
        case LinePart():
            curve: Curve = Line(CalibrationKind(part.kind), part.slope, part.intercept)
        case BetaPart():
            curve = Beta(part.a, part.b, part.c)
        case IsotonicPart():
            curve = Isotonic(part.logits, part.log_odds)
    return LogitMap(curve, part.fitted_prevalence, part.assumed_prevalence)


def _makes_a_map(part: CurvePart) -> CurvePart:
    logit_map(part)
    return part


class CalibrationFile(Record):
    """``calibration.json``."""

    description: Text
    weights_sha256: Text
    site: object = None  # where it is set, see OriginPart
    findings: dict[str, Annotated[CurvePart, Field(discriminator="kind"), AfterValidator(_makes_a_map)]]


class OriginPart(Record):
    """The images that ``calibration.json`` was fitted to; without a site, nothing was fitted."""

    site: Text
    date: date
    images: Annotated[Whole, Field(ge=1, le=10**9)]


class GateFile(Record):
    """``gate.json``."""

    description: Text
    weights_sha256: Text
    calibration_sha256: Text
    findings: dict[str, Thresholds]
