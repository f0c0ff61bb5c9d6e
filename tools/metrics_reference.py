"""Write docs/reference/metrics.md: every metric that the node's page can show, from the code that shows it.

    python -m tools.metrics_reference          write the page
    python -m tools.metrics_reference --check  end with 1 when the page is not what the code says

The gauges and histograms are those of a made-up node in which everything has happened; the counters are those that the
gateway's modules count.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway.settings import Destination, Settings
from gateway.store.counters import count
from gateway.store.database import open_database
from gateway.store.schema import node_state, studies
from gateway.watch.drift import Baseline
from gateway.watch.heartbeats import Beat
from gateway.watch.metrics import render_metrics

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "reference" / "metrics.md"
_INTRODUCTION: Final = """# Metrics

`/metrics` of the node's page, and of its `web.health_port`, in the text format of Prometheus. It asks for a user of the
page (HTTP Basic). All are worked out at each scrape from the tables, so they survive a restart, and from the heartbeats
in the spool. Every process of every machine is in them. No label says anything about a study or a patient.
[Alert rules](../../deploy/prometheus-alerts.yaml) ship with the node.

Written by `python -m tools.metrics_reference`.
"""

MEANINGS: Final[Mapping[str, str]] = {
    "commitment_reports_total": "Answers to requests for storage commitment; event 1: all committed, 2: some are not.",
    "deadlines_missed_total": "Studies without a delivered result by their deadline.",
    "deliveries_total": "Tries to send an object: sent, retried (to be tried again), dead (refused for good).",
    "files_compared_total": "Files of the spool that the scrubber compared with their hashes.",
    "files_damaged_total": "Files of the spool that were missing or not what was written: received instances, objects.",
    "files_repaired_total": "Damaged instances whose place a good copy took that was sent again.",
    "findings_total": "Findings of assessed images, by what was said of them.",
    "images_refused_total": "Images that were not assessed, by reason and by the header's value that the reason is "
    "about; at most 100 values, the others together.",
    "instances_again_total": "Instances that came again with the same bytes: acknowledged, and nothing more.",
    "instances_received_total": "Instances that were acknowledged; own result: ours, sent back to us; foreign result: "
    "says that it is a result of Candor, and this node did not make it; other: no radiograph, kept for reference; "
    "rejected: an image that a rejection note names.",
    "objects_incomplete_total": "Result objects that failed the check and went into quarantine.",
    "objects_ignored_total": "Objects that were acknowledged and are no radiographs, by SOP class; private: of a class "
    "that DICOM does not define.",
    "scrubs_total": "Nights in which the scrubber compared everything.",
    "studies_assessed_total": "Versions of studies that got results.",
    "study_answers_total": "Studies by their answer for any abnormality; ruled out: called unremarkable, never normal.",
    "values_unknown_total": "Values of body part or view in which no known word is found, of images that count as not "
    "stating it; at most 100 values, the others together.",
    "studies_withdrawn_total": "Studies whose results were withdrawn, since a rejection note names an image.",
    "studies_failed_total": "Versions of studies that were parked after their tries.",
}
"""The meaning of each counter."""


def counted() -> dict[str, tuple[str, ...]]:
    """Return the counters in the gateway's modules, each with its labels in order."""
    found: dict[str, set[str]] = {}
    for file in sorted((ROOT / "gateway").rglob("*.py")):
        for call in _calls(ast.parse(file.read_text())):
            labels = {keyword.arg for keyword in call.keywords if keyword.arg not in (None, "amount")}
            found.setdefault(_name(call), set()).update(label for label in labels if label)
    return {name: tuple(sorted(labels)) for name, labels in sorted(found.items())}


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls of :func:`gateway.store.counters.count`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "count":
            yield node


def _name(call: ast.Call) -> str:
    """Return a counter's name, which must be a literal in the code."""
    name = call.args[1]
    if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
        raise TypeError(f"line {call.lineno}: a counter's name must be a string constant")
    return name.value


def families(counters: Mapping[str, tuple[str, ...]]) -> list[Metric]:
    """Return the metrics of a made-up node in which everything has happened once.

    Parameters
    ----------
    counters
        See :func:`counted`.
    """
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{folder}/gateway.db")
        with engine.begin() as connection:
            for name, labels in counters.items():
                count(connection, name, 1.0, **dict.fromkeys(labels, ""))
            _happen(connection)
        pacs = Destination(name="pacs", ae_title="PACS", host="192.0.2.10", port=104)
        beats = [Beat("", "upkeep", "deadlines", 1.0, 0.0, 0.0)]
        text = render_metrics(engine, Settings(destinations=(pacs,)), 0, 0.0, beats).decode()
        engine.dispose()
    return sorted(text_string_to_metric_families(text), key=lambda family: family.name)


def _happen(connection: sa.Connection) -> None:
    """Add what some metrics need: an assessed study, and a baseline of the deferrals."""
    baseline = {"key": "drift_baseline", "value": json.dumps(asdict(Baseline("", 0.0, 0)))}
    connection.execute(node_state.insert().values(baseline))
    times = dict.fromkeys(("first_image", "last_image", "deadline", "assessed"), 0.0)
    study = {"study_instance_uid": "1", "version": 1, "token": "", "state": "stored", "priority": 0, "reason": ""}
    connection.execute(studies.insert().values(**study, **times, findings={"Effusion": "deferred"}))


def metrics_page() -> str:
    """Write the page."""
    rows = []
    for family in families(counted()):
        shown = f"{family.name}_total" if family.type == "counter" else family.name
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        named = ", ".join(f"`{label}`" for label in labels)
        meaning = MEANINGS[shown.removeprefix("candor_")] if family.type == "counter" else family.documentation
        rows.append(f"| `{shown}` | {family.type} | {named} | {meaning} |")
    return "\n".join([_INTRODUCTION, "| metric | type | labels | meaning |", "| --- | --- | --- | --- |", *rows, ""])


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where the page is stale")
    page, text = PAGE, metrics_page()
    if not parser.parse_args().check:
        page.write_text(text)
    elif not page.exists() or page.read_text() != text:
        print(
            f"{page.relative_to(ROOT)} is not what the code says; run python -m tools.metrics_reference",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
