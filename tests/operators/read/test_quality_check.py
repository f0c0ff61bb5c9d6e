"""The quality gate does what the site has set for what it sees."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from candor.picture.orientation import Limits, Look, OrientationCheck
from candor.study.case import Case, CaseImage
from candor.study.policy import DEFAULT_POLICY, Action, Policy
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason
from operators.graph.sdk import Application
from operators.read.quality_check import QualityCheck


class Seer(OrientationCheck):
    """Sees in every picture what it was told to."""

    def __init__(self, look: Look) -> None:
        self.limits = Limits(0.5, 0.5, 0.5, 0.5, 0.5)
        self.seen = look

    def look(self, image: Radiograph) -> Look:
        return self.seen


GOOD = Look(inverted=0.1, turned=(0.9, 0.1, 0.0, 0.0), mirrored=0.1, lateral=0.1, no_chest=0.1)
INVERTED = Look(inverted=0.9, turned=(0.9, 0.1, 0.0, 0.0), mirrored=0.1, lateral=0.1, no_chest=0.1)


@pytest.fixture(scope="module")
def fragment() -> Application:
    return Application()


def image(age: str = "050Y", pixels: np.ndarray | None = None) -> CaseImage:
    header = Dataset()
    header.PatientAge = age
    shown = np.add.outer(*np.linspace([0.1, 0.1], 0.45, 64).T) if pixels is None else pixels
    return CaseImage("a.dcm", Path("a.dcm"), header, radiograph=Radiograph(shown.astype(np.float32)))


def gated(fragment: Application, of: CaseImage, look: Look = GOOD, policy: Policy = DEFAULT_POLICY) -> CaseImage:
    gate = QualityCheck(fragment, name="quality", orientation=Seer(look), policy=policy)
    gate.work(Case("1.2", [of], Path("out"), datetime(2026, 1, 1, tzinfo=UTC)))
    return of


def test_a_good_picture_of_an_adult_goes_on_as_it_was(fragment: Application) -> None:
    gone = gated(fragment, image())
    assert (gone.refusal, gone.deferrals, gone.notices) == (None, [], [])


def test_a_child_is_deferred_and_its_age_is_told_to_nobody(fragment: Application) -> None:
    gone = gated(fragment, image("007Y"))
    assert gone.assessed
    (note,) = gone.deferrals
    assert note.reason is Reason.PAEDIATRIC
    assert "7" not in note.text


def test_an_unknown_age_is_noticed(fragment: Application) -> None:
    gone = gated(fragment, image(""))
    assert gone.assessed
    assert not gone.deferrals
    assert [note.reason for note in gone.notices] == [Reason.AGE_UNKNOWN]


@pytest.mark.parametrize("action", list(Action))
def test_the_site_says_what_follows(fragment: Application, action: Action) -> None:
    gone = gated(fragment, image(), INVERTED, {**DEFAULT_POLICY, Reason.INVERTED: action})
    refused = [gone.refusal] if gone.refusal else []
    noted = {Action.REFUSE: refused, Action.DEFER: gone.deferrals, Action.NOTICE: gone.notices}
    assert [note.reason for note in noted.pop(action)] == [Reason.INVERTED]
    assert not any(noted.values())


def test_the_pixels_are_never_put_right(fragment: Application) -> None:
    of = image()
    assert of.radiograph is not None
    before = of.radiograph.pixels.copy()
    gated(fragment, of, INVERTED)
    assert np.array_equal(of.radiograph.pixels, before)


def test_a_picture_with_nothing_on_it_is_refused_whatever_is_set(fragment: Application) -> None:
    gone = gated(fragment, image(pixels=np.full((64, 64), 0.5)), policy=dict.fromkeys(DEFAULT_POLICY, Action.NOTICE))
    assert gone.refusal is not None
    assert gone.refusal.reason is Reason.CONSTANT_PIXELS
