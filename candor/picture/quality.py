"""The checks of one image before the classifier runs. Each returns a reason and a sentence.

The site sets what follows from a reason (:mod:`candor.study.policy`); only a picture with nothing on it is refused
here. The checks never correct a picture: one that is shown wrongly here is shown wrongly in the PACS too, and a person
should know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from candor.picture.orientation import Limits, Look, OrientationCheck
from candor.picture.pixels import LONGEST, PixelMeasures, measure_pixels, thumbnail
from candor.study.errors import Refused
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason

ADULT: Final = 18
"""Years: the youngest age that the model is for."""

MOST_CONSTANT: Final = 0.95
MOST_CLIPPED: Final = 0.10
MOST_STROKES: Final = 0.02
LEAST_USED: Final = 0.20  # real pictures have at least 0.25
MOST_BORDERS: Final = 0.40

_TURNS: Final = ("", "a quarter, counter-clockwise", "a half", "a quarter, clockwise")


@dataclass(frozen=True, slots=True)
class Flag:
    """What one check found.

    Parameters
    ----------
    reason
        A reason of kind ``CHECK``.
    detail
        One sentence for a person; it holds no patient's data.
    score
        The measurement, in [0, 1]; None where the check measures nothing.
    """

    reason: Reason
    detail: str
    score: float | None = None


def check(image: Radiograph, age: int | None, orientation: OrientationCheck) -> tuple[Flag, ...]:
    """Run all checks on one image.

    Parameters
    ----------
    image
        The radiograph, of any size.
    age
        The patient's age in completed years; None where it is not known.
    orientation
        The orientation check.

    Returns
    -------
    One flag for each check that found something, in a fixed order.

    Raises
    ------
    Refused
        ``CONSTANT_PIXELS``: almost every pixel has the same grey.
    """
    small = Radiograph(thumbnail(image.pixels, LONGEST))  # one reduction for all that looks
    return (
        check_age(age) + check_pixels(measure_pixels(small)) + check_look(orientation.look(small), orientation.limits)
    )


def check_age(age: int | None) -> tuple[Flag, ...]:
    """Check that the patient is known to be old enough for the model."""
    if age is None:
        return (Flag(Reason.AGE_UNKNOWN, f"the model is for patients of {ADULT} years and over"),)
    if age < ADULT:
        return (Flag(Reason.PAEDIATRIC, f"under {ADULT} years, and the model is for adults"),)
    return ()


def check_pixels(measures: PixelMeasures) -> tuple[Flag, ...]:
    """Check the measurements that do not depend on what the picture shows.

    Parameters
    ----------
    measures
        From :func:`candor.picture.pixels.measure_pixels`.

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
    few = f"{measures.used:.1%} of the greys lie between 1st and 99th percentile, and {LEAST_USED:.0%} is the least"
    narrow = (Flag(Reason.NARROW_RANGE, few, measures.used),) if measures.used < LEAST_USED else ()
    return narrow + tuple(
        Flag(reason, f"{score:.1%} {what}, and {most:.0%} is the most that is usual", score)
        for reason, score, most, what in limits
        if score > most
    )


def check_look(look: Look, limits: Limits) -> tuple[Flag, ...]:
    """Check that a picture is an upright frontal chest with the right polarity.

    Inversion and rotation are only checked for a frontal chest, and mirroring only for an upright one: the network was
    trained on no other pictures.

    Parameters
    ----------
    look
        The answers of the orientation check.
    limits
        The probability from which each answer counts.
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
