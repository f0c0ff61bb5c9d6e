"""A result object that fails the check: quarantine, one try, a report that nothing was assessed, an alarm, a count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from candor.study.provenance import ForeignFit
from candor.study.result import Disposition
from candor.study.result_object import KINDS, Kind
from gateway.assess.application import Worker
from gateway.assess.deadline import enforce_deadlines, settle_alarms
from gateway.assess.replay import replay_study
from gateway.settings import Destination, Settings, Work
from gateway.store import schema
from gateway.store.mode import set_mode
from gateway.store.states import Mode
from gateway.store.study import Study
from gateway.watch.metrics import render_metrics
from gateway.watch.retention import retain
from tests.bundles import make_bundle
from tests.conftest import ROOT
from tests.factory import radiograph_dataset
from tests.gateway.conftest import Clock
from tests.gateway.network import image
from tests.gateway.node import FakeApplication, Node
from tests.operators.conftest import ALWAYS
from tests.spoilt import spoil, spoil_function, without_context

PACS = Destination(name="pacs", ae_title="PACS", host="192.0.2.9", port=104, kinds=KINDS)


def permission(bundle_sha256: str) -> ForeignFit:
    """The permission to use the small bundle, which was fitted to nobody."""
    return ForeignFit(bundle_sha256, "nobody", "a test")


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The real application, which writes objects of every kind."""
    bundle = make_bundle(tmp_path_factory.mktemp("model") / "bundle", thresholds=ALWAYS)
    work = Work(models=str(bundle), application=str(ROOT / "app.yaml"))
    with Worker(Settings(work=work, destinations=(PACS,)), permission) as resident:
        yield resident


@pytest.fixture
def node(settings: Settings, clock: Clock, worker: Worker) -> Iterator[Node]:
    node = Node(settings.model_copy(update={"destinations": (PACS,), "work": Work(max_tries=3)}), clock)
    node.application = worker  # type: ignore[assignment]
    set_mode(node.database, Mode.LIVE, "operator", node.clock(), "", permission(worker.fit.bundle_sha256))
    yield node
    node.close()


def waiting(node: Node) -> str:
    uid = node.receive(radiograph_dataset())
    node.wait(uid)
    return uid


def alarms(node: Node) -> list[tuple[str, str]]:
    return [(row.kind, row.text) for row in node.table(schema.alarms) if row.cleared is None]


def metrics(node: Node) -> str:
    return render_metrics(node.database, node.settings, 1, node.clock()).decode()


def quarantine(node: Node, uid: str) -> Path:
    return node.spool.quarantine(node.tokens.token(uid), 1)


def texts(path: Path) -> str:
    return "\n".join(str(element.value) for element in dcmread(path).iterall() if isinstance(element.value, str))


def spoil_first(monkeypatch: pytest.MonkeyPatch, kind: Kind) -> str:
    """Spoil the objects of the application; the report of the node itself is made in the same way, and stays good."""
    if kind != "sr":
        return spoil(monkeypatch, kind)
    spoil_function(monkeypatch, "operators.write.sr_writer.build_report", _without_description)
    return "Candor: SeriesDescription"


def _without_description(report: Any) -> Any:
    del report.SeriesDescription
    return report


