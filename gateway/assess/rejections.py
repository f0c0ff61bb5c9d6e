"""The images that rejection notes name: they are part of no study any more (IHE IOCM).

A note may come before its image, so what it names is kept in the table ``rejections``, and is looked up for each image
that comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import sqlalchemy as sa

from candor.dicom.write.rejection_note import Rejection
from gateway.store.database import upsert
from gateway.store.schema import instances, rejections
from gateway.store.states import InstanceState

REASONS: Final[Mapping[str, Rejection]] = MappingProxyType({each.value.value: each for each in Rejection})
"""The reason by the Code Value of a note's title (PS3.16 CID 7010, scheme DCM)."""

_USED: Final = (InstanceState.KEPT.value, InstanceState.QUARANTINED.value, InstanceState.DAMAGED.value)


@dataclass(frozen=True, slots=True)
class Named:
    """An image that a rejection note names.

    Parameters
    ----------
    code
        Code Value of the note's title: one of :data:`REASONS`.
    """

    study_instance_uid: str
    sop_instance_uid: str
    code: str


def note_rejections(connection: sa.Connection, named: Sequence[Named], now: float) -> None:
    """Write down which images are rejected, and take those that are here out of their studies.

    Parameters
    ----------
    connection
        In a transaction.
    named
        What a note names.
    now
        Seconds since 1970.
    """
    for each in named:
        row = {"study_instance_uid": each.study_instance_uid, "sop_instance_uid": each.sop_instance_uid}
        values = {**row, "code": each.code, "received": now, "done": None}
        # Once more is harmless: the first reason stays.
        connection.execute(upsert(connection.engine, rejections, values))
    if named:
        set_aside_rejected(connection)


def set_aside_rejected(connection: sa.Connection) -> int:
    """Mark the images that a note names; returns how many were not marked yet.

    Parameters
    ----------
    connection
        In a transaction.
    """
    is_named = sa.exists().where(
        rejections.c.study_instance_uid == instances.c.study_instance_uid,
        rejections.c.sop_instance_uid == instances.c.sop_instance_uid,
        rejections.c.done.is_(None),
    )
    change = instances.update().where(instances.c.state.in_(_USED), is_named)
    return connection.execute(change.values(state=InstanceState.REJECTED.value)).rowcount


def is_rejected(connection: sa.Connection, study_instance_uid: str, sop_instance_uid: str) -> bool:
    """Return whether a note names an image.

    Parameters
    ----------
    connection
        To the node's database.
    study_instance_uid
        Study Instance UID (0020,000D).
    sop_instance_uid
        SOP Instance UID (0008,0018).
    """
    row = sa.and_(
        rejections.c.study_instance_uid == study_instance_uid, rejections.c.sop_instance_uid == sop_instance_uid
    )
    return connection.execute(sa.select(rejections.c.code).where(row)).first() is not None
