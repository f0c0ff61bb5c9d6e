"""How values are written on the page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.web.content.queries import ANSWERS
from gateway.web.content.results import MOST_LINES, file_name, finding_name, object_name, ranked

_STATES: Final = {
    "receiving": "busy",
    "waiting": "busy",
    "running": "busy",
    "delivering": "busy",
    "due": "busy",
    "delivered": "good",
    "stored": "good",
    "sent": "good",
    "committed": "good",
    "up": "good",
    "reported": "good",
    "failing": "warn",
    "deferred": "warn",
    "not assessed": "warn",
    "present": "alert",
    "abnormal?": "alert",
    "not judged": "warn",
    "failed": "bad",
    "dead": "bad",
    "down": "bad",
}
"""The colour of a word; the word itself always stands beside it."""


def environment() -> Environment:
    """Make the templates' environment: everything is escaped, and a name that is not there is an error."""
    made = Environment(loader=PackageLoader("gateway.web"), autoescape=True, undefined=StrictUndefined)
    made.trim_blocks = made.lstrip_blocks = True
    made.filters |= {"tone": tone, "span": span, "percent": percent, "moment": moment, "iso": iso}
    made.filters["answer_name"] = ANSWERS.__getitem__
    made.filters |= {"ranked": ranked, "finding_name": finding_name, "file_name": file_name}
    made.globals |= {"object_name": object_name, "most_lines": MOST_LINES}
    return made


def tone(word: str) -> str:
    """Return the colour's class for a state or a decision; ``"calm"`` for others."""
    return _STATES.get(word, "calm")


def span(seconds: float) -> str:
    """Write a length of time for a person: ``"45 s"``, ``"12 min"``, ``"3 h"``, ``"2 d"``."""
    whole = max(0, int(seconds))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * length or (unit == "min" and whole >= length):
            return f"{whole // length} {unit}"
    return f"{whole} s"


def percent(share: float) -> str:
    """Write a share, with a decimal below 10 %."""
    return f"{share:.1%}" if share < 0.0995 else f"{share:.0%}"


def moment(seconds: float) -> str:
    """Write a time in the time zone of the machine."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso(seconds: float) -> str:
    """Write a time for machines."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def clock(seconds: float) -> str:
    """Write the hour of a time in the time zone of the machine: ``"14:00"``."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%H:%M")


def calendar(seconds: float) -> str:
    """Write a day in the time zone of the machine: ``"03-14"``."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%m-%d")
