"""From what was measured to what is said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candor.picture.orientation import Limits, Look, OrientationCheck, load_orientation_check
from candor.picture.pixels import PixelMeasures
from candor.picture.quality import (
    ADULT,
    MOST_BORDERS,
    MOST_CLIPPED,
    MOST_CONSTANT,
    MOST_STROKES,
    Flag,
    check,
    check_age,
    check_look,
    check_pixels,
)
from candor.study.errors import Refused
from candor.study.policy import DEFAULT_POLICY
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason

LIMITS = Limits(inverted=0.9, rotated=0.8, mirrored=0.7, lateral=0.6, no_chest=0.5)
GOOD = PixelMeasures(constant=0.1, clipped=0.0, strokes=0.0, borders=0.0)


def look(
    inverted: float = 0.0,
    turned: int = 0,
    sure: float = 1.0,
    mirrored: float = 0.0,
    lateral: float = 0.0,
    no: float = 0,
) -> Look:
    turns = [(1 - sure) / 3] * 4
    turns[turned] = sure
    return Look(inverted, (turns[0], turns[1], turns[2], turns[3]), mirrored, lateral, no)


def reasons(flags: tuple[Flag, ...]) -> list[Reason]:
    return [flag.reason for flag in flags]


@pytest.fixture(scope="module")
def orientation() -> OrientationCheck:
    return load_orientation_check()


def test_a_child_is_told_from_an_adult_without_saying_how_old() -> None:
    assert reasons(check_age(ADULT - 1)) == [Reason.PAEDIATRIC]
    assert reasons(check_age(0)) == [Reason.PAEDIATRIC]
    assert check_age(ADULT) == ()
    assert check_age(0) == check_age(ADULT - 1)  # whatever the age, the sentence is the same


def test_an_unknown_age_is_said() -> None:
    assert reasons(check_age(None)) == [Reason.AGE_UNKNOWN]


@pytest.mark.parametrize(
    ("name", "most", "reason"),
    [
        ("clipped", MOST_CLIPPED, Reason.CLIPPED),
        ("strokes", MOST_STROKES, Reason.MUCH_TEXT),
        ("borders", MOST_BORDERS, Reason.BORDERS),
    ],
)
def test_pixels_over_a_limit_are_flagged_with_their_score(name: str, most: float, reason: Reason) -> None:
    values = {key: getattr(GOOD, key) for key in PixelMeasures.__slots__}
    assert check_pixels(PixelMeasures(**values | {name: most})) == ()
    over = math.nextafter(most, 1)
    (flag,) = check_pixels(PixelMeasures(**values | {name: over}))
    assert (flag.reason, flag.score) == (reason, over)


def test_a_picture_with_nothing_on_it_is_refused() -> None:
    check_pixels(PixelMeasures(MOST_CONSTANT, 0, 0, 0))
    with pytest.raises(Refused) as refused:
        check_pixels(PixelMeasures(math.nextafter(MOST_CONSTANT, 1), 1, 1, 1))
    assert refused.value.reason is Reason.CONSTANT_PIXELS


def test_an_upright_frontal_chest_passes() -> None:
    assert check_look(look(), LIMITS) == ()


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (look(inverted=0.9), [Reason.INVERTED]),
        (look(inverted=0.89), []),
        (look(turned=1, sure=0.9), [Reason.ROTATED]),
        (look(turned=2, sure=0.9), [Reason.ROTATED]),
        (look(turned=3, sure=0.9), [Reason.ROTATED]),
        (look(turned=0, sure=0.3), []),
        (look(mirrored=0.7), [Reason.MIRRORED]),
        (look(mirrored=0.69), []),
        (look(turned=1, mirrored=1), [Reason.ROTATED]),  # how it is mirrored means nothing then
        (look(inverted=1, turned=1), [Reason.INVERTED, Reason.ROTATED]),
        (look(inverted=1, mirrored=1), [Reason.INVERTED, Reason.MIRRORED]),
        (look(lateral=0.6), [Reason.LOOKS_LATERAL]),
        (look(lateral=0.59, no=0.41), []),
        (look(lateral=0.6, turned=1, mirrored=1), [Reason.LOOKS_LATERAL]),
        (look(no=0.5), [Reason.UNLIKE_CHEST]),
        (look(no=0.5, turned=2), [Reason.UNLIKE_CHEST]),
        (look(inverted=1, lateral=1), [Reason.LOOKS_LATERAL]),  # what polarity means there, nobody has learnt
        (look(inverted=1, no=1), [Reason.UNLIKE_CHEST]),
        (look(lateral=0.6, no=0.5), [Reason.LOOKS_LATERAL]),
    ],
)
def test_what_is_said_of_a_look(seen: Look, expected: list[Reason]) -> None:
    assert reasons(check_look(seen, LIMITS)) == expected


@pytest.mark.parametrize(("turned", "words"), [(1, "counter-clockwise"), (2, "a half"), (3, ", clockwise")])
def test_the_turn_is_said_in_words(turned: int, words: str) -> None:
    (flag,) = check_look(look(turned=turned), LIMITS)
    assert words in flag.detail


def test_every_score_stands_in_its_sentence() -> None:
    (flag,) = check_look(look(inverted=0.98765), LIMITS)
    assert flag.score == 0.98765
    assert "score 0.988, limit 0.900" in flag.detail


def test_every_reason_has_an_action(orientation: OrientationCheck) -> None:
    noise = np.random.default_rng(0).choice([0.0, 1.0], size=(300, 300)).astype(np.float32)
    flags = [
        *check(Radiograph(noise), None, orientation),
        *check_age(3),
        *check_look(look(inverted=1, turned=1), LIMITS),
    ]
    assert len(flags) >= 4
    assert all(flag.reason in DEFAULT_POLICY for flag in flags)


def test_a_picture_without_pixels_is_refused(orientation: OrientationCheck) -> None:
    with pytest.raises(Refused):
        check(Radiograph(np.zeros((0, 0), np.float32)), 50, orientation)


@settings(max_examples=25)
@given(
    st.sampled_from([(1, 1), (1, 2), (2, 1), (5, 3), (1, 40_000), (40_000, 1), (96, 96), (300, 2000)]),
    st.integers(0, 3),
    st.sampled_from([None, 0, 50]),
)
def test_whatever_the_picture_the_checks_answer_or_refuse(
    orientation: OrientationCheck, shape: tuple[int, int], turns: int, age: int | None
) -> None:
    pixels = np.rot90(np.random.default_rng(turns).random(shape, np.float32), turns)  # strides of either sign
    if pixels.size < 2:
        with pytest.raises(Refused):
            check(Radiograph(pixels), age, orientation)
    else:
        assert all(flag.score is None or 0 <= flag.score <= 1 for flag in check(Radiograph(pixels), age, orientation))
