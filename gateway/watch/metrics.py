"""The metrics of the node in the text format of Prometheus, worked out from the tables at each scrape.

No label says anything about a study or a patient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from candor import __version__
from candor.study.result_object import KINDS, NOTE
from gateway.jobs.lease import live_executors
from gateway.settings import Settings
from gateway.store.alarms import AlarmKind
from gateway.store.counters import labels_of
from gateway.store.mode import mode_of
from gateway.store.schema import alarms, counters, deliveries, destinations, instances, objects, studies
from gateway.store.states import DeliveryState, InstanceState, Mode, StudyState
from gateway.watch.drift import baseline_of, deferral_share
from gateway.watch.heartbeats import Beat
from gateway.watch.kept_alarms import KeptAlarm

_PREFIX: Final = "candor_"
_BUCKETS_S: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
_DECILES: Final = tuple(float(bound) for bound in range(10, 101, 10))
_RECENT_STUDIES: Final = 100


def render_metrics(
    database: sa.Engine,
    settings: Settings,
    free_bytes: int,
    now: float,
    beats: Iterable[Beat] = (),
    kept: Iterable[KeptAlarm] = (),
) -> bytes:
    """Write all metrics.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    free_bytes
        Of the spool's disk.
    now
        Seconds since 1970.
    beats
        The heartbeats of all machines.
    kept
        The alarms that the supervisors keep.
    """
    with database.connect() as connection:
        families = [
            *_node(connection, settings, free_bytes),
            *_counted(connection),
            *_studies(connection, now),
            _objects(connection),
            *_deliveries(connection, settings, now),
            *_deferrals(connection),
            _alarms(connection),
            *_heartbeats(beats),
            _kept_alarms(kept),
        ]
    registry = CollectorRegistry()
    registry.register(_Families(families))
    return generate_latest(registry)


class _Families(Collector):
    """Metrics that are worked out already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._families


def _gauge(name: str, text: str, *values: tuple[list[str], float], labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=labels)
    for of_labels, value in values:
        family.add_metric(of_labels, value)
    return family


def _node(connection: sa.Connection, settings: Settings, free_bytes: int) -> Iterator[Metric]:
    yield _gauge("build_info", "The node's software.", ([__version__], 1), labels=("version",))
    live = mode_of(connection) is Mode.LIVE
    yield _gauge("live", "1 while results are delivered, 0 in shadow mode.", ([], live))
    alive = connection.execute(live_executors(connection.engine)).all()
    yield _gauge("executors_alive", "Processes that do jobs and are alive.", ([], len(alive)))
    yield _gauge("spool_free_bytes", "Free disk of the spool.", ([], free_bytes))
    reserve = settings.keep.reserve_gib * 2**30
    yield _gauge("spool_reserve_bytes", "Below so much free disk the receiver refuses.", ([], reserve))


def _counted(connection: sa.Connection) -> Iterator[Metric]:
    """Show the counters of all processes; a name's counters have the same labels."""
    rows = connection.execute(sa.select(counters).order_by(counters.c.name, counters.c.labels)).all()
    families: dict[str, CounterMetricFamily] = {}
    for row in rows:
        labels = labels_of(row.labels)
        family = families.setdefault(
            row.name, CounterMetricFamily(_PREFIX + row.name, _in_words(row.name), labels=list(labels))
        )
        family.add_metric(list(labels.values()), row.value)
    yield from families.values()


def _in_words(name: str) -> str:
    return f"{name.removesuffix('_total').replace('_', ' ').capitalize()}."


def _studies(connection: sa.Connection, now: float) -> Iterator[Metric]:
    states = sa.select(studies.c.state, sa.func.count()).group_by(studies.c.state)
    found = {row[0]: row[1] for row in connection.execute(states)}
    shown = [([state.value], float(found.get(state.value, 0))) for state in StudyState]
    yield _gauge("studies", "Versions of studies in each state.", *shown, labels=("state",))
    kept = sa.select(instances.c.state, sa.func.count()).group_by(instances.c.state)
    of_state = {row[0]: row[1] for row in connection.execute(kept)}
    shown = [([state.value], float(of_state.get(state.value, 0))) for state in InstanceState]
    yield _gauge("instances", "Instances ever received, by what they are to their study.", *shown, labels=("state",))
    waiting = sa.select(sa.func.min(studies.c.queued)).where(studies.c.state == StudyState.WAITING.value)
    since = connection.execute(waiting).scalar()
    yield _gauge("oldest_waiting_seconds", "How long the oldest queued study waits.", ([], now - since if since else 0))
    overdue = sa.select(sa.func.count()).where(studies.c.overdue.is_not(None), studies.c.finished.is_(None))
    yield _gauge("studies_overdue", "Past their deadline and not done.", ([], connection.execute(overdue).scalar_one()))
    yield _histogram(
        connection, "result_seconds", "From the last image to the result.", studies.c.assessed - studies.c.last_image
    )
    yield _histogram(
        connection, "worklist_priority", "The priorities of studies, 0 to 100.", studies.c.worklist_priority, _DECILES
    )
    yield _histogram(
        connection,
        "finish_seconds",
        "From the last image until every destination has the results, or they are stored.",
        studies.c.finished - studies.c.last_image,
    )