@pytest.mark.parametrize("kind", KINDS)
def test_a_spoilt_object_never_leaves_and_the_study_gets_its_report_at_once(
    node: Node, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    row = spoil_first(monkeypatch, kind)
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    study = node.study(uid)
    assert (study.state, study.tries, study.disposition) == ("failed", 1, Disposition.NOT_ASSESSED.value)
    assert row in study.reason
    (report,) = node.table(schema.objects)
    assert report.kind == "sr"
    assert "no model was run" in texts(node.spool.path(report.file))
    (delivery,) = node.table(schema.deliveries)
    assert (delivery.sop_instance_uid, delivery.state) == (report.sop_instance_uid, "due")
    ((alarm, text),) = alarms(node)
    assert alarm == "incomplete"
    assert row in text
    assert text.endswith("upgrade, then replay the study")
    assert f'candor_objects_incomplete_total{{kind="{kind}"}} 1.0' in metrics(node)
    assert 'candor_alarms_open{kind="incomplete"} 1.0' in metrics(node)
    folder = quarantine(node, uid)
    assert folder.stat().st_mode & 0o777 == 0o700
    listed, kept = sorted(folder.iterdir(), key=lambda path: path.suffix, reverse=True)
    assert (listed.stem, listed.suffix, kept.suffix) == (kept.stem, ".json", ".dcm")
    assert json.loads(listed.read_text())["kind"] == kind
    assert dcmread(kept).StudyInstanceUID == uid
    assert not [
        path
        for path in node.spool.results(node.tokens.token(uid), 1).rglob("*.dcm")
        if path.parent != node.spool.path(report.file).parent
    ]
    node.assessor.assess(Study(uid, 1))
    assert node.study(uid).tries == 1


def test_after_an_upgrade_a_replay_gives_the_results_and_ends_the_alarm(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = waiting(node)
    with monkeypatch.context() as patched:
        spoil(patched, "ko")
        node.assessor.assess(Study(uid, 1))
    assert settle_alarms(node.database, node.clock()) == 0
    assert replay_study(node.database, node.settings, node.jobs, Study(uid, 1), "ann", node.clock())
    node.assessor.assess(Study(uid, 1))
    assert node.study(uid).state == "delivering"
    assert {row.kind for row in node.table(schema.objects)} == set(KINDS)
    assert alarms(node) == []


def test_where_the_report_fails_the_check_too_the_study_is_parked_with_an_alarm(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, "sr")  # the application's report and the node's own
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    study = node.study(uid)
    assert (study.state, study.tries) == ("failed", 1)
    assert "no report says so: an object of kind sr lacks" in study.reason
    assert node.table(schema.objects) == []
    assert node.table(schema.deliveries) == []
    ((alarm, text),) = alarms(node)
    assert alarm == "incomplete"
    assert "no report says so" in text
    assert 'candor_objects_incomplete_total{kind="sr"} 2.0' in metrics(node)
    assert len(list(quarantine(node, uid).glob("*.dcm"))) == 2


def test_a_study_that_fails_for_another_reason_is_never_without_an_alarm(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, "sr")
    node.application = FakeApplication(failure="the disk is full")
    uid = node.receive(image("a"))
    for _ in range(3):
        node.wait(uid)
        node.assessor.assess(Study(uid, 1))
    assert node.study(uid).state == "failed"
    assert node.study(uid).reason.startswith("the disk is full; no report says so")
    assert [kind for kind, _ in alarms(node)] == ["incomplete"]


def test_at_the_deadline_a_report_that_fails_the_check_raises_an_alarm_and_the_study_goes_on(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_function(monkeypatch, "candor.dicom.report.document._content", without_context)
    node.application = FakeApplication()
    uid = node.receive(image("a"))
    node.wait(uid)
    node.clock.pass_s(901)
    assert enforce_deadlines(node.database, node.settings, node.spool, node.jobs, node.clock()) == 1
    found = dict(alarms(node))
    assert found.keys() == {"no_result", "incomplete"}
    assert "no report could be made" in found["no_result"]
    assert "was not sent" in found["incomplete"]
    assert node.table(schema.objects) == []
    assert settle_alarms(node.database, node.clock()) == 0
    node.assessor.assess(Study(uid, 1))
    assert node.study(uid).state == "delivering"
    assert "incomplete" not in dict(alarms(node))


def test_retention_deletes_the_quarantine_with_its_study(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, "sr")
    uid = waiting(node)
    node.assessor.assess(Study(uid, 1))
    folder = quarantine(node, uid)
    assert list(folder.iterdir())
    node.clock.pass_s(node.settings.keep.results_d * 86400 + 1)
    assert retain(node.database, node.settings, node.spool, node.jobs, node.clock()) == 1
    assert not folder.exists()
