"""The states that a person meets: of a study, of one object on its way to one destination, of the node."""

from __future__ import annotations

from enum import Enum, unique
from typing import Final


@unique
class StudyState(Enum):
    """Where a version of a study is on its way."""

    RECEIVING = "receiving"  # images arrive; the quiet period is not over
    WAITING = "waiting"  # queued for the application
    RUNNING = "running"  # the application works on it
    DELIVERING = "delivering"  # results are on their way to the destinations
    DELIVERED = "delivered"  # every destination has every object that it takes
    STORED = "stored"  # results are kept and delivered nowhere: shadow mode, or no destination wants them
    NOT_ASSESSED = "not assessed"  # delivered or stored, and the report says why nothing was assessed
    FAILED = "failed"  # parked after its tries, with the reason; replay starts it again

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done without anybody's help."""
        return self in (StudyState.RECEIVING, StudyState.WAITING, StudyState.RUNNING, StudyState.DELIVERING)


@unique
class InstanceState(Enum):
    """What a received instance is to its study."""

    KEPT = "kept"  # part of the study
    DUPLICATE = "duplicate"  # other bytes, but the same pixels and identity as a kept one
    SUPERSEDED = "superseded"  # its identity was corrected by a later one
    QUARANTINED = "quarantined"  # other pixels under a known SOP Instance UID: nobody knows which is right
    DAMAGED = "damaged"  # its file is missing or not what was received; the same bytes again make it KEPT
    OWN_RESULT = "own result"  # made by this node; it is never assessed again
    FOREIGN_RESULT = "foreign result"  # says that it is a result of Candor, but this node did not make it
    OTHER = "other"  # no radiograph, kept for reference; no study is made of it
    REJECTION_NOTE = "rejection note"  # says that images are rejected
    REJECTED = "rejected"  # an image that a rejection note names; it is not assessed any more


OF_NO_STUDY: Final = tuple(
    state.value
    for state in (
        InstanceState.OWN_RESULT,
        InstanceState.FOREIGN_RESULT,
        InstanceState.OTHER,
        InstanceState.REJECTION_NOTE,
        InstanceState.REJECTED,
    )
)
"""Values of the states of what no study is made of; retention deletes it by its own age."""


@unique
class DeliveryState(Enum):
    """What became of one object at one destination."""

    DUE = "due"  # to be sent, now or at its time
    SENT = "sent"  # the destination answered success or a warning
    COMMITTED = "committed"  # the destination took the responsibility (storage commitment)
    DEAD = "dead"  # refused for good, or given up; resend makes it due again
    RECALLED = "recalled"  # rejected by us; it is never sent again, whatever became of it before


@unique
class Mode(Enum):
    """Whether results leave the node."""

    SHADOW = "shadow"  # results are stored and shown, nothing is delivered
    LIVE = "live"


@unique
class Priority(Enum):
    """The order of waiting studies; the value is DBOS's priority, lower first."""

    URGENT = 1
    ROUTINE = 10
    BACKFILL = 100
