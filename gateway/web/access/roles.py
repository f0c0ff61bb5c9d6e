"""What a user of the page may do."""

from __future__ import annotations

from enum import Enum, unique


@unique
class Role(Enum):
    """What a user may do."""

    VIEWER = "viewer"  # sees
    OPERATOR = "operator"  # sees, replays, clears alarms, goes live, reads the audit trail
