"""Files of the spool that are not what was written: found, set aside, and said.

A disk may change a byte without an error. An instance is therefore compared with its hash before it is assessed, and by
the scrubber at night (:mod:`gateway.watch.scrub`). A damaged one is moved out of the way and its study gets an alarm.
The study is not assessed without it: the report that it gets says so. The same bytes, sent again, put it right
(:func:`gateway.store.study.revive`).
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from gateway.logs import log_event
from gateway.store.alarms import AlarmKind, open_alarm
from gateway.store.counters import count
from gateway.store.database import lock_study, writing
from gateway.store.schema import instances, studies
from gateway.store.spool import Spool
from gateway.store.states import InstanceState

CHECKED: Final = (InstanceState.KEPT.value, InstanceState.QUARANTINED.value)
"""What is part of a study that may be assessed."""

DAMAGED: Final = (
    "an image is missing from the disk or is not what was received; what is left of it lies in the folder damaged of "
    "the spool. Send the study's images again, and check the disk"
)


def set_aside_damaged(database: sa.Engine, spool: Spool, instance: int, now: float) -> bool:
    """Set an instance aside if its file is damaged, with an alarm.

    It is looked at again while nobody can receive it: a good copy may have come since the caller looked.

    Parameters
    ----------
    database
        The node's database.
    spool
        Where the file is.
    instance
        The id of its row.
    now
        Seconds since 1970.

    Returns
    -------
    Whether it was set aside.

    Raises
    ------
    OSError
        The spool cannot be read, or the file not be moved.
    """
    with database.connect() as connection:
        study = connection.execute(sa.select(instances.c.study_instance_uid).where(instances.c.id == instance)).scalar()
    if study is None:
        return False
    here = sa.and_(instances.c.id == instance, instances.c.state.in_(CHECKED))
    with writing(database) as connection:
        lock_study(connection, study, alone=True)
        row = connection.execute(sa.select(instances).where(here)).one_or_none()
        kept = sa.select(studies.c.token).where(studies.c.study_instance_uid == study, studies.c.purged.is_(None))
        token = connection.execute(kept.limit(1)).scalar()
        if row is None or token is None or spool.is_sound(row.file, row.sha256):
            return False
        spool.set_aside(row.file)
        connection.execute(instances.update().where(here).values(state=InstanceState.DAMAGED.value))
        count(connection, "files_damaged_total", kind="instance")
        open_alarm(connection, AlarmKind.DAMAGED, token, DAMAGED, now)
    log_event("damaged file set aside", "error", study=token)
    return True
