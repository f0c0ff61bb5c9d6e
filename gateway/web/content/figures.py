"""The node in figures: destinations, queue and throughput over the day, the share of deferrals over four weeks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import sqlalchemy as sa

from candor.study.reasons import Reason
from gateway.settings import Settings
from gateway.store.counters import labels_of
from gateway.store.schema import counters, deliveries, destinations, studies
from gateway.store.states import StudyState
from gateway.watch.drift import Baseline, baseline_of, deferral_share

_HOUR_S: Final = 3600.0
_DAY_S: Final = 86400.0
_DRIFT_DAYS: Final = 28
_MOST_VALUES: Final = 30


@dataclass(frozen=True, slots=True)
class Health:
    """How a destination is doing.

    Parameters
    ----------
    setting
        Its block of the settings.
    row
        Its row; None before anything was sent to it.
    counts
        How many objects are in each state of delivery, by the state's word.
    """

    setting: Any
    row: Any
    counts: dict[str, int]
    now: float

    @property
    def word(self) -> str:
        """``"down"`` while its breaker is open, ``"failing"`` after a failure, ``"up"``, or ``"unused"``."""
        if self.row is None:
            return "unused"
        if self.row.open_until > self.now:
            return "down"
        if self.row.failures:
            return "failing"
        return "up" if self.row.last_success else "unused"


@dataclass(frozen=True, slots=True)
class ValueCount:
    """How many images a value of the header made refused, or stated nothing in.

    Parameters
    ----------
    meaning
        What the reason means.
    value
        The value; "" where the reason is about none.
    is_refused
        False where the value is not known, and the image was assessed.
    """

    meaning: str
    value: str
    is_refused: bool
    images: int


def value_counts(connection: sa.Connection) -> list[ValueCount]:
    """Return what was refused, and which values are not known, the most frequent first.

    Parameters
    ----------
    connection
        To the node's database.
    """
    meanings = {reason.code: reason.meaning for reason in Reason}
    names = {"images_refused_total": True, "values_unknown_total": False}
    rows = connection.execute(
        sa.select(counters)
        .where(counters.c.name.in_(names))
        .order_by(counters.c.value.desc(), counters.c.name, counters.c.labels)
        .limit(_MOST_VALUES)
    )
    return [
        ValueCount(
            meanings.get(labels.get("reason", ""), ""), labels.get("value", ""), names[row.name], round(row.value)
        )
        for row in rows
        for labels in (labels_of(row.labels),)
    ]


def health(connection: sa.Connection, settings: Settings, now: float) -> list[Health]:
    """Return how each destination of the settings is doing.

    Parameters
    ----------
    connection
        To the node's database.
    settings
        The node's.
    now
        Seconds since 1970.
    """
    rows = {row.name: row for row in connection.execute(sa.select(destinations))}
    counted = sa.select(deliveries.c.destination, deliveries.c.state, sa.func.count()).group_by(
        deliveries.c.destination, deliveries.c.state
    )
    counts: dict[str, dict[str, int]] = {}
    for name, state, number in connection.execute(counted):
        counts.setdefault(name, {})[state] = number
    return [
        Health(setting, rows.get(setting.name), counts.get(setting.name, {}), now) for setting in settings.destinations
    ]


def count_states(connection: sa.Connection) -> dict[str, int]:
    """Count the versions in each state."""
    query = sa.select(studies.c.state, sa.func.count()).group_by(studies.c.state)
    found = {row[0]: row[1] for row in connection.execute(query)}
    return {state.value: found.get(state.value, 0) for state in StudyState}


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 hours, an hour a place, the latest last.

    Parameters
    ----------
    received, assessed
        How many versions had their last image, and their result, in each hour.
    waiting
        How many waited at the end of each hour.
    seconds
        From the last image to the result: median and longest; None where there was none.
    """

    received: list[int]
    assessed: list[int]
    waiting: list[int]
    seconds: tuple[float, float] | None


def day(connection: sa.Connection, now: float) -> Day:
    """Sum the last 24 hours up.

    Parameters
    ----------
    connection
        To the node's database.
    now
        Seconds since 1970.
    """
    since = now - 24 * _HOUR_S
    begun = sa.func.coalesce(studies.c.started, studies.c.finished)
    columns = (studies.c.last_image, studies.c.queued, begun.label("begun"), studies.c.assessed)
    query = sa.select(*columns).where(sa.or_(studies.c.last_image >= since, begun >= since, begun.is_(None)))
    rows = connection.execute(query).all()
    ends = [since + (hour + 1) * _HOUR_S for hour in range(24)]
    took = [row.assessed - row.last_image for row in rows if row.assessed and row.assessed >= since]
    return Day(
        received=_by_hour([row.last_image for row in rows], since),
        assessed=_by_hour([row.assessed for row in rows if row.assessed], since),
        waiting=[sum(_waits(row, end) for row in rows) for end in ends],
        seconds=(median(took), max(took)) if took else None,
    )


@dataclass(frozen=True, slots=True)
class Deferrals:
    """The share of deferred findings for each of the last days, the latest last, against the baseline."""

    shares: list[float | None]
    baseline: Baseline | None


def deferrals(connection: sa.Connection, now: float) -> Deferrals:
    """Work out the share of deferred findings over the last four weeks.

    Parameters
    ----------
    connection
        To the node's database.
    now
        Seconds since 1970.
    """
    since = now - _DRIFT_DAYS * _DAY_S
    query = sa.select(studies.c.assessed, studies.c.findings).where(
        studies.c.assessed >= since, studies.c.findings.is_not(None)
    )
    days: list[list[dict[str, str]]] = [[] for _ in range(_DRIFT_DAYS)]
    for assessed, findings in connection.execute(query):
        days[min(_DRIFT_DAYS - 1, int((assessed - since) // _DAY_S))].append(findings or {})
    return Deferrals([deferral_share(findings) for findings in days], baseline_of(connection))


def hour_labels(now: float, clock: Callable[[float], str]) -> list[str]:
    """Name the 24 hours of :func:`day` by when they begin.

    Parameters
    ----------
    now
        Seconds since 1970.
    clock
        Writes a time as an hour.
    """
    return [clock(now - (24 - hour) * _HOUR_S) for hour in range(24)]


def day_labels(now: float, calendar: Callable[[float], str]) -> list[str]:
    """Name the days of :func:`deferrals` by when they end.

    Parameters
    ----------
    now
        Seconds since 1970.
    calendar
        Writes a time as a day.
    """
    return [calendar(now - (_DRIFT_DAYS - 1 - number) * _DAY_S) for number in range(_DRIFT_DAYS)]


def _by_hour(times: Sequence[float], since: float) -> list[int]:
    hours = [0] * 24
    for time in times:
        if 0 <= time - since < 24 * _HOUR_S:
            hours[int((time - since) // _HOUR_S)] += 1
    return hours


def _waits(row: Any, at: float) -> bool:
    return row.queued is not None and row.queued <= at and (row.begun is None or row.begun > at)
