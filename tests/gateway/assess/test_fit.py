"""What a bundle was fitted to, who has permitted it, and that nothing goes out otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from candor.decide.calibration import Calibration, Origin
from candor.decide.gate import Gate, Thresholds
from candor.decide.percentiles import POINTS
from candor.decide.study_answer import RuleOut, StudyModel
from candor.model.bundle import Bundle
from candor.settings import Settings as OwnSettings
from candor.study.errors import SettingsError
from candor.study.findings import Finding
from candor.study.provenance import ForeignFit
from candor.study.result_object import Predecessor
from gateway.assess.assessor import Assessed
from gateway.assess.fit import Fit, fit_of, hold_unless_permitted, load_fit
from gateway.settings import Settings, Work
from gateway.store import schema
from gateway.store.database import open_database, writing
from gateway.store.mode import foreign_fit_of, mode_of, set_mode
from gateway.store.states import Mode
from gateway.store.study import Study
from tests.conftest import ROOT
from tests.gateway.network import image
from tests.gateway.node import FakeApplication, Node

SHA = "b" * 64
FOREIGN = Fit(SHA, (("the gate", "NIH ChestX-ray14"),), "St Elsewhere")
PERMITTED = ForeignFit(SHA, "NIH ChestX-ray14", "a trial until May")
OPEN, CLOSED = Thresholds(0.1, 0.9), Thresholds(None, None)
COSTS = {"missed": 5, "false_alarm": 1, "deferral": 0.2}


def bundle(
    mass: Thresholds,
    nodule: Thresholds = CLOSED,
    fitted_to: str | None = "NIH",
    calibrated: str | None = "NIH",
    study: StudyModel | None = None,
) -> Bundle:
    """As much of a bundle as says what it was fitted to."""
    gate = Gate({Finding.MASS: mass, Finding.NODULE: nodule}, "made up", fitted_to=fitted_to)
    origin = Origin(calibrated, date(2026, 1, 1), 9) if calibrated else None
    calibration = Calibration({}, "made up", origin)
    return cast(Bundle, SimpleNamespace(gate=gate, calibration=calibration, study_answer=study, sha256=SHA))


def study_model(threshold: float | None, fitted_to: str | None = "NIH") -> StudyModel:
    """A model of the answer for a study with one promise."""
    none = np.zeros(POINTS)
    promises = (RuleOut(0.05, 0.9, threshold),)
    return StudyModel("logits", none, 0.0, none, none, 0.5, promises, frozenset(), "made up", fitted_to)


GATE, CALIBRATION, STUDY = "the gate", "the calibration", "the answer for the study"
NOBODY = "patients that the bundle does not name"


@pytest.mark.parametrize(
    ("made", "own", "site", "foreign"),
    [
        (bundle(OPEN), {}, None, [(GATE, "NIH")]),
        (bundle(OPEN), {}, "St Elsewhere", [(GATE, "NIH")]),
        (bundle(OPEN, fitted_to="St  elsewhere "), {}, "St Elsewhere", []),
        (bundle(CLOSED), {}, "St Elsewhere", []),
        (bundle(Thresholds(0.1, None)), {}, None, [(GATE, "NIH")]),
        (bundle(OPEN, fitted_to=None), {}, "St Elsewhere", [(GATE, NOBODY)]),
        (bundle(CLOSED), {"costs": {"Mass": COSTS}}, "St Elsewhere", [(CALIBRATION, "NIH")]),
        (bundle(CLOSED, calibrated=None), {"costs": {"Mass": COSTS}}, "St Elsewhere", [(CALIBRATION, NOBODY)]),
        (bundle(OPEN, calibrated="St Elsewhere"), {"costs": {"default": COSTS}}, "St Elsewhere", []),
        (
            bundle(OPEN, OPEN, "Here", "There"),
            {"costs": {"Mass": COSTS}},
            None,
            [(GATE, "Here"), (CALIBRATION, "There")],
        ),
        (bundle(CLOSED, study=study_model(1.0)), {}, "St Elsewhere", [(STUDY, "NIH")]),
        (bundle(CLOSED, study=study_model(1.0, None)), {}, "St Elsewhere", [(STUDY, NOBODY)]),
        (bundle(CLOSED, study=study_model(None)), {}, "St Elsewhere", []),
        (bundle(CLOSED, study=study_model(1.0)), {"rule_out_missed": None}, "St Elsewhere", []),
    ],
)
def test_answers_rest_on_the_fits_that_can_answer(
    made: Bundle, own: dict[str, Any], site: str | None, foreign: list[tuple[str, str]]
) -> None:
    fit = fit_of(made, OwnSettings(**own), site)
    assert fit == Fit(SHA, tuple(foreign), site)
    assert bool(fit.problem) == bool(foreign)


def test_two_foreign_fits_are_both_named() -> None:
    fit = Fit(SHA, ((GATE, "NIH"), (STUDY, "Elsewhere")), None)
    assert fit.problem.startswith("the gate was fitted to NIH and the answer for the study was fitted to Elsewhere")
    assert fit.permit("a trial") == ForeignFit(SHA, "Elsewhere and NIH", "a trial")


def test_the_shipped_bundle_is_fitted_to_chestxray14() -> None:
    work = Work(models=str(ROOT / "models"), application=str(ROOT / "app.yaml"))
    assert {source for _, source in load_fit(Settings(work=work)).foreign} == {"NIH ChestX-ray14"}
    assert load_fit(Settings(work=work, site="NIH ChestX-ray14")).foreign == ()


def test_a_fit_to_other_patients_needs_a_reason() -> None:
    with pytest.raises(
        SettingsError, match=r"fitted to NIH ChestX-ray14, not to this site \(St Elsewhere\); fit it .*REA"
    ):
        FOREIGN.permit(" \n")
    with pytest.raises(SettingsError, match=r"gateway.yaml names none: set `site`"):
        replace(FOREIGN, site=None).permit(None)
    with pytest.raises(SettingsError, match="201 characters; give at most 200"):
        FOREIGN.permit("x" * 201)
    assert FOREIGN.permit(" a trial\nuntil  May ") == PERMITTED
    own = replace(FOREIGN, foreign=())
    assert own.permit("") is own.permit("a trial") is None


def test_a_permission_outlasts_a_restart_and_is_for_one_bundle(either: Settings) -> None:
    database = open_database(either.database)
    assert set_mode(database, Mode.LIVE, "ann", 1.0, "validated", PERMITTED)
    assert not set_mode(database, Mode.LIVE, "ann", 2.0, "again", PERMITTED)
    database.dispose()
    database = open_database(either.database)
    with database.connect() as connection:
        assert foreign_fit_of(connection, SHA) == foreign_fit_of(connection) == PERMITTED
        assert foreign_fit_of(connection, "c" * 64) is None
    assert set_mode(database, Mode.LIVE, "ann", 3.0, "longer", replace(PERMITTED, reason="a trial until June"))
    assert set_mode(database, Mode.SHADOW, "ann", 4.0)
    with database.connect() as connection:
        assert foreign_fit_of(connection) is None
        acts = [(row.what, row.detail) for row in connection.execute(schema.audit_trail.select())]
    assert acts == [
        ("mode live", "validated"),
        ("foreign fit", "bundle bbbbbbbbbbbb, fitted to NIH ChestX-ray14: a trial until May"),
        ("mode live", "longer"),
        ("foreign fit", "bundle bbbbbbbbbbbb, fitted to NIH ChestX-ray14: a trial until June"),
        ("mode shadow", ""),
    ]
    database.dispose()


@pytest.mark.parametrize(
    ("mode", "permitted", "fit", "held"),
    [
        (Mode.LIVE, None, FOREIGN, True),
        (Mode.LIVE, PERMITTED, FOREIGN, False),
        (Mode.LIVE, PERMITTED, replace(FOREIGN, bundle_sha256="c" * 64), True),
        (Mode.LIVE, None, replace(FOREIGN, foreign=()), False),
        (Mode.SHADOW, None, FOREIGN, False),
    ],
)
def test_a_bundle_that_nobody_has_permitted_takes_the_node_back_to_shadow(
    settings: Settings, mode: Mode, permitted: ForeignFit | None, fit: Fit, held: bool
) -> None:
    database = open_database(settings.database)
    set_mode(database, mode, "ann", 1.0, "", permitted)
    with writing(database) as connection:
        assert hold_unless_permitted(connection, fit, 2.0) == held
        assert mode_of(connection) is (Mode.SHADOW if held else mode)
        opened = [row.text for row in connection.execute(schema.alarms.select()) if row.cleared is None]
    assert len(opened) == held
    assert all("was fitted to NIH ChestX-ray14" in text for text in opened)
    set_mode(database, Mode.LIVE, "ann", 3.0, "", ForeignFit(fit.bundle_sha256, "NIH", "agreed"))
    with database.connect() as connection:
        assert all(row.cleared for row in connection.execute(schema.alarms.select()))
    database.dispose()


@dataclass
class FakeWorker(FakeApplication):
    """Answers by a fit to other patients, and names the permission that the node has at that time."""

    node: Node | None = None
    meanwhile: ForeignFit | None = None

    def __call__(
        self, study_instance_uid: str, source: Path, output: Path, time: datetime, predecessors: tuple[Predecessor, ...]
    ) -> Assessed:
        assert self.node is not None
        with self.node.database.connect() as connection:
            named = foreign_fit_of(connection, SHA)
        self.salt = named.reason if named else ""
        if self.meanwhile:
            set_mode(self.node.database, Mode.LIVE, "ann", self.node.clock(), "", self.meanwhile)
            self.meanwhile = None
        assessed = super().__call__(study_instance_uid, source, output, time, predecessors)
        return replace(assessed, fit=FOREIGN, foreign_fit=named)


@pytest.fixture
def foreign(node_of_either: Node) -> Node:
    """A node whose worker has a bundle that was fitted to other patients."""
    node_of_either.application = FakeWorker(node=node_of_either)
    return node_of_either


def assess(node: Node) -> Any:
    uid = node.receive(image("a"))
    node.wait(uid)
    node.assessor.assess(Study(uid, 1))
    return node.study(uid)


def test_results_of_a_bundle_that_nobody_has_permitted_stay_in_the_node(foreign: Node) -> None:
    set_mode(foreign.database, Mode.LIVE, "ann", foreign.clock())
    row = assess(foreign)
    assert (row.state, row.mode) == ("stored", "shadow")
    assert foreign.table(schema.deliveries) == []
    assert [alarm.kind for alarm in foreign.table(schema.alarms)] == ["foreign_fit"]
    acts = [(act.who, act.what) for act in foreign.table(schema.audit_trail)]
    assert acts == [("ann", "mode live"), ("the node", "mode shadow")]


def test_results_of_a_permitted_bundle_go_out(foreign: Node) -> None:
    set_mode(foreign.database, Mode.LIVE, "ann", foreign.clock(), "", PERMITTED)
    row = assess(foreign)
    assert (row.state, row.mode) == ("delivering", "live")
    assert foreign.table(schema.alarms) == []


def test_a_permission_that_comes_during_the_assessment_is_named_before_anything_goes_out(foreign: Node) -> None:
    worker = cast(FakeWorker, foreign.application)
    worker.meanwhile = PERMITTED
    row = assess(foreign)
    assert (row.state, row.mode) == ("delivering", "live")
    assert len(worker.seen) == 2
    assert worker.salt == PERMITTED.reason
