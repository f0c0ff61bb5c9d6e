"""An answer that hangs on marks is deferred; the network runs again only for images that have marks and an answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from candor.decide.calibration import IDENTITY, Calibration, LogitMap
from candor.decide.costs import equal_costs
from candor.decide.gate import Gate, Thresholds
from candor.model.outputs import Engine
from candor.model.preprocess import InputSpec
from candor.picture.lungs import LungField
from candor.picture.shortcut import Auditor, Blanked
from candor.study.case import Case, CaseImage, assert_set
from candor.study.findings import Finding
from candor.study.policy import DEFAULT_POLICY, Action
from candor.study.reasons import Reason
from candor.study.result import Decision, ShortcutAudit
from candor.words.results_json import summarise
from operators.answer.calibrator import Calibrator
from operators.answer.classifier import Classifier
from operators.answer.shortcut_check import ShortcutCheck
from operators.graph.sdk import Application
from tests import tokens
from tests.cases import PROVENANCE, assessed, case_of, header_of, result
from tests.operators.network import Brightest

SPEC = InputSpec(side=128, mean=0.5, std=0.25)
BOTH = (Finding.EFFUSION, Finding.MASS)
CALIBRATION = Calibration(dict.fromkeys(BOTH, LogitMap(IDENTITY, 0.5, 0.5)), "made up for a test")
GATE = Gate({Finding.EFFUSION: Thresholds(0.2, 0.7), Finding.MASS: Thresholds(None, None)}, "made up for a test")
ANSWERED, DEFERRED = 0.9, 0.5


@pytest.fixture(scope="module")
def fragment() -> Application:
    return Application()


@pytest.fixture(scope="module")
def auditor() -> Auditor:
    return Auditor(SPEC, LungField(), CALIBRATION)


class Changes(Auditor):
    """An auditor that has its answer ready, and remembers how many pictures it looked at."""

    def __init__(self, changes: tuple[float, float] | None) -> None:
        self.changes = changes
        self.looks = 0

    def blank(self, network_input: np.ndarray) -> Blanked | None:
        self.looks += 1
        return None if self.changes is None else Blanked("the borders", network_input)

    def compare(self, blanked: Blanked, logits: np.ndarray, logits_without: np.ndarray) -> ShortcutAudit:
        return ShortcutAudit(blanked.what, np.array(self.changes))


def image_of(probability: float = ANSWERED, *, letter: bool = False, grey: float = 0.5, name: str = "a") -> CaseImage:
    pixels = network_input(letter=letter, grey=grey)
    probabilities = np.array([probability, 0.9])
    logits = Brightest().run(pixels[np.newaxis]).logits[0]
    return CaseImage(name, Path(name), Dataset(), network_input=pixels, logits=logits, probabilities=probabilities)


def network_input(*, letter: bool, grey: float = 0.5) -> np.ndarray:
    pixels = np.add.outer(*np.linspace([0.1, 0.1], grey / 2, SPEC.side).T)
    if letter:
        pixels[6:18, 6:9] = 1
        pixels[15:18, 6:16] = 1
    return np.asarray((pixels - SPEC.mean) / SPEC.std, np.float32)[np.newaxis]


def run_check(
    fragment: Application,
    auditor: Auditor,
    images: list[CaseImage],
    engine: Brightest | None = None,
    size: int = 8,
    gate: Gate = GATE,
    limit: float | None = 0.4,
    action: Action = Action.DEFER,
) -> Brightest:
    """Run the check on a study; returns the network that it used."""
    engine = engine or Brightest()
    check = ShortcutCheck(
        fragment,
        name="check",
        engine=engine,
        images_per_batch=size,
        auditor=auditor,
        gate=gate,
        calibration=CALIBRATION,
        limit=limit,
        policy={**DEFAULT_POLICY, Reason.SHORTCUT: action},
    )
    check.work(Case("1.2", images, Path("out"), datetime(2026, 1, 1, tzinfo=UTC)))
    return engine


def test_an_answer_that_hangs_on_borders_is_deferred(fragment: Application) -> None:
    image = image_of()
    run_check(fragment, Changes((-1.4, 0.0)), [image])
    assert image.assessed
    (note,) = image.deferrals
    assert note.reason is Reason.SHORTCUT
    assert note.detail == "blanking the borders changes Pleural effusion by -1.4 log-odds"


@pytest.mark.parametrize(
    "changes", [(0.3, 0.0), (0.0, 2.0), None], ids=["too little", "of one that is never answered", "nothing to blank"]
)
def test_what_stops_nothing(fragment: Application, changes: tuple[float, float] | None) -> None:
    image = image_of()
    run_check(fragment, Changes(changes), [image])
    assert (image.refusal, image.deferrals, image.notices) == (None, [], [])
    assert (image.shortcut is None) == (changes is None)


@pytest.mark.parametrize(("probability", "limit"), [(DEFERRED, 0.4), (ANSWERED, None)], ids=["deferred", "no limit"])
def test_what_is_not_audited_costs_nothing(fragment: Application, probability: float, limit: float | None) -> None:
    auditor, image = Changes((2.0, 2.0)), image_of(probability)
    engine = run_check(fragment, auditor, [image], limit=limit)
    assert (auditor.looks, engine.batches) == (0, [])
    assert image.shortcut is None
    assert not image.deferrals


def test_where_costs_decide_every_finding_counts(fragment: Application) -> None:
    priced = GATE.with_costs({Finding.EFFUSION: equal_costs(0.2)})
    for changes, count in (((2.0, 0.0), 1), ((0.0, 2.0), 0)):
        image = image_of(DEFERRED)
        run_check(fragment, Changes(changes), [image], gate=priced)
        assert len(image.deferrals) == count


@pytest.mark.parametrize("action", list(Action))
def test_the_site_says_what_follows(fragment: Application, action: Action) -> None:
    image = image_of()
    run_check(fragment, Changes((2.0, 0.0)), [image], action=action)
    refused = [image.refusal] if image.refusal else []
    noted = {Action.REFUSE: refused, Action.DEFER: image.deferrals, Action.NOTICE: image.notices}
    assert [note.reason for note in noted.pop(action)] == [Reason.SHORTCUT]
    assert not any(noted.values())


def study(letters: Sequence[bool], probabilities: Sequence[float]) -> list[CaseImage]:
    return [
        image_of(probability, letter=letter, grey=0.5 + 0.01 * k, name=str(k))
        for k, (letter, probability) in enumerate(zip(letters, probabilities, strict=True))
    ]


def test_all_with_marks_and_an_answer_run_again_at_once(fragment: Application, auditor: Auditor) -> None:
    images = study([True, False, True, True], [ANSWERED, ANSWERED, DEFERRED, ANSWERED])
    assert run_check(fragment, auditor, images).batches == [2]
    assert [image.shortcut is not None for image in images] == [True, False, False, True]
    for image, grey in ((images[0], 0.5), (images[3], 0.53)):
        without, audit = network_input(letter=False, grey=grey).max(), assert_set(image.shortcut)
        assert audit.what == "the marks in the upper left corner"
        assert np.allclose(audit.changes, [without - 2, 2 - without], atol=0.01)
        assert [note.reason for note in image.deferrals] == [Reason.SHORTCUT]


@pytest.mark.parametrize(("size", "batches"), [(1, [1, 1, 1]), (2, [2, 1])])
def test_a_batch_is_never_larger_than_set(
    fragment: Application, auditor: Auditor, size: int, batches: list[int]
) -> None:
    images = study([True] * 4, [ANSWERED, DEFERRED, ANSWERED, ANSWERED])
    assert run_check(fragment, auditor, images, size=size).batches == batches


def test_no_mark_is_no_second_run(fragment: Application, auditor: Auditor) -> None:
    (image,) = images = study([False], [ANSWERED])
    assert run_check(fragment, auditor, images).batches == []
    assert image.shortcut is None


def test_a_failure_stays_with_its_image(fragment: Application, auditor: Auditor) -> None:
    images = study([True] * 3, [ANSWERED] * 3)
    between = (network_input(letter=False, grey=0.51).max() + network_input(letter=False, grey=0.52).max()) / 2
    engine = run_check(fragment, auditor, images, Brightest(broken=between))
    assert engine.batches == [3, 1, 1, 1]
    assert [image.assessed for image in images] == [True, True, False]
    assert assert_set(images[2].refusal).reason is Reason.PROCESSING_FAILED
    assert [len(image.deferrals) for image in images] == [1, 1, 0]
    assert images[2].shortcut is None


def test_a_refused_image_is_not_audited(fragment: Application) -> None:
    auditor, image = Changes((2.0, 2.0)), image_of()
    image.refuse(Reason.ROTATED, "")
    run_check(fragment, auditor, [image])
    assert auditor.looks == 0


def test_a_network_that_reads_a_token_is_caught_where_it_answers(fragment: Application) -> None:
    rng = np.random.default_rng(0)
    clean = [tokens.background(rng) for _ in range(300)]
    marked = [tokens.planted(pixels, rng) for pixels in clean]
    seen = np.stack([tokens.scaled(pixels) for pixels in clean[:200] + marked[:200]])
    reader = tokens.TokenReader(seen, np.repeat([False, True], 200))
    with_token, without = (audited(fragment, reader, pictures[200:]) for pictures in (marked, clean))
    assert len(with_token) > 95  # it answers them
    assert len(without) > 95
    assert np.mean([bool(image.deferrals) for image in with_token]) >= 0.95
    assert np.mean([bool(image.deferrals) for image in without]) <= 0.05


def audited(fragment: Application, engine: Engine, pictures: list[np.ndarray]) -> list[CaseImage]:
    """Send pictures through network, calibration and audit; returns the images on which the gate answers."""
    calibration = Calibration({Finding.EFFUSION: LogitMap(IDENTITY, 0.5, 0.5)}, "made up for a test")
    gate = Gate({Finding.EFFUSION: Thresholds(0.3, 0.7)}, "made up for a test")
    images = [
        CaseImage(str(k), Path(str(k)), Dataset(), network_input=tokens.scaled(pixels))
        for k, pixels in enumerate(pictures)
    ]
    case = Case("1.2", images, Path("out"), datetime(2026, 1, 1, tzinfo=UTC))
    network = {"engine": engine, "images_per_batch": 8}
    Classifier(fragment, name="classify", **network).work(case)
    Calibrator(fragment, name="calibrate", calibration=calibration).work(case)
    auditor = Auditor(tokens.SPEC, LungField(), calibration)
    rules = {"gate": gate, "calibration": calibration, "limit": 0.4, "policy": DEFAULT_POLICY}
    ShortcutCheck(fragment, name="check", auditor=auditor, **network, **rules).work(case)
    return [
        image
        for image in case.assessed_images
        if gate.decide(Finding.EFFUSION, float(assert_set(image.probabilities)[0]))[0] is not Decision.DEFERRED
    ]


def test_the_changes_stand_in_the_results() -> None:
    image = assessed(header_of(), results=[result(finding, Decision.PRESENT) for finding in BOTH])
    image.shortcut = ShortcutAudit("the borders", np.array([-1.4, 0.25]))
    (study,) = summarise([case_of(image)], PROVENANCE).studies
    assert assert_set(study.images[0].shortcut).model_dump() == {
        "blanked": "the borders",
        "log_odds_changes": {"Effusion": -1.4, "Mass": 0.25},
    }
    image.shortcut = None
    (study,) = summarise([case_of(image)], PROVENANCE).studies
    assert study.images[0].shortcut is None
