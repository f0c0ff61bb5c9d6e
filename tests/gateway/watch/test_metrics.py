"""The metrics, read back with Prometheus' own parser, and the alert rules that ship with them."""

from __future__ import annotations

import json
import re

import pytest
import sqlalchemy as sa
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.settings import Destination, Settings
from gateway.store.alarms import AlarmKind, raise_alarm
from gateway.store.counters import count
from gateway.store.database import database_now, upsert
from gateway.store.schema import deliveries, destinations, leases, node_state, objects, studies
from gateway.watch.heartbeats import Beat
from gateway.watch.kept_alarms import KeptAlarm
from gateway.watch.metrics import render_metrics
from tests.conftest import ROOT
from tests.gateway.conftest import Clock

Sample = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture
def with_pacs(settings: Settings) -> Settings:
    pacs = Destination(name="pacs", ae_title="PACS", host="192.0.2.7", port=104)
    return settings.model_copy(update={"destinations": (pacs,)})


def scrape(database: sa.Engine, settings: Settings, clock: Clock) -> dict[Sample, float]:
    beats = [Beat("node", "upkeep", "drift", 120.0, 5.0, 130.0), Beat("node", "upkeep", "looked", 0.0, 5.0, 130.0)]
    kept = [KeptAlarm("standstill", "", "nothing moves", 5.0, goes_on=True)]
    text = render_metrics(database, settings, 7 << 30, clock(), beats, kept).decode()
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def one(found: dict[Sample, float], name: str, **labels: str) -> float:
    return found[f"candor_{name}", frozenset(labels.items())]


def add_study(connection: sa.Connection, uid: str, last: float, **values: object) -> None:
    row = {"study_instance_uid": uid, "version": 1, "token": uid, "reason": "", "priority": 10, "images": 1}
    times = {"first_image": last, "last_image": last, "deadline": last + 900}
    connection.execute(studies.insert().values(**row, **times, **values))


def test_the_priorities_of_studies_are_a_histogram(database: sa.Engine, settings: Settings, clock: Clock) -> None:
    with database.begin() as connection:
        for number, priority in enumerate((5.0, 10.0, 75.0, None)):
            add_study(connection, f"1.{number}", clock(), state="stored", worklist_priority=priority)
    found = scrape(database, settings, clock)
    assert one(found, "worklist_priority_bucket", le="10.0") == 2
    assert one(found, "worklist_priority_bucket", le="70.0") == 2
    assert one(found, "worklist_priority_bucket", le="100.0") == 3
    assert one(found, "worklist_priority_count") == 3
    assert one(found, "worklist_priority_sum") == 90


def test_an_idle_node(database: sa.Engine, settings: Settings, clock: Clock) -> None:
    found = scrape(database, settings, clock)
    assert one(found, "studies", state="waiting") == 0
    assert one(found, "live") == 0
    assert one(found, "spool_free_bytes") == 7 << 30
    assert one(found, "result_seconds_count") == 0
    assert one(found, "oldest_waiting_seconds") == 0
    assert one(found, "alarms_open", kind="drift") == 0
    assert one(found, "heartbeat_age_seconds", machine="node", process="upkeep", loop="drift") == 130
    assert one(found, "heartbeat_limit_seconds", machine="node", process="upkeep", loop="drift") == 120
    assert not [labels for _, labels in found if ("loop", "looked") in labels]  # a mark may be as old as it is
    assert (one(found, "alarms_kept", kind="standstill"), one(found, "alarms_kept", kind="process")) == (1, 0)
    assert not [name for name, _ in found if "deferral" in name]


def test_a_busy_node(database: sa.Engine, with_pacs: Settings, clock: Clock) -> None:
    now = clock()
    with database.begin() as connection:
        count(connection, "instances_received_total", 3, state="kept")
        count(connection, "instances_received_total", 1, state="own result")
        add_study(connection, "1", now - 100, state="waiting", queued=now - 90)
        add_study(connection, "2", now - 100, state="delivering", assessed=now - 93, findings={"Mass": "deferred"})
        add_study(
            connection,
            "3",
            now - 900,
            state="delivered",
            assessed=now - 850,
            finished=now - 500,
            findings={"Mass": "absent"},
        )
        add_study(connection, "4", now - 2000, state="running", overdue=now - 10)
        for name, state, due in (("a", "due", now - 40), ("b", "due", now - 30), ("c", "dead", now - 99)):
            row = {
                "sop_class_uid": "1",
                "series_instance_uid": "1",
                "study_instance_uid": "2",
                "version": 1,
                "kind": "sr",
            }
            connection.execute(objects.insert().values(sop_instance_uid=name, file=name, sha256=name, made=now, **row))
            connection.execute(
                deliveries.insert().values(sop_instance_uid=name, destination="pacs", state=state, due=due)
            )
        connection.execute(destinations.insert().values(name="pacs", failures=4, open_until=now + 5))
        baseline = json.dumps({"bundle_sha256": "ab", "share": 0.25, "studies": 200})
        connection.execute(upsert(database, node_state, {"key": "drift_baseline", "value": baseline}))
        connection.execute(upsert(database, node_state, {"key": "mode", "value": "live"}))
        connection.execute(leases.insert().values(executor_id="x", expires=database_now(database) + 60))
    raise_alarm(database, AlarmKind.NO_RESULT, "4", "late", now)
    found = scrape(database, with_pacs, clock)
    assert one(found, "instances_received_total", state="kept") == 3
    assert one(found, "instances_received_total", state="own result") == 1
    assert one(found, "studies", state="waiting") == 1
    assert one(found, "oldest_waiting_seconds") == 90
    assert one(found, "studies_overdue") == 1
    assert one(found, "result_seconds_bucket", le="5.0") == 0
    assert one(found, "result_seconds_bucket", le="10.0") == 1
    assert one(found, "result_seconds_bucket", le="60.0") == 2
    assert one(found, "result_seconds_bucket", le="+Inf") == one(found, "result_seconds_count") == 2
    assert one(found, "result_seconds_sum") == pytest.approx(57)
    assert one(found, "finish_seconds_sum") == pytest.approx(400)
    assert one(found, "objects", kind="sr") == 3
    assert one(found, "objects", kind="pm") == 0
    assert one(found, "deliveries", destination="pacs", state="due") == 2
    assert one(found, "deliveries", destination="pacs", state="dead") == 1
    assert one(found, "delivery_overdue_seconds", destination="pacs") == 40
    assert one(found, "destination_up", destination="pacs") == 0
    assert one(found, "destination_failures", destination="pacs") == 4
    assert one(found, "deferral_share") == 0.5
    assert one(found, "deferral_share_baseline") == 0.25
    assert one(found, "alarms_open", kind="no_result") == 1
    assert one(found, "live") == 1
    assert one(found, "executors_alive") == 1


def test_every_alert_is_about_metrics_that_there_are(database: sa.Engine, with_pacs: Settings, clock: Clock) -> None:
    with database.begin() as connection:
        add_study(connection, "3", clock() - 900, state="stored", assessed=clock(), findings={"Mass": "absent"})
        baseline = json.dumps({"bundle_sha256": "ab", "share": 0.25, "studies": 200})
        connection.execute(upsert(database, node_state, {"key": "drift_baseline", "value": baseline}))
        count(connection, "objects_incomplete_total", kind="sr")
    names = {name for name, _ in scrape(database, with_pacs, clock)}
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus-alerts.yaml").read_text())["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 8
    for rule in rules:
        used = set(re.findall(r"candor_\w+", rule["expr"]))
        assert used <= names, rule["alert"]
        assert {"summary", "description"} <= rule["annotations"].keys()
