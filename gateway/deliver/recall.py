"""Recall: reject the results of a model, or of a study, at every archive that may have them.

An archive that knows IHE's Imaging Object Change Management hides what a rejection note names. What was not sent yet is
never sent. All of a version's recall is one transaction, so it is done or not; the note goes out like any result.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from candor.dicom.check.write_checked import write_checked
from candor.dicom.read.file import read_header
from candor.dicom.shared.file import describe
from candor.dicom.write.rejection_note import Rejection, build_rejection_note, rejection_note_uid
from candor.study.errors import ObjectIncomplete, Refused
from candor.study.result_object import NOTE, ResultObject
from gateway.assess.outcome import record_objects
from gateway.assess.unassessed import NO_MODEL
from gateway.deliver.deliverer import Queue
from gateway.logs import log_event
from gateway.store.alarms import AlarmKind, clear_alarm, raise_alarm
from gateway.store.counters import count
from gateway.store.database import upsert, writing
from gateway.store.mode import note_act
from gateway.store.result_objects import from_row, in_spool
from gateway.store.schema import deliveries, objects, studies
from gateway.store.spool import Spool
from gateway.store.states import DeliveryState
from gateway.store.study import Study

_EXPLANATION: Final = "These results of Candor are withdrawn by the site that made them."


@dataclass(frozen=True, slots=True)
class Answered:
    """A version of a study that got results.

    Parameters
    ----------
    results
        What the application made for it, of all kinds.
    unsent
        How many deliveries of them have never been tried.
    destinations
        Who may have any of them: whoever was sent one, even without an answer.
    is_recalled
        Nothing is left to recall.
    """

    study: Study
    token: str
    disposition: str | None
    bundle_sha256: str | None
    is_purged: bool
    results: tuple[ResultObject, ...]
    unsent: int
    destinations: tuple[str, ...]
    is_recalled: bool


def answered_with(database: sa.Engine, bundle: str) -> list[Answered]:
    """List what a model answered, the oldest first.

    Parameters
    ----------
    database
        The node's database.
    bundle
        SHA-256 of the model bundle in hexadecimal, or how it begins.
    """
    return _answered(database, studies.c.bundle_sha256.startswith(bundle.lower(), autoescape=True))


def answers_to(database: sa.Engine, study_instance_uid: str) -> list[Answered]:
    """List the versions of a study that got results.

    Parameters
    ----------
    database
        The node's database.
    study_instance_uid
        Study Instance UID (0020,000D).
    """
    return _answered(database, studies.c.study_instance_uid == study_instance_uid)


def recall(
    database: sa.Engine,
    spool: Spool,
    jobs: Queue,
    answered: Answered,
    rejection: Rejection,
    who: str,
    now: float,
    despite_shadow: bool = False,
) -> bool:
    """Recall the results of one version.

    Parameters
    ----------
    database
        The node's database.
    spool
        Where the note is written.
    jobs
        Takes the note's deliveries.
    answered
        The version.
    rejection
        Why the results are recalled.
    who
        The operator.
    now
        Seconds since 1970.
    despite_shadow
        Whether the note goes out in shadow mode too, in which all results stay here.

    Returns
    -------
    False where an archive has results and no note can be made: the node has deleted all files that know the patient.

    Raises
    ------
    ObjectIncomplete
        The note failed the check. It is in the study's quarantine, there is an alarm, and nothing is recalled.
    """
    note: tuple[ResultObject, ...] = ()
    if answered.destinations:
        source = _source(spool, answered)
        if source is None:
            return False
        try:
            note = (_note(database, spool, answered, source, rejection, now),)
        except ObjectIncomplete as error:
            _refuse(database, answered, error, now)
            raise
    with writing(database) as connection:
        record_objects(connection, answered.study, note, now)
        _withdraw(connection, answered)
        for destination in answered.destinations:
            _plan(connection, jobs, answered, note[0], destination, now, despite_shadow)
        names = ", ".join(answered.destinations)
        note_act(connection, who, "recall", answered.token, now, f"{rejection.value.meaning}: {names}")
    clear_alarm(database, AlarmKind.RECALL, answered.token, now)
    log_event("results recalled", "warning", study=answered.token, version=answered.study.version, user=who)
    return True


def _refuse(database: sa.Engine, answered: Answered, error: ObjectIncomplete, now: float) -> None:
    """Count a note that failed the check, and raise an alarm."""
    with writing(database) as connection:
        count(connection, "objects_incomplete_total", kind=error.kind)
    text = (
        f"version {answered.study.version} was not recalled: {error}; reject its results in the archive, "
        "send the list beside the note to the makers of Candor, upgrade, then recall again"
    )
    raise_alarm(database, AlarmKind.RECALL, answered.token, text, now)


def _answered(database: sa.Engine, which: sa.ColumnElement[bool]) -> list[Answered]:
    query = sa.select(studies).where(which).order_by(studies.c.first_image, studies.c.version)
    with database.connect() as connection:
        found = [_describe(connection, row) for row in connection.execute(query).all()]
    return [answered for answered in found if answered.results]


def _describe(connection: sa.Connection, row: Any) -> Answered:
    of_version = sa.and_(Study.of(row).within(objects), objects.c.kind != NOTE)
    results = connection.execute(sa.select(objects).where(of_version).order_by(objects.c.sop_instance_uid)).all()
    sent = connection.execute(
        sa.select(deliveries)
        .join(objects, objects.c.sop_instance_uid == deliveries.c.sop_instance_uid)
        .where(of_version)
        .order_by(deliveries.c.destination)
    ).all()
    left = [each for each in sent if each.state != DeliveryState.RECALLED.value]
    return Answered(
        study=Study.of(row),
        token=row.token,
        disposition=row.disposition,
        bundle_sha256=row.bundle_sha256,
        is_purged=row.purged is not None,
        results=tuple(map(from_row, results)),
        unsent=sum(not each.tries for each in left),
        destinations=tuple(dict.fromkeys(each.destination for each in sent if each.tries)),
        is_recalled=bool(sent) and not left,
    )


def _source(spool: Spool, answered: Answered) -> Path | None:
    """Find a result that is still there; all carry the patient and the study."""
    return next((path for result in answered.results if _is_readable(path := spool.path(result.file))), None)


def _is_readable(path: Path) -> bool:
    try:
        read_header(path)
    except Refused:
        return False
    return True


def _note(
    database: sa.Engine, spool: Spool, answered: Answered, source: Path, rejection: Rejection, now: float
) -> ResultObject:
    """Write the note, unless it has been made before: its UID stands for one content only."""
    uid = rejection_note_uid(answered.results, rejection)
    with database.connect() as connection:
        row = connection.execute(sa.select(objects).where(objects.c.sop_instance_uid == uid)).one_or_none()
    if row is not None:
        return from_row(row)
    folder = spool.results(answered.token, answered.study.version) / "recall"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = f"{sha256(uid.encode()).hexdigest()[:16]}.dcm"
    time = datetime.fromtimestamp(now, UTC)
    note = build_rejection_note(read_header(source), answered.results, rejection, _EXPLANATION, NO_MODEL, time)
    write_checked(note, folder / name, NOTE, spool.quarantine(answered.token, answered.study.version))
    return in_spool(describe(note, NOTE, name), folder, spool.root)


def _withdraw(connection: sa.Connection, answered: Answered) -> None:
    """Let nothing of the version be sent any more."""
    here = deliveries.c.sop_instance_uid.in_([item.sop_instance_uid for item in answered.results])
    connection.execute(deliveries.update().where(here).values(state=DeliveryState.RECALLED.value))


def _plan(
    connection: sa.Connection,
    jobs: Queue,
    answered: Answered,
    note: ResultObject,
    destination: str,
    now: float,
    despite_shadow: bool,
) -> None:
    """Send the note wherever a result may be, whatever kinds that destination takes otherwise."""
    values = {
        "sop_instance_uid": note.sop_instance_uid,
        "destination": destination,
        "state": DeliveryState.DUE.value,
        "tries": 0,
        "due": now,
        "reason": "",
        "despite_shadow": int(despite_shadow),
    }
    if connection.execute(upsert(connection.engine, deliveries, values)).rowcount:
        jobs.enqueue_delivery(connection, answered.study, destination, occasion=f"recall-{int(now)}")


def line_of(answered: Answered) -> str:
    """Return what is to be recalled of one version in one line, for a person at a terminal."""
    state = "recalled already" if answered.is_recalled else f"{answered.unsent} deliveries not tried yet"
    held_by = f"may be at {', '.join(answered.destinations)}" if answered.destinations else "sent nowhere"
    return (
        f"{answered.study.study_instance_uid} version {answered.study.version}: "
        f"{answered.disposition or 'no disposition'}, "
        f"model {(answered.bundle_sha256 or 'none')[:16]}, {len(answered.results)} objects, {held_by}, {state}"
        + (", files deleted" if answered.is_purged else "")
    )
