"""An answer that hangs on marks or borders is deferred; the classifier scores both in one batch."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from cxr.calibrate import IDENTITY, Calibration, LogitMap
from cxr.case import Case, CaseImage
from cxr.costs import equal_costs
from cxr.defer import Gate, Thresholds
from cxr.engine import Outputs
from cxr.findings import Finding
from cxr.lungs import LungField
from cxr.policy import DEFAULT_POLICY, Action
from cxr.preprocess import InputSpec
from cxr.reasons import Reason
from cxr.result import Decision, ShortcutAudit
from cxr.shortcut import Auditor
from cxr.summary import summarise
from operators.classifier import Classifier
from operators.sdk import Application
from operators.shortcut_check import ShortcutCheck
from tests.cases import PROVENANCE, assessed, case_of, header_of, result

SPEC = InputSpec(side=128, mean=0.5, std=0.25)
BOTH = (Finding.EFFUSION, Finding.MASS)
CALIBRATION = Calibration(dict.fromkeys(BOTH, LogitMap(IDENTITY, 0.5, 0.5)), "made up for a test")
GATE = Gate({Finding.EFFUSION: Thresholds(0.2, 0.7), Finding.MASS: Thresholds(None, None)}, "made up for a test")


@pytest.fixture(scope="module")
def fragment() -> Application:
    return Application()


def checked(
    fragment: Application,
    changes: tuple[float, float] | None,
    probability: float = 0.9,
    gate: Gate = GATE,
    limit: float | None = 0.4,
    action: Action = Action.DEFER,
) -> CaseImage:
    """Run the check on one image."""
    image = CaseImage("a.dcm", Path("a.dcm"), probabilities=np.array([probability, 0.9]))
    image.shortcut = None if changes is None else ShortcutAudit("the borders", np.array(changes))
    policy = {**DEFAULT_POLICY, Reason.SHORTCUT: action}
    check = ShortcutCheck(fragment, name="check", gate=gate, calibration=CALIBRATION, limit=limit, policy=policy)
    check.work(Case("1.2", [image], Path("out"), datetime(2026, 1, 1, tzinfo=UTC)))
    return image


def test_an_answer_that_hangs_on_borders_is_deferred(fragment: Application) -> None:
    image = checked(fragment, (-1.4, 0.0))
    assert image.assessed
    (note,) = image.deferrals
    assert note.reason is Reason.SHORTCUT
    assert note.detail == "blanking the borders changes Pleural effusion by -1.4 log-odds"


@pytest.mark.parametrize(
    ("changes", "probability"),
    [((0.3, 0.0), 0.9), ((0.0, 2.0), 0.9), ((2.0, 0.0), 0.5), (None, 0.9)],
    ids=["too little", "of a finding that is never answered", "of one that is deferred", "nothing to blank"],
)
def test_what_stops_nothing(fragment: Application, changes: tuple[float, float] | None, probability: float) -> None:
    image = checked(fragment, changes, probability)
    assert (image.refusal, image.deferrals, image.notices) == (None, [], [])


def test_where_costs_decide_every_finding_counts(fragment: Application) -> None:
    priced = GATE.with_costs({Finding.EFFUSION: equal_costs(0.2)})
    assert checked(fragment, (2.0, 0.0), 0.5, priced).deferrals
    assert not checked(fragment, (0.0, 2.0), 0.5, priced).deferrals


def test_without_a_limit_nothing_is_checked(fragment: Application) -> None:
    assert not checked(fragment, (2.0, 0.0), limit=None).deferrals


@pytest.mark.parametrize("action", list(Action))
def test_the_site_says_what_follows(fragment: Application, action: Action) -> None:
    image = checked(fragment, (2.0, 0.0), action=action)
    refused = [image.refusal] if image.refusal else []
    noted = {Action.REFUSE: refused, Action.DEFER: image.deferrals, Action.NOTICE: image.notices}
    assert [note.reason for note in noted.pop(action)] == [Reason.SHORTCUT]
    assert not any(noted.values())


class Brightest:
    """A network whose logits are the brightest pixel and its negative; it remembers how many pictures came at once."""

    name = "test"

    def __init__(self, broken: float = np.inf) -> None:
        self.batches: list[int] = []
        self.broken = broken

    def run(self, images: np.ndarray) -> Outputs:
        self.batches.append(len(images))
        brightest = images.max(axis=(1, 2, 3))
        logits = np.where(brightest > self.broken, np.nan, brightest)
        activation = np.zeros((len(images), 2, 3, 3), np.float32)
        return Outputs(np.stack([logits, -logits], axis=1).astype(np.float32), activation, images[:, 0, 0, :5])


def network_input(*, letter: bool, grey: float = 0.5) -> np.ndarray:
    pixels = np.add.outer(*np.linspace([0.1, 0.1], grey / 2, SPEC.side).T)
    if letter:
        pixels[6:18, 6:9] = 1
        pixels[15:18, 6:16] = 1
    return np.asarray((pixels - SPEC.mean) / SPEC.std, np.float32)[np.newaxis]


def classified(
    fragment: Application, engine: Brightest, letters: list[bool], size: int = 8, *, audit: bool = True
) -> list[CaseImage]:
    """Run the classifier on one image for each of ``letters``."""
    images = [
        CaseImage(f"{k}.dcm", Path(f"{k}.dcm"), network_input=network_input(letter=letter, grey=0.5 + 0.01 * k))
        for k, letter in enumerate(letters)
    ]
    auditor = Auditor(SPEC, LungField(), CALIBRATION) if audit else None
    classifier = Classifier(fragment, name="classify", engine=engine, images_per_batch=size, auditor=auditor)
    classifier.work(Case("1.2", images, Path("out"), datetime(2026, 1, 1, tzinfo=UTC)))
    return images


def test_both_are_scored_in_one_batch_and_each_image_gets_its_own(fragment: Application) -> None:
    engine, letters = Brightest(), [True, False, True]
    images = classified(fragment, engine, letters)
    assert engine.batches == [5]
    for image, letter in zip(images, letters, strict=True):
        assert image.network_input is not None
        assert image.logits is not None
        assert image.logits[0] == image.network_input.max()
        assert (image.shortcut is not None) is letter
    for image in (images[0], images[2]):
        without = network_input(letter=False, grey=0.5 if image is images[0] else 0.52).max()
        assert image.shortcut is not None
        assert image.shortcut.what == "the marks in the upper left corner"
        assert np.allclose(image.shortcut.changes, [without - 2, 2 - without], atol=0.01)


@pytest.mark.parametrize(("size", "batches"), [(1, [1, 1, 1, 1, 1]), (2, [2, 1, 2])])
def test_a_batch_is_never_larger_than_set(fragment: Application, size: int, batches: list[int]) -> None:
    engine = Brightest()
    images = classified(fragment, engine, [True, False, True], size)
    assert engine.batches == batches
    assert all(image.logits is not None for image in images)


def test_no_mark_and_no_audit_cost_nothing(fragment: Application) -> None:
    for letter, audit in ((False, True), (True, False)):
        engine = Brightest()
        (image,) = classified(fragment, engine, [letter], audit=audit)
        assert engine.batches == [1]
        assert image.shortcut is None


def test_the_changes_stand_in_the_results(fragment: Application) -> None:
    image = assessed(header_of(), results=[result(finding, Decision.PRESENT) for finding in BOTH])
    image.shortcut = ShortcutAudit("the borders", np.array([-1.4, 0.25]))
    (study,) = summarise([case_of(image)], PROVENANCE)["studies"]
    assert study["images"][0]["shortcut"] == {
        "blanked": "the borders",
        "log_odds_changes": {"Effusion": -1.4, "Mass": 0.25},
    }
    image.shortcut = None
    (study,) = summarise([case_of(image)], PROVENANCE)["studies"]
    assert study["images"][0]["shortcut"] is None


def test_a_failure_stays_with_its_image(fragment: Application) -> None:
    images = classified(fragment, Brightest(broken=1.9), [False, True, False])
    assert [image.assessed for image in images] == [True, False, True]
    assert images[1].refusal is not None
    assert images[1].refusal.reason is Reason.PROCESSING_FAILED
