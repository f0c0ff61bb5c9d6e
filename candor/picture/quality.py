"""The checks of one image before the network sees it: what each saw, in a reason and a sentence.

What follows from a reason is the site's choice (:mod:`candor.study.policy`); only a picture with nothing on it is
refused here. Nothing is ever put right in silence: a picture that lies wrongly on the display lies wrongly in the PACS
too, and a person should know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from candor.picture.orientation import Limits, Look, Screen
from candor.picture.pixels import LONGEST, PixelMeasures, measure_pixels, thumbnail
from candor.study.errors import Refused
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason

ADULT: Final = 18
"""Years: the model is for this age and over."""

MOST_CONSTANT: Final = 0.95
MOST_CLIPPED: Final = 0.10
MOST_STROKES: Final = 0.02
MOST_BORDERS: Final = 0.40

_TURNS: Final = ("", "a quarter, counter-clockwise", "a half", "a quarter, clockwise")


@dataclass(frozen=True, slots=True)
class Flag:
    """What one check saw.

    Parameters
    ----------
    reason
        Of kind ``CHECK``.
    detail
        One sentence for a person; it holds no patient's data.
    score
        What was measured, in [0, 1], where something was.
    """

    reason: Reason
    detail: str
    score: float | None = None


def check(image: Radiograph, age: int | None, screen: Screen) -> tuple[Flag, ...]:
    """Run all checks on one image.

    Parameters
    ----------
    image
        Of whatever size.
    age
        The patient's, in completed years; None where it is not known.

    Returns
    -------
    One flag for each check that saw something, in a fixed order.

    Raises
    ------
    Refused
        ``CONSTANT_PIXELS``: next to every pixel has the same grey.
    """
    small = Radiograph(thumbnail(image.pixels, LONGEST))  # one reduction for all that looks
    return check_age(age) + check_pixels(measure_pixels(small)) + check_look(screen.look(small), screen.limits)


def check_age(age: int | None) -> tuple[Flag, ...]:
    """Say whether a patient is, or may be, too young for a model of adults."""
    if age is None:
        return (Flag(Reason.AGE_UNKNOWN, f"the model is for patients of {ADULT} years and over"),)
    if age < ADULT:
        return (Flag(Reason.PAEDIATRIC, f"under {ADULT} years, and the model is for adults"),)
    return ()


def check_pixels(measures: PixelMeasures) -> tuple[Flag, ...]:
    """Say what is wrong with a picture whatever it shows.

    Raises
    ------
    Refused
        ``CONSTANT_PIXELS``.
    """
    if measures.constant > MOST_CONSTANT:
        raise Refused(Reason.CONSTANT_PIXELS, f"{measures.constant:.1%} of the pixels have one grey")
    limits = (
        (Reason.CLIPPED, measures.clipped, MOST_CLIPPED, "of the picture's centre is fully black or fully white"),
        (Reason.MUCH_TEXT, measures.strokes, MOST_STROKES, "of the pixels lie on thin bright strokes"),
        (Reason.BORDERS, measures.borders, MOST_BORDERS, "of the picture is border"),
    )
    return tuple(
        Flag(reason, f"{score:.1%} {what}, and {most:.0%} is the most that is usual", score)
        for reason, score, most, what in limits
        if score > most
    )


def check_look(look: Look, limits: Limits) -> tuple[Flag, ...]:
    """Say how a picture lies on the display, and whether it is a frontal chest at all.

    Polarity and turn are asked only of a frontal chest, and whether it is mirrored only of one that stands upright:
    the screen has learnt them of no other pictures.
    """
    lateral = _flags(Reason.LOOKS_LATERAL, "it seems to be a chest from the side", look.lateral, limits.lateral)
    no_chest = _flags(Reason.UNLIKE_CHEST, "it seems to be no chest", look.no_chest, limits.no_chest)
    if lateral or no_chest:
        return lateral or no_chest
    inverted = _flags(Reason.INVERTED, "the lungs seem bright and the bones dark", look.inverted, limits.inverted)
    turned = _TURNS[max(1, 2, 3, key=look.turned.__getitem__)]
    rotated = _flags(Reason.ROTATED, f"it seems turned by {turned}", look.rotated, limits.rotated)
    mirrored = _flags(Reason.MIRRORED, "the heart seems to lie on the other side", look.mirrored, limits.mirrored)
    return inverted + (rotated or mirrored)


def _flags(reason: Reason, detail: str, score: float, limit: float) -> tuple[Flag, ...]:
    return (Flag(reason, f"{detail} (score {score:.3f}, limit {limit:.3f})", score),) if score >= limit else ()
