"""Heartbeats: small files that show when each loop of each process last turned. They need no database.

::

    run/<machine>/<process>.<loop>.<limit>    empty; its time of change is the beat, the limit is in seconds

A process whose process identifier is there may hang all the same. So each loop touches its file at every turn, and
whoever watches measures, by his own monotonic clock, how long ago he last saw the file change: neither a clock that is
set nor the clock of another machine matters. A file with the limit 0 belongs to no loop: it marks that something
happened (an image was acknowledged), which :class:`Standstill` compares with what has to follow.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from candor.files.privacy import cause_of
from gateway.logs import Trouble
from gateway.settings import Settings

RUN: Final = "run"
LIMIT_S: Final = 120.0
"""Most loops turn within seconds; a turn may wait 30 s for the database, and for a second connection."""

_EVERY_S: Final = 1.0
_GONE_S: Final = 3600.0
_BEAT: Final = re.compile(r"([a-z]+)\.([a-z0-9_-]+)\.(\d+)")

_trouble: Final = Trouble("heartbeat cannot be written", "error")


def run_folder(spool: Path) -> Path:
    """Return the folder of this machine's heartbeats, locks and kept alarms; it need not exist."""
    return spool / RUN / re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname()[:64])


class Heartbeat:
    """The heartbeat of one loop, or the mark of something that happens; call it at every turn.

    Parameters
    ----------
    spool
        The setting ``spool``.
    process
        One of :data:`gateway.processes.KINDS`, or ``"serve"``.
    loop
        Its name.
    limit_s
        A turn that takes longer hangs, in whole seconds; 0 for a mark.
    every_s
        The file is touched at most so often.
    """

    def __init__(
        self, spool: Path, process: str, loop: str, limit_s: float = LIMIT_S, every_s: float = _EVERY_S
    ) -> None:
        self._every_s = every_s
        name = f"{process}.{loop.replace(' ', '-')}.{limit_s:.0f}"
        self._path, self._next = run_folder(spool) / name, 0.0
        if limit_s:
            self()

    def __call__(self) -> None:
        """Beat. That it could not is logged: the loop itself goes on."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._every_s
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.touch(0o600)
        except OSError as error:
            _trouble.failed(reason=cause_of(error))
        else:
            _trouble.worked()


def forget(spool: Path, process: str) -> None:
    """Delete the heartbeats of a process of this machine that has ended, or has not begun.

    Parameters
    ----------
    spool
        The setting ``spool``.
    process
        Its name.
    """
    with suppress(OSError):  # what stays is late, and so is seen
        for path in run_folder(spool).glob(f"{process}.*.*"):
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Beat:
    """What is seen of one heartbeat.

    Parameters
    ----------
    machine, process, loop
        Whose it is.
    limit_s
        A turn that takes longer hangs; 0 for a mark.
    changed
        When the watcher last saw it change, by the watcher's clock.
    age_s
        Seconds since then.
    """

    machine: str
    process: str
    loop: str
    limit_s: float
    changed: float
    age_s: float

    @property
    def is_late(self) -> bool:
        """Return whether the loop hangs."""
        return 0 < self.limit_s < self.age_s


class Heartbeats:
    """Watch heartbeats.

    Parameters
    ----------
    spool
        The setting ``spool``.
    clock
        Returns seconds of any origin, which never go back.
    pause_s
        A watcher that looks at least so often and did not has been stopped itself, and all others with it, perhaps:
        nobody is late then, and it measures anew.
    """

    def __init__(self, spool: Path, clock: Callable[[], float] = time.monotonic, pause_s: float = float("inf")) -> None:
        self._folder, self._own = spool / RUN, run_folder(spool).name
        self._clock, self._pause_s = clock, pause_s
        self._seen: dict[Path, tuple[int, float]] = {}
        self._looked = clock()
        self._lock = threading.Lock()

    def look(self) -> list[Beat]:
        """Return the heartbeats of all machines, in the order of their names.

        Raises
        ------
        OSError
            The spool cannot be read.
        """
        with self._lock:
            now = self._clock()
            known = {} if now - self._looked > self._pause_s else self._seen
            self._looked, self._seen = now, {}
            return [beat for path in sorted(self._folder.glob("*/*.*.*")) for beat in self._beat(path, known, now)]

    def own(self) -> list[Beat]:
        """Return the heartbeats of this machine.

        Raises
        ------
        OSError
            The spool cannot be read.
        """
        return [beat for beat in self.look() if beat.machine == self._own]

    def _beat(self, path: Path, known: dict[Path, tuple[int, float]], now: float) -> Iterable[Beat]:
        named = _BEAT.fullmatch(path.name)
        if named is None:
            return
        try:
            time_ns = path.stat().st_mtime_ns
        except FileNotFoundError:  # its process has just ended
            return
        before, changed = known.get(path, (None, now))
        changed = changed if time_ns == before else now
        self._seen[path] = (time_ns, changed)
        process, loop, limit = named.groups()
        yield Beat(path.parent.name, process, loop, float(limit), changed, now - changed)


@dataclass
class Step:
    """A mark, and those of which one has to follow it.

    Parameters
    ----------
    first
        Process and name of the mark.
    then
        Those of which one has to follow.
    limit_s
        One follows within so long.
    text
        For a person, when none does.
    since
        When the watcher first saw that one is due; None while none is.
    """

    first: tuple[str, str]
    then: tuple[tuple[str, str], ...]
    limit_s: float
    text: str
    since: float | None = field(default=None)


ACKNOWLEDGED: Final = ("receive", "acknowledged")
LOOKED: Final = ("upkeep", "looked")
WAITING: Final = ("upkeep", "waiting")
NONE_WAITS: Final = ("upkeep", "none-waits")
WORKED: Final = ("work", "worked")


class Standstill:
    """Find out, without the database, that images are acknowledged and nothing moves.

    Parameters
    ----------
    settings
        The node's; for the time that a study may take.
    """

    def __init__(self, settings: Settings) -> None:
        advice = "look at the processes and at the database"
        work_s = settings.work.study_timeout_s + LIMIT_S
        self._steps = (
            Step(ACKNOWLEDGED, (LOOKED,), LIMIT_S, f"images are acknowledged, and no study is made of them; {advice}"),
            Step(WAITING, (WORKED, NONE_WAITS), work_s, f"studies wait, and none is assessed; {advice}"),
        )

    def look(self, beats: Iterable[Beat], now: float) -> str:
        """Return what stands, for a person; "" where nothing does.

        Parameters
        ----------
        beats
            Of all machines.
        now
            By the watcher's clock.
        """
        changed: dict[tuple[str, str], float] = {}
        for beat in beats:
            if beat.limit_s:  # a loop turns though nothing moves
                continue
            mark = (beat.process, beat.loop)
            changed[mark] = max(beat.changed, changed.get(mark, float("-inf")))
        never = float("-inf")
        for step in self._steps:
            due = changed.get(step.first, never) > max(changed.get(mark, never) for mark in step.then)
            step.since = (now if step.since is None else step.since) if due else None
        late = [step for step in self._steps if step.since is not None and now - step.since > step.limit_s]
        return "; ".join(step.text for step in late)


def machines_gone(spool: Path, now: float) -> list[Path]:
    """Return the folders of other machines that have not beaten for an hour.

    Parameters
    ----------
    spool
        The setting ``spool``.
    now
        Seconds since 1970.
    """
    folders = [folder for folder in (spool / RUN).glob("*") if folder != run_folder(spool)]
    return [folder for folder in folders if _last_beat(folder) < now - _GONE_S]


def _last_beat(folder: Path) -> float:
    return max((path.stat().st_mtime for path in (folder, *folder.glob("*.*.*"))), default=0.0)
