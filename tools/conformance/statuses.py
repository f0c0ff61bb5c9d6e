"""Tables of the statuses that the node returns, and of its handling of those that it receives."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

import gateway
from gateway.deliver.commitment import FailureReason
from gateway.deliver.sender import Verdict, judge
from gateway.dimse.status import Status, hexadecimal
from tools.conformance.markdown import code, table

PACKAGE: Final = Path(gateway.__path__[0])

_OF_OTHER_MESSAGES: Final = {
    "the message is too long": "N-EVENT-REPORT",
    "the peer waits for no answer": "A-ABORT",
}
"""Refusals of messages other than C-STORE by their reason: the message, or how it ends."""

_ANSWERS: Final = {
    "C-ECHO": {
        Status.SUCCESS: "the node is there",
        Status.NOT_AUTHORIZED: "the association was not admitted",
    },
    "N-EVENT-REPORT": {
        Status.SUCCESS: "the report is taken, or speaks of no transaction of ours",
        Status.PROCESSING_FAILURE: "the report cannot be written; the archive must not think that we know",
        Status.NO_SUCH_EVENT_TYPE: "neither 1 nor 2 (PS3.4 J.3.3)",
        Status.INVALID_ARGUMENT: "the event information is not what a report must have",
        Status.NOT_AUTHORIZED: "the association was not admitted",
        Status.RESOURCE_LIMITATION: "the message is too long",
    },
}
_UNFORESEEN: Final = 0xC211
"""The status that pynetdicom returns for a C-STORE after an unexpected error."""

_DOES: Final = {
    Verdict.TAKEN: "the object counts as stored; a warning stands in its row",
    Verdict.LATER: "transient: sent again, after a wait that doubles, until `deliver.give_up_d`",
    Verdict.NEVER: "permanent: a dead letter with its reason, and an alarm; `resend` sends it again",
}


def answered_to_a_store() -> str:
    """Return a table of the answers to a C-STORE, with every reason in the code."""
    reasons: dict[Status, list[str]] = {
        Status.SUCCESS: ["file, name and journal row would outlast a power loss", "it is no radiograph, and is ignored"]
    }
    for status, reason in refusals():
        if reason not in _OF_OTHER_MESSAGES:
            reasons.setdefault(status, []).append(reason)
    rows = [_row(status, "; ".join(dict.fromkeys(reasons[status]))) for status in Status if status in reasons]
    unforeseen = (code(hexadecimal(_UNFORESEEN)), Status.CANNOT_UNDERSTAND.meaning, "an error that nobody foresaw", "")
    return table(("status", "meaning", "when", "reference"), [*rows, unforeseen])


def answered_to(message: str) -> str:
    """Return a table of the answers to another message."""
    return table(("status", "meaning", "when", "reference"), [_row(*answer) for answer in _ANSWERS[message].items()])


def _row(status: Status, when: str) -> tuple[str, str, str, str]:
    return code(status.hexadecimal), status.meaning, when, status.clause


def refusals() -> Iterator[tuple[Status, str]]:
    """Yield every status in the node's code with which a message is refused, and its reason."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="NotTaken"), args=[ast.Attribute(attr=name), reason]):
                    yield Status[name], _said(reason)


def _said(reason: ast.expr) -> str:
    """Return the text of a reason, with "..." for values."""
    match reason:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in parts)
        case ast.Name():
            return "no data set can be read"
        case _:
            raise TypeError(f"line {reason.lineno}: a refusal's reason is neither a text nor a name")


def understood() -> str:
    """Return a table of what each answer to the node's C-STORE means, for all possible statuses."""
    rows = []
    for (verdict, meaning), run in groupby(range(0x10000), _judged):
        codes = list(run)
        first, last = (code(hexadecimal(each)) for each in (codes[0], codes[-1]))
        rows.append((first if first == last else f"{first} to {last}", meaning, _DOES[verdict]))
    rest = ("anything else, and no answer", "", _DOES[Verdict.LATER])
    return table(("status", "meaning", "what the node does"), [*(row for row in rows if row[1]), rest])


def _judged(status: int) -> tuple[Verdict, str]:
    """Return the verdict on a status and its meaning; "" for one that the standard does not define."""
    verdict = judge(status).verdict
    known = next((each.meaning for each in Status if each.code == status), "")
    if status >> 12 == 0xB:
        return verdict, known or "warning"
    if status >> 8 in (0xA7, 0xA9) or status >> 12 == 0xC:
        width = 12 if status >> 12 == 0xC else 8
        first = status >> width << width
        return verdict, next(each.meaning for each in Status if each.code == first)
    return verdict, known


def failure_reasons() -> str:
    """Return a table of what follows from each failure reason of a storage commitment report."""
    rows = [
        (code(hexadecimal(each.code)), each.meaning, "sent again" if each.helps else _DOES[Verdict.NEVER])
        for each in sorted(FailureReason, key=lambda each: each.code)
    ]
    other = ("anything else", FailureReason.PROCESSING_FAILURE.meaning, "sent again")
    return table(("failure reason (0008,1197)", "meaning", "what the node does"), [*rows, other])
