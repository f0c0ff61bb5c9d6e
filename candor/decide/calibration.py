"""Calibration: from logits to probabilities at a stated prevalence.

Each finding has a curve from the network's logit to calibrated log-odds, fitted at one prevalence. Its log-odds are
then shifted to the prevalence that the site has, by the difference of the two prevalences' log-odds. The bundle states
the prevalence that it assumes; a site may set its own.

References
----------
Platt 1999. Guo et al. 2017 (temperature). Kull et al. 2017 (beta). Zadrozny and Elkan 2002 (isotonic). Oron and
Flournoy 2017 (isotonic steps joined at their centres). Saerens et al. 2002 (prior shift).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum, unique
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from candor.study.findings import Finding
from candor.study.result import Interval

INTERVAL_CONFIDENCE: Final = 0.9
"""The share of fits whose interval covers the curve that unlimited patients would give."""

Floats = NDArray[np.float64]


@unique
class CalibrationKind(Enum):
    """The formula of a curve, from the least flexible to the most."""

    IDENTITY = "identity"
    TEMPERATURE = "temperature"
    PLATT = "platt"
    BETA = "beta"
    ISOTONIC = "isotonic"


class Curve(Protocol):
    """From logits to calibrated log-odds. A curve never falls, so that the order of images stays."""

    @property
    def kind(self) -> CalibrationKind:
        """The formula."""

    def log_odds(self, logits: Floats) -> Floats:
        """Return log-odds at the prevalence of the fit, for logits of any shape."""


@dataclass(frozen=True, slots=True)
class Line:
    """``slope * logit + intercept``: identity (1, 0), temperature scaling (slope, 0) or Platt scaling.

    Raises
    ------
    ValueError
        The slope is not positive, a value is not finite, or the kind is not a line.
    """

    kind: CalibrationKind
    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if self.kind not in (CalibrationKind.IDENTITY, CalibrationKind.TEMPERATURE, CalibrationKind.PLATT):
            raise ValueError(f"a line is identity, temperature or platt, not {self.kind.value}")
        if not (np.isfinite(self.slope) and self.slope > 0 and np.isfinite(self.intercept)):
            raise ValueError(f"slope must be positive and finite, not {self.slope}, {self.intercept}")

    def log_odds(self, logits: Floats) -> Floats:
        """Map logits; see :class:`Curve`."""
        return self.slope * logits + self.intercept


IDENTITY = Line(CalibrationKind.IDENTITY, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Beta:
    """``a * ln p - b * ln(1 - p) + c``, where p is the sigmoid of the logit.

    Raises
    ------
    ValueError
        ``a`` or ``b`` is negative, both are 0, or a value is not finite.
    """

    a: float
    b: float
    c: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.a, self.b, self.c]).all() and min(self.a, self.b) >= 0 < max(self.a, self.b)):
            raise ValueError(f"a and b must be 0 or more, not both 0, and all finite, not {self.a}, {self.b}, {self.c}")

    @property
    def kind(self) -> CalibrationKind:
        """The formula."""
        return CalibrationKind.BETA

    def log_odds(self, logits: Floats) -> Floats:
        """Map logits; see :class:`Curve`."""
        return self.b * np.logaddexp(0.0, logits) - self.a * np.logaddexp(0.0, -logits) + self.c


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Straight lines between rising knots; constant beyond the first and the last.

    Parameters
    ----------
    logits, values
        The knots: logits and their log-odds. Both rise strictly, so that only images beyond the ends get equal values.

    Raises
    ------
    ValueError
        There is no knot, a value is not finite, or a knot does not rise above the one before.
    """

    logits: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.logits or len(self.logits) != len(self.values):
            raise ValueError(f"knots need as many logits as log-odds, not {len(self.logits)} and {len(self.values)}")
        knots = np.asarray([self.logits, self.values], np.float64)
        if not (np.isfinite(knots).all() and (np.diff(knots, axis=1) > 0).all()):
            raise ValueError("the knots' logits and log-odds must be finite and rise")

    @property
    def kind(self) -> CalibrationKind:
        """The formula."""
        return CalibrationKind.ISOTONIC

    def log_odds(self, logits: Floats) -> Floats:
        """Map logits; see :class:`Curve`."""
        return np.asarray(np.interp(logits, self.logits, self.values), np.float64)


