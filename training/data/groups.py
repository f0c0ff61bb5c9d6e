"""The groups by which patients are compared: sex, age, view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from training.data.dataset import LabelledImage

AGES: Final = MappingProxyType(
    {"under 18": (0.0, 18.0), "18 to 39": (18.0, 40.0), "40 to 59": (40.0, 60.0), "60 and over": (60.0, np.inf)}
)
"""Age groups in years; the lower end is included."""

Attribute = Callable[[LabelledImage], str]
"""Returns the name of a picture's group; empty if unknown."""


def age_group(image: LabelledImage) -> str:
    """Return the age group of the patient when the picture was taken; empty if the age is unknown."""
    if image.age is None:
        return ""
    return next(name for name, (low, high) in AGES.items() if low <= image.age < high)


ATTRIBUTES: Final[Mapping[str, Attribute]] = MappingProxyType(
    {"sex": lambda image: image.sex, "age": age_group, "view": lambda image: image.view}
)