def _histogram(
    connection: sa.Connection,
    name: str,
    text: str,
    values: sa.ColumnElement[float],
    bounds: tuple[float, ...] = _BUCKETS_S,
) -> Metric:
    """Count all studies ever; their rows stay, so the counts only rise, as a counter's must."""
    within = [sa.func.coalesce(sa.func.sum(sa.case((values <= bound, 1), else_=0)), 0) for bound in bounds]
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(values), 0.0), *within)
    total, summed, *counts = connection.execute(query.where(values.is_not(None))).one()
    buckets = [(str(bound), float(count)) for bound, count in zip(bounds, counts, strict=True)]
    family = HistogramMetricFamily(_PREFIX + name, text)
    family.add_metric([], [*buckets, ("+Inf", float(total))], float(summed))
    return family


def _objects(connection: sa.Connection) -> Metric:
    query = sa.select(objects.c.kind, sa.func.count()).group_by(objects.c.kind)
    found = {row[0]: row[1] for row in connection.execute(query)}
    kinds: tuple[str, ...] = (*KINDS, NOTE)
    shown = [([kind], float(found.get(kind, 0))) for kind in kinds]
    return _gauge("objects", "Result objects ever made, by kind.", *shown, labels=("kind",))


def _deliveries(connection: sa.Connection, settings: Settings, now: float) -> Iterator[Metric]:
    query = sa.select(deliveries.c.destination, deliveries.c.state, sa.func.count()).group_by(
        deliveries.c.destination, deliveries.c.state
    )
    found = {(name, state): number for name, state, number in connection.execute(query)}
    names = [destination.name for destination in settings.destinations]
    yield _gauge(
        "deliveries",
        "Objects at each destination, by state.",
        *(([name, state.value], float(found.get((name, state.value), 0))) for name in names for state in DeliveryState),
        labels=("destination", "state"),
    )
    oldest = (
        sa.select(deliveries.c.destination, sa.func.min(deliveries.c.due))
        .where(deliveries.c.state == DeliveryState.DUE.value)
        .group_by(deliveries.c.destination)
    )
    due = {row[0]: row[1] for row in connection.execute(oldest)}
    late = [([name], max(0.0, now - due[name]) if name in due else 0.0) for name in names]
    yield _gauge("delivery_overdue_seconds", "How long the oldest object is due.", *late, labels=("destination",))
    rows = {row.name: row for row in connection.execute(sa.select(destinations))}
    up = [([name], float(name not in rows or rows[name].open_until <= now)) for name in names]
    yield _gauge("destination_up", "0 while its circuit breaker is open.", *up, labels=("destination",))
    failures = [([name], float(rows[name].failures if name in rows else 0)) for name in names]
    yield _gauge("destination_failures", "Failures in a row.", *failures, labels=("destination",))


def _deferrals(connection: sa.Connection) -> Iterator[Metric]:
    newest = (
        sa.select(studies.c.findings)
        .where(studies.c.assessed.is_not(None), studies.c.findings.is_not(None))
        .order_by(studies.c.assessed.desc())
        .limit(_RECENT_STUDIES)
    )
    share = deferral_share([findings or {} for findings in connection.execute(newest).scalars()])
    if share is not None:
        yield _gauge("deferral_share", "Share of findings deferred, of the newest 100 studies.", ([], share))
    baseline = baseline_of(connection)
    if baseline is not None:
        yield _gauge("deferral_share_baseline", "The same for the first studies of the model.", ([], baseline.share))


def _heartbeats(beats: Iterable[Beat]) -> Iterator[Metric]:
    labels = ("machine", "process", "loop")
    loops = [([beat.machine, beat.process, beat.loop], beat) for beat in beats if beat.limit_s]
    ages = [(of, beat.age_s) for of, beat in loops]
    yield _gauge("heartbeat_age_seconds", "Since the loop last turned.", *ages, labels=labels)
    limits = [(of, beat.limit_s) for of, beat in loops]
    yield _gauge("heartbeat_limit_seconds", "A loop that turns less often hangs.", *limits, labels=labels)


def _kept_alarms(kept: Iterable[KeptAlarm]) -> Metric:
    count = Counter(alarm.kind for alarm in kept)
    shown = [([kind.value], float(count[kind.value])) for kind in (AlarmKind.PROCESS, AlarmKind.STANDSTILL)]
    text = "Alarms of the supervisors that go on, or that the database does not have yet."
    return _gauge("alarms_kept", text, *shown, labels=("kind",))


def _alarms(connection: sa.Connection) -> Metric:
    query = sa.select(alarms.c.kind, sa.func.count()).where(alarms.c.cleared.is_(None)).group_by(alarms.c.kind)
    found = {row[0]: row[1] for row in connection.execute(query)}
    shown = [([kind.value], float(found.get(kind.value, 0))) for kind in AlarmKind]
    return _gauge("alarms_open", "Alarms that nobody and nothing has cleared.", *shown, labels=("kind",))