@dataclass(frozen=True, slots=True)
class Band:
    """The interval around a curve. It is interpolated between its knots, and keeps its width beyond them.

    Parameters
    ----------
    logits
        The knots: logits that rise.
    below, above
        How far the interval reaches from the curve at each knot, in log-odds, at least 0.

    Raises
    ------
    ValueError
        There is no knot, a knot does not rise above the one before, or a value is negative or not finite.
    """

    logits: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.logits) == len(self.below) == len(self.above) > 0:
            raise ValueError("an interval needs as many values below and above as logits, at least one")
        if not (np.isfinite([self.logits, self.below, self.above]).all() and (np.diff(self.logits) > 0).all()):
            raise ValueError("an interval's values must be finite, and its logits must rise")
        if min(*self.below, *self.above) < 0:
            raise ValueError("an interval must hold its probability")

    def around(self, logit: float, log_odds: float) -> Interval:
        """Return the interval of one probability.

        Parameters
        ----------
        logit
            The network's logit.
        log_odds
            Its calibrated log-odds, at any prevalence; the interval is at the same.
        """
        below, above = (float(np.interp(logit, self.logits, reach)) for reach in (self.below, self.above))
        low, high = sigmoid(np.asarray([log_odds - below, log_odds + above]))
        return Interval(float(low), float(high))


@dataclass(frozen=True, slots=True)
class LogitMap:
    """One finding's calibration.

    Parameters
    ----------
    curve
        Maps the network's logits to log-odds at the fitting prevalence.
    fitted_prevalence, assumed_prevalence
        Share of positives in (0, 1) in the data of the fit, and where the curve is used.
    band
        The interval around the curve; None where there is none.
    """

    curve: Curve
    fitted_prevalence: float
    assumed_prevalence: float
    band: Band | None = None

    def __post_init__(self) -> None:
        for prevalence in (self.fitted_prevalence, self.assumed_prevalence):
            if not 0 < prevalence < 1:
                raise ValueError(f"a prevalence lies between 0 and 1, not at {prevalence}")

    @property
    def kind(self) -> CalibrationKind:
        """The formula of the curve."""
        return self.curve.kind

    @property
    def shift(self) -> float:
        """The prior shift, which is added to the log-odds."""
        return log_odds(self.assumed_prevalence) - log_odds(self.fitted_prevalence)

    def interval(self, logit: float) -> Interval | None:
        """Return the 90% interval of the probability at the assumed prevalence; None where there is none."""
        if self.band is None:
            return None
        return self.band.around(logit, float(self.curve.log_odds(np.asarray(logit, np.float64))) + self.shift)


@dataclass(frozen=True, slots=True)
class Origin:
    """The images that a calibration was fitted to, for the report.

    Parameters
    ----------
    site
        The hospital or the data set, in its own words.
    day
        The date of the fit.
    images
        The number of images.
    """

    site: str
    day: date
    images: int

    def __str__(self) -> str:
        return f"{self.site}, {self.day.isoformat()}, {self.images:,} images"


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration of all findings of a bundle.

    Parameters
    ----------
    maps
        The calibration of each finding, in the bundle's order.
    description
        One line: what the maps were fitted to.
    origin
        The images of the fit; None where nothing was fitted.
    """

    maps: Mapping[Finding, LogitMap]
    description: str
    origin: Origin | None = None

    def log_odds(self, logits: NDArray[np.floating]) -> Floats:
        """Return log-odds at the fitting prevalence, float64, for logits ``(..., findings)`` of the same shape."""
        exact = np.asarray(logits, np.float64)
        columns = [m.curve.log_odds(exact[..., k]) for k, m in enumerate(self.maps.values())]
        return np.stack(columns, axis=-1)

    def probabilities(self, logits: NDArray[np.floating]) -> Floats:
        """Return calibrated probabilities.

        Parameters
        ----------
        logits
            ``(..., findings)``, in the order of ``maps``.

        Returns
        -------
        P(present) at the assumed prevalence, in [0, 1], the same shape, float64.
        """
        return sigmoid(self.log_odds(logits) + [m.shift for m in self.maps.values()])

    def at_prevalence(self, shares: Mapping[Finding, float]) -> Calibration:
        """Return this calibration where a site has its own prevalence; the description says so.

        Parameters
        ----------
        shares
            The prevalence in (0, 1) by finding. Other findings keep theirs, and findings without a map are left out.
        """
        own = {finding: share for finding, share in shares.items() if finding in self.maps}
        if not own:
            return self
        moved = {finding: replace(self.maps[finding], assumed_prevalence=share) for finding, share in own.items()}
        told = ", ".join(f"{finding.label} ({100 * share:g}%)" for finding, share in own.items())
        return replace(
            self, maps={**self.maps, **moved}, description=f"{self.description}; the site sets that of {told}"
        )


def log_odds(probability: float) -> float:
    """Return ln(p / (1 - p)) for a probability in (0, 1)."""
    return float(np.log(probability) - np.log1p(-probability))


def sigmoid(log_odds: Floats) -> Floats:
    """Return the probabilities of log-odds, without overflow at either end."""
    return np.exp(-np.logaddexp(0.0, -log_odds))
