"""The journal: a row for every instance that was acknowledged, written before the sender hears "success".

The file comes first and the row second. Whoever is killed between the two leaves a file without a row, which was not
acknowledged; the next start gives it its row all the same, since the image is here and may be the only one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import sqlalchemy as sa
from pydicom.uid import SecondaryCaptureImageStorage

from candor.files.privacy import name_of
from gateway.assess.rejections import Named, is_rejected, note_rejections
from gateway.dimse.contexts import RESULTS, STUDY_IMAGES, class_name
from gateway.dimse.header import Head, read_head
from gateway.dimse.status import NotTaken
from gateway.logs import log_event
from gateway.receive.callers import Callers
from gateway.receive.rejection_note import rejected_by
from gateway.settings import Settings
from gateway.store.alarms import AlarmKind, open_alarm
from gateway.store.counters import count
from gateway.store.database import lock_study, once, writing
from gateway.store.schema import instances, objects
from gateway.store.spool import Spool, Stored
from gateway.store.states import OF_NO_STUDY, InstanceState, Priority
from gateway.store.study import priority_by_age, revive, touch
from gateway.store.tokens import Tokens

_SAME_BYTES: Final = (instances.c.sop_instance_uid, instances.c.sha256)

_RESULT_CLASSES: Final = RESULTS | {SecondaryCaptureImageStorage}
"""The SOP classes of the results that Candor makes."""

_FOREIGN: Final = (
    "an object says that it is a result of Candor, and this node did not make it. It is kept, and Candor does not "
    "assess it. If it is a patient's image, read it without Candor and tell the makers of Candor; if it is a result of "
    "another node, stop the archive from sending results to this one"
)


@dataclass(frozen=True, slots=True)
class Received:
    """An instance whose file is durable.

    Parameters
    ----------
    at
        Seconds since 1970.
    asked
        The priority that the caller's rule, the C-STORE or the request asks for.
    calling_ae_title, called_ae_title, peer
        "" where nobody knows any more: the file was found without a row.
    named
        The images that it rejects, where it is a rejection note.
    """

    stored: Stored
    head: Head
    at: float
    asked: Priority
    calling_ae_title: str = ""
    called_ae_title: str = ""
    peer: str = ""
    named: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True)
class Journal:
    """Writes rows of instances, and lets their studies know.

    Parameters
    ----------
    tokens
        Make the studies' tokens.
    settings
        All of the node's.
    """

    tokens: Tokens
    settings: Settings

    def record(self, connection: sa.Connection, received: Received) -> bool:
        """Write the row of an instance, and make the instance part of its study.

        Parameters
        ----------
        connection
            In a transaction (:func:`gateway.store.database.writing`); nothing holds until the caller has committed it.
            Until then retention deletes no file of the study.
        received
            The instance.

        Returns
        -------
        Whether it is new. The same bytes again change nothing; they fill in who sent them where that was lost, and
        begin a new version where retention has deleted the earlier ones, or where the file was damaged.
        """
        head = received.head
        lock_study(connection, head.study_instance_uid)
        state = _state_of(connection, received)
        if head.ours and state is not InstanceState.OWN_RESULT:
            subject = self.tokens.token(head.study_instance_uid) if state is InstanceState.KEPT else ""
            open_alarm(connection, AlarmKind.FOREIGN_RESULT, subject, _FOREIGN, received.at)
        priority = priority_by_age(received.asked, head.study_date, _day(received.at), self.settings.studies)
        insert = once(connection.dialect.name, instances, _SAME_BYTES, instances.c.id)
        row = connection.execute(insert, _values(received, state, priority)).scalar()
        if row is None:
            _fill_in_sender(connection, received)
            count(connection, "instances_again_total")
            _note_again(connection, received)
            if received.stored.repaired:
                count(connection, "files_repaired_total")
            if is_rejected(connection, head.study_instance_uid, head.sop_instance_uid):
                return False
            row = revive(connection, head.sop_instance_uid, received.stored.sha256)
            if row is not None:
                self._join_study(connection, received, priority, row)
            return False
        count(connection, "instances_received_total", state=state.value)
        if state is InstanceState.OTHER:
            count(connection, "objects_ignored_total", sop_class=class_name(head.sop_class_uid))
        if state is InstanceState.REJECTION_NOTE:
            note_rejections(connection, received.named, received.at)
        if state is InstanceState.KEPT:
            self._join_study(connection, received, priority, row)
        return True

    def reconcile(self, database: sa.Engine, spool: Spool) -> int:
        """Give a row to every file of the spool that has none; returns how many.

        A file that cannot be read is left where it is, and said in the log: it was never acknowledged as an image.

        Parameters
        ----------
        database
            The database.
        spool
            Holds the files.
        """
        with database.connect() as connection:
            known = set(connection.execute(sa.select(instances.c.file)).scalars())
        return sum(self._adopt(database, spool, file) for file in spool.instances() if file not in known)

    def _adopt(self, database: sa.Engine, spool: Spool, file: str) -> bool:
        path = spool.path(file)
        try:
            head, details = read_head(path), path.stat()
        except (NotTaken, OSError) as error:
            log_event("file without row is unreadable", "error", kind=name_of(error))
            return False
        asked = Priority.URGENT if head.urgent else Priority.ROUTINE
        stored = Stored(file, path.stem, details.st_size)
        received = Received(stored, head, details.st_mtime, asked, named=rejected_by(path, head))
        with writing(database) as connection:
            new = self.record(connection, received)
        if new:
            log_event("file without row got one", study=self.tokens.token(head.study_instance_uid))
        return new

    def _join_study(self, connection: sa.Connection, received: Received, priority: Priority, row: int) -> None:
        uid = received.head.study_instance_uid
        token = self.tokens.token(uid)
        study = touch(connection, uid, token, priority, received.at, self.settings.studies)
        study.link(connection, row)


def senders(database: sa.Engine, callers: Callers) -> set[str]:
    """Return the addresses from which callers on the list have sent images before.

    Parameters
    ----------
    database
        The database.
    callers
        The list as it is now.
    """
    if not callers.settings.callers:
        return set()
    sent = sa.select(instances.c.calling_ae_title, instances.c.peer).where(instances.c.peer != "").distinct()
    with database.connect() as connection:
        return {str(peer) for title, peer in connection.execute(sent) if callers.lists(str(title), str(peer))}


def _state_of(connection: sa.Connection, received: Received) -> InstanceState:
    """Recognise results, which an archive may send back to us, and what is no radiograph.

    Our own are those that our tables know, whatever the object says of itself. What says so falsely and may be a
    patient's image becomes part of its study.
    """
    head = received.head
    made = sa.select(objects.c.sop_instance_uid).where(objects.c.sop_instance_uid == head.sop_instance_uid)
    if connection.execute(made).first() is not None:
        return InstanceState.OWN_RESULT
    if head.ours and head.sop_class_uid in _RESULT_CLASSES:
        return InstanceState.FOREIGN_RESULT
    if received.named:
        return InstanceState.REJECTION_NOTE
    if head.sop_class_uid not in STUDY_IMAGES:
        return InstanceState.OTHER
    rejected = is_rejected(connection, head.study_instance_uid, head.sop_instance_uid)
    return InstanceState.REJECTED if rejected else InstanceState.KEPT


def _values(received: Received, state: InstanceState, priority: Priority) -> dict[str, Any]:
    return {
        "study_instance_uid": received.head.study_instance_uid,
        "series_instance_uid": received.head.series_instance_uid,
        "sop_class_uid": received.head.sop_class_uid,
        "sop_instance_uid": received.head.sop_instance_uid,
        "sha256": received.stored.sha256,
        "file": received.stored.file,
        "bytes": received.stored.bytes,
        "received": received.at,
        "calling_ae_title": received.calling_ae_title,
        "called_ae_title": received.called_ae_title,
        "peer": received.peer,
        "priority": priority.value,
        "state": state.value,
    }


def _fill_in_sender(connection: sa.Connection, received: Received) -> None:
    """Say who sent an instance, where the row was made from the file alone."""
    names = ("calling_ae_title", "called_ae_title", "peer")
    nameless = sa.and_(instances.c.file == received.stored.file, instances.c.calling_ae_title == "")
    connection.execute(instances.update().where(nameless).values(**{name: getattr(received, name) for name in names}))


def _note_again(connection: sa.Connection, received: Received) -> None:
    """Keep what is part of no study, and came again, for as long as what is new."""
    this = sa.and_(instances.c.file == received.stored.file, instances.c.state.in_(OF_NO_STUDY))
    connection.execute(instances.update().where(this).values(received=received.at))


def _day(seconds: float) -> date:
    return datetime.fromtimestamp(seconds, UTC).date()
