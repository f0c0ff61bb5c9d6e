"""Alarms: what needs a person. Each is a row, a metric, a banner on the page, and a call of the site's webhook."""

from __future__ import annotations

from enum import Enum, unique
from typing import Final

import sqlalchemy as sa

from gateway.logs import log_event
from gateway.store.database import writing
from gateway.store.schema import alarms

_SUBJECT: Final = 64


@unique
class AlarmKind(Enum):
    """What an alarm is about; the value is the metric's label."""

    NO_RESULT = "no_result"  # a study is past its deadline
    STUDY_FAILED = "study_failed"  # parked after its tries
    QUARANTINE = "quarantine"  # other pixels under a known SOP Instance UID
    INCOMPLETE = "incomplete"  # a result object failed the check
    RECALL = "recall"  # a rejection note failed the check: nothing was recalled
    DISK = "disk"  # the receiver refuses, for want of disk
    DESTINATION = "destination"  # the circuit breaker of a destination is open
    DEAD_LETTER = "dead_letter"  # an object was refused for good
    DRIFT = "drift"  # the share of deferrals left its baseline
    DAMAGED = "damaged"  # a stored image is missing or is not what was received
    DAMAGED_RESULT = "damaged_result"  # a result object is missing or is not what was written
    FOREIGN_FIT = "foreign_fit"  # the bundle was fitted to other patients, and nobody has permitted it: back in shadow
    FOREIGN_RESULT = "foreign_result"  # an object says that it is a result of ours, and is none
    PROCESS = "process"  # a process of the node keeps dying, or hangs
    STANDSTILL = "standstill"  # images are acknowledged, and nothing moves


def raise_alarm(
    database: sa.Engine, kind: AlarmKind, subject: str, text: str, now: float, told: float | None = None
) -> None:
    """Open an alarm in a transaction of its own; see :func:`open_alarm`.

    Parameters
    ----------
    database
        The node's database.
    kind, subject, text, now, told
        See :func:`open_alarm`.
    """
    with writing(database) as connection:
        open_alarm(connection, kind, subject, text, now, told)


def open_alarm(
    connection: sa.Connection, kind: AlarmKind, subject: str, text: str, now: float, told: float | None = None
) -> None:
    """Open an alarm; one that is open for the same subject stays as it is.

    Parameters
    ----------
    connection
        In a transaction.
    kind
        What it is about.
    subject
        A study's token, or the name of a destination or a process; "" for the node.
    text
        For a person; without a patient's data.
    now
        Seconds since 1970.
    told
        When the webhook has taken it; None while it has not.
    """
    if connection.execute(_open(kind, subject).limit(1)).first() is None:
        values = {"kind": kind.value, "subject": subject[:_SUBJECT], "text": text, "raised": now, "told": told}
        connection.execute(alarms.insert().values(values))
        log_event("alarm", "error", kind=kind.value, reason=text)


def clear_alarm(database: sa.Engine, kind: AlarmKind, subject: str, now: float) -> None:
    """Close an alarm in a transaction of its own; see :func:`close_alarm`.

    Parameters
    ----------
    database
        The node's database.
    kind, subject, now
        See :func:`close_alarm`.
    """
    with writing(database) as connection:
        close_alarm(connection, kind, subject, now)


def close_alarm(connection: sa.Connection, kind: AlarmKind, subject: str, now: float) -> None:
    """Close the alarm for a subject, where one is open.

    Parameters
    ----------
    connection
        In a transaction.
    kind, subject
        Of the alarm.
    now
        Seconds since 1970.
    """
    open_rows = sa.and_(alarms.c.kind == kind.value, alarms.c.subject == subject, alarms.c.cleared.is_(None))
    connection.execute(alarms.update().where(open_rows).values(cleared=now))


def _open(kind: AlarmKind, subject: str) -> sa.Select[tuple[int]]:
    return sa.select(alarms.c.id).where(
        alarms.c.kind == kind.value, alarms.c.subject == subject, alarms.c.cleared.is_(None)
    )
