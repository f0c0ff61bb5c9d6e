"""Drift: the share of deferred findings over time, against what it was when the model began its work here.

A gate that defers more than it used to sees other images than it used to: another detector, another window, other
patients. One that defers less deserves a look as well.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

import sqlalchemy as sa

from candor.study.result import Decision
from gateway.settings import Settings
from gateway.store.alarms import AlarmKind, clear_alarm, raise_alarm
from gateway.store.database import upsert, writing
from gateway.store.schema import node_state, studies

_KEY: Final = "drift_baseline"
_BASELINE_STUDIES: Final = 200
_RECENT_STUDIES: Final = 100
_ANSWERED: Final = (Decision.PRESENT.value, Decision.ABSENT.value, Decision.DEFERRED.value)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the first studies with a model bundle were like: the share of their findings that was deferred."""

    bundle_sha256: str
    share: float
    studies: int


def deferral_share(findings: list[dict[str, str]]) -> float | None:
    """Return the share of deferred findings among those that were assessed; None where none was.

    Parameters
    ----------
    findings
        For each study, its decision for each finding, by label.
    """
    decisions = [decision for study in findings for decision in study.values() if decision in _ANSWERED]
    return decisions.count(Decision.DEFERRED.value) / len(decisions) if decisions else None


def baseline_of(connection: sa.Connection) -> Baseline | None:
    """Return the node's baseline; None before there were studies enough."""
    found = connection.execute(sa.select(node_state.c.value).where(node_state.c.key == _KEY)).scalar()
    return Baseline(**json.loads(found)) if found else None


def watch_drift(database: sa.Engine, settings: Settings, now: float) -> float | None:
    """Compare the newest studies with the baseline, and raise or clear the alarm.

    A new model bundle begins a baseline of its own: its first 200 assessed studies.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    now
        Seconds since 1970.

    Returns
    -------
    The share among the newest 100 studies; None while there is no baseline, or not so many after it.
    """
    with database.connect() as connection:
        newest = sa.select(studies.c.bundle_sha256).where(_assessed()).order_by(studies.c.assessed.desc()).limit(1)
        bundle = connection.execute(newest).scalar()
        baseline = baseline_of(connection)
    if bundle is None:
        return None
    if baseline is None or baseline.bundle_sha256 != bundle:
        _begin(database, bundle)
        return None
    recent = _shares(database, bundle, newest=True, limit=_RECENT_STUDIES, after=baseline.studies)
    if recent is None:
        return None
    if abs(recent - baseline.share) > settings.alarms.deferral_drift:
        text = f"{recent:.0%} of the findings of the newest studies are deferred; the baseline is {baseline.share:.0%}"
        raise_alarm(database, AlarmKind.DRIFT, "", text, now)
    else:
        clear_alarm(database, AlarmKind.DRIFT, "", now)
    return recent


def _assessed() -> sa.ColumnElement[bool]:
    return sa.and_(studies.c.assessed.is_not(None), studies.c.bundle_sha256.is_not(None))


def _begin(database: sa.Engine, bundle: str) -> None:
    """Set the baseline, once there are studies enough."""
    share = _shares(database, bundle, newest=False, limit=_BASELINE_STUDIES, after=0)
    if share is not None:
        baseline = Baseline(bundle, share, _BASELINE_STUDIES)
        with writing(database) as connection:
            row = {"key": _KEY, "value": json.dumps(asdict(baseline))}
            connection.execute(upsert(database, node_state, row, "value"))


def _shares(database: sa.Engine, bundle: str, *, newest: bool, limit: int, after: int) -> float | None:
    """Return the share among the first or the newest studies with a bundle; None unless ``after + limit`` are there."""
    mine = sa.and_(_assessed(), studies.c.bundle_sha256 == bundle)
    order = studies.c.assessed.desc() if newest else studies.c.assessed.asc()
    with database.connect() as connection:
        total = connection.execute(sa.select(sa.func.count()).select_from(studies).where(mine)).scalar_one()
        if total < after + limit:
            return None
        rows = connection.execute(sa.select(studies.c.findings).where(mine).order_by(order).limit(limit)).scalars()
        return deferral_share([row for row in rows if row])
