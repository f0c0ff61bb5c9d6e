"""What follows from a check: the image is refused, deferred, or only gets a notice.

The checks before and after the classifier (:mod:`candor.picture`, :mod:`candor.ood.familiarity`,
:mod:`candor.picture.shortcut`) return reasons of kind ``CHECK``. The site sets the action for each in ``app.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique
from types import MappingProxyType
from typing import Final

from candor.study.reasons import Reason, ReasonKind


@unique
class Action(Enum):
    """What follows from a check."""

    REFUSE = "refuse"  # the image is not assessed
    DEFER = "defer"  # every finding of the image is left to a radiologist
    NOTICE = "notice"  # assessed, with a notice


CHECKS: Final = tuple(reason for reason in Reason if reason.kind is ReasonKind.CHECK)
"""The reasons whose action a site sets."""

Policy = Mapping[Reason, Action]
"""An action for each of :data:`CHECKS`."""

DEFAULT_POLICY: Final[Policy] = MappingProxyType(
    {
        Reason.CLIPPED: Action.DEFER,
        Reason.NARROW_RANGE: Action.DEFER,
        Reason.INVERTED: Action.DEFER,
        Reason.ROTATED: Action.DEFER,
        Reason.MIRRORED: Action.NOTICE,  # dextrocardia exists
        Reason.LOOKS_LATERAL: Action.DEFER,
        Reason.PAEDIATRIC: Action.DEFER,
        Reason.AGE_UNKNOWN: Action.NOTICE,
        Reason.MUCH_TEXT: Action.NOTICE,
        Reason.BORDERS: Action.NOTICE,
        Reason.UNLIKE_CHEST: Action.REFUSE,
        Reason.UNLIKE_TRAINING: Action.DEFER,
        Reason.SHORTCUT: Action.DEFER,
    }
)
"""The actions where a site sets none."""
