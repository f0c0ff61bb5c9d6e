"""Alarms of the supervisor, which needs no database: files in the spool until the database and the webhook have them.

::

    run/<machine>/alarms/<kind>.<subject>.json

The log gets a line and the site's webhook its call at once, whatever the database does. ``/readyz`` and ``/metrics``
read the files. An alarm that goes on, as a standstill does, keeps its file until it is over.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree
from typing import Final

import sqlalchemy as sa

from candor.files.durable import whole_file
from candor.files.privacy import cause_of, name_of
from gateway.logs import Trouble, log_event
from gateway.store.alarms import AlarmKind, clear_alarm, raise_alarm
from gateway.watch.heartbeats import RUN, machines_gone, run_folder
from gateway.watch.webhook import call

_ALARMS: Final = "alarms"
_DISK_S: Final = 5.0
_written: Final = Trouble("kept alarm cannot be written", "warning")


@dataclass
class KeptAlarm:
    """An alarm in a file.

    Parameters
    ----------
    kind
        Value of an :class:`AlarmKind`.
    subject
        A process; "" for the node.
    text
        For a person; without a patient's data.
    raised
        Seconds since 1970.
    goes_on
        What it is about is not over.
    is_told
        The webhook has taken it.
    is_written
        The database has it.
    """

    kind: str
    subject: str
    text: str
    raised: float
    goes_on: bool
    is_told: bool = False
    is_written: bool = False


class KeptAlarms:
    """The alarms that the supervisor of this machine keeps.

    Parameters
    ----------
    spool
        The setting ``spool``.
    """

    def __init__(self, spool: Path) -> None:
        self._folder = run_folder(spool) / _ALARMS
        self._lock = threading.Lock()
        self._kept = {(alarm.kind, alarm.subject): alarm for alarm in _read(self._folder)}
        for alarm in self._kept.values():
            alarm.goes_on = False  # an earlier supervisor saw it; this one looks anew

    def keep(self, kind: AlarmKind, subject: str, text: str, now: float, goes_on: bool = False) -> None:
        """Raise an alarm; one that is kept for the same subject stays as it is. It never fails.

        Parameters
        ----------
        kind
            What it is about.
        subject
            A process; "" for the node.
        text
            For a person; without a patient's data.
        now
            Seconds since 1970.
        goes_on
            It is over only when :meth:`end` says so.
        """
        with self._lock:
            before = self._kept.get((kind.value, subject))
            if before is not None and before.goes_on == goes_on:
                return
            alarm = KeptAlarm(kind.value, subject, text, now, goes_on)
            self._kept[alarm.kind, alarm.subject] = alarm
        log_event("alarm of the supervisor", "error", kind=alarm.kind, reason=text)
        self._save(alarm)

    def end(self, kind: AlarmKind, subject: str) -> None:
        """Note that what an alarm is about is over.

        Parameters
        ----------
        kind
            What it is about.
        subject
            As it was given to :meth:`keep`.
        """
        with self._lock:
            alarm = self._kept.get((kind.value, subject))
        if alarm is not None and alarm.goes_on:
            alarm.goes_on = False
            self._save(alarm)

    def pass_on(self, database: sa.Engine, webhook: str | None, now: float) -> int:
        """Call the webhook for what it has not taken, write what the database has not; return how many are kept still.

        Parameters
        ----------
        database
            The node's database; it may be away.
        webhook
            The setting ``alarms.webhook``; None for none.
        now
            Seconds since 1970.
        """
        with self._lock:
            kept = list(self._kept.values())
        for alarm in kept:
            self._pass_on(alarm, database, webhook, now)
        with self._lock:
            return len(self._kept)

    def _pass_on(self, alarm: KeptAlarm, database: sa.Engine, webhook: str | None, now: float) -> None:
        before = asdict(alarm)
        if webhook is not None and not alarm.is_told:
            values = {name: before[name] for name in ("kind", "subject", "text", "raised")}
            alarm.is_told = call(webhook, values | {"id": None, "cleared": None})
        try:
            if not alarm.is_written:
                write(database, alarm, now)
                alarm.is_written = True
            if not alarm.goes_on:
                if before["goes_on"] or alarm.kind == AlarmKind.STANDSTILL.value:
                    clear_alarm(database, AlarmKind(alarm.kind), alarm.subject, now)
                self._drop(alarm)
                return
        except sa.exc.SQLAlchemyError as error:
            _written.failed(kind=name_of(error))
        else:
            _written.worked()
        if asdict(alarm) != before:
            self._save(alarm)

    def _path(self, alarm: KeptAlarm) -> Path:
        return self._folder / f"{alarm.kind}.{alarm.subject}.json"

    def _save(self, alarm: KeptAlarm) -> None:
        """Write an alarm's file. On a disk that is full or hangs it stays in memory, and the log has its line."""
        _in_time(lambda: self._write(alarm))

    def _write(self, alarm: KeptAlarm) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with whole_file(self._path(alarm)) as file:
                file.write(json.dumps(asdict(alarm)).encode())
        except OSError as error:
            log_event("kept alarm has no file", "error", kind=alarm.kind, reason=cause_of(error))

    def _drop(self, alarm: KeptAlarm) -> None:
        with self._lock:
            self._kept.pop((alarm.kind, alarm.subject), None)
        _in_time(lambda: self._delete(alarm))

    def _delete(self, alarm: KeptAlarm) -> None:
        with suppress(OSError):  # a disk that cannot be written: the next start reads it, and drops it again
            self._path(alarm).unlink(missing_ok=True)


def _in_time(act: Callable[[], None]) -> None:
    """Do something with the spool, but do not wait for one that hangs: alarms are told all the same."""
    thread = threading.Thread(target=act, name="kept alarm", daemon=True)
    thread.start()
    thread.join(_DISK_S)


def write(database: sa.Engine, alarm: KeptAlarm, now: float) -> None:
    """Write an alarm to the database; the webhook is not called a second time for one that it has taken.

    Parameters
    ----------
    database
        The node's database.
    alarm
        The alarm.
    now
        Seconds since 1970.
    """
    told = now if alarm.is_told else None
    raise_alarm(database, AlarmKind(alarm.kind), alarm.subject, alarm.text, alarm.raised, told)


def kept_alarms(spool: Path) -> list[KeptAlarm]:
    """Return the alarms that the supervisors of all machines keep."""
    return [alarm for folder in sorted((spool / RUN).glob(f"*/{_ALARMS}")) for alarm in _read(folder)]


def forget_machines(database: sa.Engine, spool: Path, now: float) -> int:
    """Delete the heartbeats of machines that are gone, and write the alarms that they kept; return how many.

    Parameters
    ----------
    database
        The node's database.
    spool
        The setting ``spool``.
    now
        Seconds since 1970.
    """
    gone = machines_gone(spool, now)
    for folder in gone:
        for alarm in _read(folder / _ALARMS):
            if not alarm.is_written:
                write(database, alarm, now)
        rmtree(folder)
    return len(gone)


def _read(folder: Path) -> list[KeptAlarm]:
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(KeptAlarm(**json.loads(path.read_text())))
        except FileNotFoundError:  # passed on in between
            continue
        except (OSError, TypeError, ValueError) as error:
            log_event("kept alarm cannot be read", "error", kind=name_of(error))
    return found
