"""Structured logs: one JSON line for each event, without any patient's data.

Only what passes through :func:`log_event` is written, and only facts whose names stand in :data:`FACTS`; none of these
can hold a name or an identifier. What libraries log is dropped, since their messages hold whole data sets at debug
level.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

FACTS: Final[dict[str, str]] = {
    "study": "a study's token (gateway.store.tokens)",
    "version": "of a study",
    "state": "one of gateway.store.states",
    "priority": "one of gateway.store.states.Priority",
    "peer": "address of the other side",
    "ae_title": "of the other side, as our settings name it; of an unknown caller never",
    "sop_class": "name of a SOP class",
    "transfer_syntax": "name of a transfer syntax",
    "status": "DIMSE status in hexadecimal",
    "destination": "name of a destination",
    "kind": "of an object, an alarm or an error",
    "count": "how many",
    "bytes": "how many",
    "seconds": "how long",
    "tries": "how many so far",
    "process": "which of the node's processes",
    "signal": "that ended a process",
    "exit_code": "of a process",
    "user": "of the page",
    "what": "an act of the audit trail",
    "where": "innermost calls of an error: file, line, function",
    "reason": "a sentence of our own without anything from a file or a peer",
}
"""What a log line may hold beside time, level, process and event."""

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_REPEAT_S: Final = 60.0
_log: Final = logging.getLogger("candor.gateway")


class _JsonLines(logging.Formatter):
    """Formats our events, and lines of :mod:`operators`, which hold a type and a place and no message."""

    def __init__(self, process: str, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._process, self._now = process, now

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = getattr(record, "facts", {})
        line = {
            "time": self._now().isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "event": record.getMessage(),
        }
        return json.dumps(line | facts)


def configure_logs(level: str, process: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Write our events to standard error, and silence every other logger.

    Parameters
    ----------
    level
        The setting ``log_level``; it applies to our own events alone.
    process
        Its name in every line: one of :data:`gateway.processes.KINDS`, or ``"serve"``.
    now
        Returns the time of an event.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(logging.NullHandler())
    ours = logging.getLogger("candor")
    ours.handlers.clear()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(process, now))
    ours.addHandler(handler)
    ours.propagate = False
    ours.setLevel(_LEVELS[level])
    logging.lastResort = None  # what has no handler is dropped too


def log_event(event: str, level: str = "info", **facts: object) -> None:
    """Write one event.

    Parameters
    ----------
    event
        What happened, in words that are always the same: ``"instance received"``.
    level
        ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.
    facts
        More about it, by the names in :data:`FACTS`.

    Raises
    ------
    ValueError
        A fact has a name that is not listed there.
    """
    unknown = sorted(facts.keys() - FACTS.keys())
    if unknown:
        raise ValueError(f"a log line has no place for {', '.join(unknown)}")
    _log.log(_LEVELS[level], event, extra={"facts": facts})


class Trouble:
    """Log something that fails again and again: at its first failure, once a minute with the count, and at its end.

    Parameters
    ----------
    event
        What fails, in words that are always the same.
    level
        Of the lines about failures; the one about the end is ``"info"``.
    clock
        Returns seconds of any origin, which never go back.
    facts
        Stand in every line.
    """

    def __init__(
        self, event: str, level: str = "error", clock: Callable[[], float] = time.monotonic, **facts: object
    ) -> None:
        self._event, self._level, self._clock, self._facts = event, level, clock, facts
        self._lock = threading.Lock()
        self._fails_as: dict[str, object] | None = None
        self._said, self._count = 0.0, 0

    def failed(self, **facts: object) -> None:
        """Note a failure; another kind of failure than the last one is logged at once."""
        with self._lock:
            self._count += 1
            if facts == self._fails_as and self._clock() < self._said + _REPEAT_S:
                return
            log_event(self._event, self._level, **(self._facts | facts | {"count": self._count}))
            self._fails_as, self._said, self._count = facts, self._clock(), 0

    def worked(self) -> None:
        """Note that it works; logged where it failed before."""
        with self._lock:
            if self._fails_as is not None:
                log_event(f"{self._event}: over", "info", **(self._facts | {"count": self._count}))
                self._fails_as, self._count = None, 0
