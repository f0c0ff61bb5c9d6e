"""The fields of a bundle's JSON files that loading needs.

The models of the optional files are in the modules that use them: :mod:`candor.decide.learned_gate`,
:mod:`candor.decide.percentiles`, :mod:`candor.ood.familiarity`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field, field_validator

from candor.decide.calibration import Band, Beta, CalibrationKind, Curve, Isotonic, Line, LogitMap
from candor.decide.gate import Thresholds
from candor.files.reader import Record, Text, Whole
from candor.model.preprocess import InputSpec
from candor.study.errors import DataError
from candor.study.findings import findings_named

Share = Annotated[float, Field(ge=0, le=1)]
InnerShare = Annotated[float, Field(gt=0, lt=1)]


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


class IntervalPart(Record):
    """The 90% interval of one finding's probability in ``calibration.json``, at the prevalence assumed there."""

    logits: tuple[float, ...]
    low: tuple[InnerShare, ...]
    high: tuple[InnerShare, ...]


class MapPart(Record):
    """What every finding in ``calibration.json`` has, whatever its curve."""

    fitted_prevalence: Share
    assumed_prevalence: Share
    interval: IntervalPart | None = None


class LinePart(MapPart):
    """One finding in ``calibration.json`` whose curve is a line."""

    kind: Literal["identity", "temperature", "platt"]
    slope: float
    intercept: float


class BetaPart(MapPart):
    """One finding in ``calibration.json`` with a beta curve."""

    kind: Literal["beta"]
    a: float
    b: float
    c: float


class IsotonicPart(MapPart):
    """One finding in ``calibration.json`` with an isotonic curve, by its knots."""

    kind: Literal["isotonic"]
    logits: tuple[float, ...]
    log_odds: tuple[float, ...]


CurvePart = LinePart | BetaPart | IsotonicPart


def logit_map(part: CurvePart) -> LogitMap:
    """Return one finding's calibration.

    Raises
    ------
    ValueError
        The values do not form a curve, or an interval around it.
    """
    match part:
        case LinePart():
            curve: Curve = Line(CalibrationKind(part.kind), part.slope, part.intercept)
        case BetaPart():
            curve = Beta(part.a, part.b, part.c)
        case IsotonicPart():
            curve = Isotonic(part.logits, part.log_odds)
    plain = LogitMap(curve, part.fitted_prevalence, part.assumed_prevalence)
    return plain if part.interval is None else replace(plain, band=_band(plain, part.interval))


def _band(plain: LogitMap, part: IntervalPart) -> Band:
    """Return an interval as distances from the curve; a bound on its wrong side, as of a bootstrap, has none."""
    if not len(part.logits) == len(part.low) == len(part.high):
        raise ValueError("interval must have as many values in low and high as in logits")
    if any(low > high for low, high in zip(part.low, part.high, strict=True)):
        raise ValueError("interval.low must not lie above interval.high")
    centre = plain.curve.log_odds(np.asarray(part.logits, np.float64)) + plain.shift
    low, high = np.asarray([part.low, part.high], np.float64)
    below = np.maximum(centre - (np.log(low) - np.log1p(-low)), 0.0)
    above = np.maximum(np.log(high) - np.log1p(-high) - centre, 0.0)
    return Band(part.logits, tuple(below.tolist()), tuple(above.tolist()))


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
    data: Text | None = None
    findings: dict[str, Thresholds]
