"""The groups in which a threshold must hold: view, sex and age band."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

Groups = Mapping[str, str]
"""The groups of one image by attribute; an attribute that is missing is not known."""

VIEW: Final = "view"
SEX: Final = "sex"
AGE: Final = "age"

GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {VIEW: ("AP", "PA"), SEX: ("F", "M"), AGE: ("under 40", "40 to 59", "60 and over")}
)
"""The groups of each attribute."""

_AGE_ENDS: Final = (40, 60)
"""Years at which an age band ends, and the next begins."""

UNKNOWN: Final[Groups] = MappingProxyType({})
"""The groups of an image of which nothing is known."""


def groups_of(view: str, sex: str, age: float | None) -> Groups:
    """Return the groups of an image.

    Parameters
    ----------
    view
        View Position (0018,5101); a view other than AP and PA is not known.
    sex
        Patient's Sex (0010,0040); a value other than F and M is not known.
    age
        Years; None if it is not known.
    """
    stated = {VIEW: view, SEX: sex}
    if age is not None:
        stated[AGE] = GROUPS[AGE][sum(age >= end for end in _AGE_ENDS)]
    return {attribute: name for attribute, name in stated.items() if name in GROUPS[attribute]}
