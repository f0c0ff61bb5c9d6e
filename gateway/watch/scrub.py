"""The scrubber: reads the spool slowly at night and compares every file with its hash.

A damaged image is set aside (:mod:`gateway.store.integrity`) while the modality may still have a good one. A damaged
result object stays where it is, since the deliverer refuses it anyway, and raises an alarm. Where the scrubber got to
is in the database, so that a restart goes on from there. It begins anew when it has seen everything, once a night.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from gateway.logs import log_event
from gateway.settings import Keep
from gateway.store.alarms import AlarmKind, open_alarm
from gateway.store.counters import count
from gateway.store.database import upsert, writing
from gateway.store.integrity import CHECKED, set_aside_damaged
from gateway.store.schema import instances, node_state, objects, studies
from gateway.store.spool import Spool
from gateway.store.study import same_version

EVERY_S: Final = 10.0
"""Seconds between two steps."""

_KEY: Final = "scrub"
_MIB: Final = 1 << 20
_AT_ONCE: Final = 500
_RESULT_DAMAGED: Final = (
    "a result object is missing from the disk or is not what was written; it is not sent. Check the disk"
)


@dataclass(frozen=True, slots=True)
class _Progress:
    """What was compared so far: instances up to an id, objects up to a UID; and the last night that saw everything."""

    instance: int = 0
    object: str = ""
    done: str = ""


def scrub(database: sa.Engine, keep: Keep, spool: Spool, now: float) -> int:
    """Compare the next files with their hashes, where it is time for it.

    Parameters
    ----------
    database
        The node's database.
    keep
        For the hours and the rate.
    spool
        Where the files are.
    now
        Seconds since 1970; the hours are those of the machine's time zone.

    Returns
    -------
    How many files were compared.

    Raises
    ------
    OSError
        The spool is not there.
    """
    night = _night(now, keep)
    progress = _progress(database)
    if night is None or progress.done == night:
        return 0
    budget = keep.scrub_mib_per_s * EVERY_S * _MIB
    compared, at_end = 0, False
    while budget > 0 and compared < _AT_ONCE:
        if instance := _instance_after(database, progress.instance):
            progress = replace(progress, instance=instance.id)
            if not spool.is_sound(instance.file, instance.sha256):
                set_aside_damaged(database, spool, instance.id, now)
            budget -= instance.bytes
        elif made := _object_after(database, progress.object):
            progress = replace(progress, object=made.sop_instance_uid)
            budget -= _compare_object(database, spool, made, now)
        else:
            at_end = True
            break
        compared += 1
    progress = _Progress(done=night) if at_end else progress
    with writing(database) as connection:
        connection.execute(upsert(database, node_state, {"key": _KEY, "value": json.dumps(asdict(progress))}, "value"))
        if compared:
            count(connection, "files_compared_total", compared)
        if at_end:
            count(connection, "scrubs_total")
    return compared


def _night(now: float, keep: Keep) -> str | None:
    """Name the night by the day on which it begins; None in the hours in which nothing is compared."""
    hours = (datetime.fromtimestamp(now).hour - keep.scrub_from_hour) % 24
    if hours >= keep.scrub_hours:
        return None
    return datetime.fromtimestamp(now - hours * 3600.0).date().isoformat()


def _progress(database: sa.Engine) -> _Progress:
    with database.connect() as connection:
        found = connection.execute(sa.select(node_state.c.value).where(node_state.c.key == _KEY)).scalar()
    return _Progress(**json.loads(found)) if found else _Progress()


def _instance_after(database: sa.Engine, instance: int) -> Any:
    kept = sa.exists().where(studies.c.study_instance_uid == instances.c.study_instance_uid, studies.c.purged.is_(None))
    query = (
        sa.select(instances.c.id, instances.c.file, instances.c.sha256, instances.c.bytes)
        .where(instances.c.id > instance, instances.c.state.in_(CHECKED), kept)
        .order_by(instances.c.id)
        .limit(1)
    )
    with database.connect() as connection:
        return connection.execute(query).one_or_none()


def _object_after(database: sa.Engine, uid: str) -> Any:
    query = (
        sa.select(objects.c.sop_instance_uid, objects.c.file, objects.c.sha256, studies.c.token)
        .join(studies, same_version(objects))
        .where(objects.c.sop_instance_uid > uid, studies.c.purged.is_(None))
        .order_by(objects.c.sop_instance_uid)
        .limit(1)
    )
    with database.connect() as connection:
        return connection.execute(query).one_or_none()


def _compare_object(database: sa.Engine, spool: Spool, row: Any, now: float) -> int:
    """Compare a result object with its hash; returns its length in bytes, at least 1."""
    if spool.is_sound(row.file, row.sha256):
        return max(1, spool.path(row.file).stat().st_size)
    with writing(database) as connection:
        same = sa.and_(objects.c.sop_instance_uid == row.sop_instance_uid, objects.c.file == row.file)
        kept = sa.select(objects.c.file).join(studies, same_version(objects)).where(same, studies.c.purged.is_(None))
        if connection.execute(kept).first() is not None:  # else it was made again, or deleted, since
            open_alarm(connection, AlarmKind.DAMAGED_RESULT, row.token, _RESULT_DAMAGED, now)
            count(connection, "files_damaged_total", kind="object")
            log_event("damaged result object", "error", study=row.token)
    return 1
